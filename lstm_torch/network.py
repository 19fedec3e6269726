"""The network: lstm_ref.plain_model's equations as a torch.nn.Module, differentiated by autograd.

One nn.LSTM a layer, because dropout between layers takes our masks (nn.LSTM draws its own), and because hidden sizes
may differ. Parameters carry the shared names: `lstm.weight_ih_l1` is this module's `lstm.1.weight_ih_l0`, and where the
config ties them, `embedding.weight` is the decoder's too.

What the layers compute in may be chosen (lstm_torch/recurrence.py); else it is the parameters' dtype, or autocast's.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.masks import dropout_rates
from lstm_torch.recurrence import Recurrence, leave, lstm_layer

TorchState = list[tuple[Tensor, Tensor]]  # (h, c) of each layer, [B,H]
Masks = Mapping[str, Tensor]  # of lstm_ref.core.masks: where -> bool


class Activations(NamedTuple):
    """What the layers make of a window."""

    y: Tensor  # [T,B,H] of the last layer
    x: Tensor  # [T,B,H], y after dropout: what is decoded
    state: TorchState  # after the window


class LSTMNetwork(nn.Module):
    """A language model's layers. Its parameters are uninitialised: load them. recurrence=None: stock layers."""

    def __init__(self, config: LanguageModelConfig, dtype: torch.dtype, recurrence: Recurrence | None = None):
        super().__init__()
        self.config = config
        self.recurrence = recurrence
        self.rates = dropout_rates(config)
        self.embedding: nn.Embedding | None = None
        if config.embedding_size:
            self.embedding = nn.Embedding(config.vocab_size, config.embedding_size, dtype=dtype)
        sizes = zip(config.input_sizes, config.hidden_sizes)
        self.lstm = nn.ModuleList(nn.LSTM(I, H, dtype=dtype) for I, H in sizes)
        self.decoder = nn.Linear(config.hidden_sizes[-1], config.vocab_size, dtype=dtype)
        if config.tied and self.embedding is not None:
            self.decoder.weight = self.embedding.weight

    def shared_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by the names of lstm_ref.core.params."""
        return {re.sub(r"^lstm\.(\d+)\.(\w+)_l0$", r"lstm.\2_l\1", name): p for name, p in self.named_parameters()}

    def forward(self, inputs: Tensor, state: TorchState, masks: Masks) -> Activations:
        """inputs: int64 [T,B]."""
        x, next_state = self._drop(self._embed(inputs, masks), "input", masks), []
        for k, pair in enumerate(state):
            y, next_pair = self._layer(k, x, pair, masks)
            next_state.append(next_pair)
            x = self._drop(y, f"l{k}", masks)
        if self.recurrence is not None:
            y, x = (leave(array, self.decoder.weight.dtype, self.recurrence) for array in (y, x))
        return Activations(y, x, next_state)

    def step(self, token: Tensor, state: TorchState) -> tuple[Tensor, TorchState]:
        """One token int64 [B] -> logits [B,V]: nn.LSTM's per-call set-up costs more than the step itself."""
        x, next_state = self._embed(token, {}), []
        for layer, pair in zip(self.lstm, state):
            x, c = torch.lstm_cell(x, pair, *layer.parameters())
            next_state.append((x, c))
        return self.decoder(x), next_state

    def _embed(self, inputs: Tensor, masks: Masks) -> Tensor:
        """int64 [...] -> [...,I]. A dropped word is a row of zeros: the same as a row of the matrix, dropped."""
        if self.embedding is None:
            return self._one_hot(inputs)
        x = self.embedding(inputs)
        if "embedding" not in masks:
            return x
        return _dropout(x, masks["embedding"][inputs][..., None], self.rates["embedding"])

    def _one_hot(self, inputs: Tensor) -> Tensor:
        if self.recurrence is None or inputs.dim() == 1:  # a token of `step`
            return F.one_hot(inputs, self.config.vocab_size).to(self.decoder.weight.dtype)
        x = self.decoder.weight.new_zeros(*inputs.shape, self.config.vocab_size, dtype=self.recurrence.dtype)
        return x.scatter_(-1, inputs[..., None], 1)  # in the dtype it is read in: F.one_hot goes through int64

    def _layer(self, k: int, x: Tensor, pair: tuple[Tensor, Tensor], masks: Masks) -> tuple[Tensor, tuple]:
        """What nn.LSTM calls, with the recurrent weights that a mask leaves: the parameter stays as it is."""
        weight_ih, weight_hh, *biases = self.lstm[k].parameters()
        kept = self._drop(weight_hh, f"weight_hh_l{k}", masks)
        if self.recurrence is not None:
            return lstm_layer(x, pair, (weight_ih, kept, *biases), self.recurrence)
        x, even = _to_even_width(x, weight_ih)
        weights, (h, c) = [even, kept, *biases], pair
        if x.is_cuda and kept is not weight_hh:
            weights = _in_one_piece(weights)
        y, h, c = torch.lstm(x, (h[None], c[None]), weights, True, 1, 0.0, self.training, False, False)
        return y, (h[0], c[0])

    def _drop(self, x: Tensor, where: str, masks: Masks) -> Tensor:
        return _dropout(x, masks[where], self.rates[where]) if where in masks else x


def _dropout(x: Tensor, mask: Tensor, rate: float) -> Tensor:
    return x * mask * (1 / (1 - rate))


def _to_even_width(x: Tensor, weight_ih: Tensor) -> tuple[Tensor, Tensor]:
    """With a column of zeros where bf16 on the CPU has an odd number: oneDNN takes three to four times as long there,
    358 ms instead of 84 for a window of 83 characters."""
    if x.device.type == "cpu" and x.shape[-1] % 2 and torch.is_autocast_enabled("cpu"):
        return F.pad(x, (0, 1)), F.pad(weight_ih, (0, 1))
    return x, weight_ih


def _in_one_piece(weights: list[Tensor]) -> list[Tensor]:
    """One after the other in memory, as cuDNN takes them; else it copies them there itself, with a warning."""
    pieces = torch.cat([weight.flatten() for weight in weights]).split([weight.numel() for weight in weights])
    return [piece.view_as(weight) for piece, weight in zip(pieces, weights)]

"""The network: lstm_ref.plain_model's equations as a torch.nn.Module, differentiated by autograd.

One nn.LSTM a layer, because dropout between layers takes our masks (nn.LSTM draws its own), and because hidden sizes
may differ. Parameters carry the shared names: `lstm.weight_ih_l1` is this module's `lstm.1.weight_ih_l0`.
"""

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.masks import dropout_rates

TorchState = list[tuple[Tensor, Tensor]]  # (h, c) of each layer, [B,H]


class LSTMNetwork(nn.Module):
    """Logits of a language model. Its parameters are uninitialised: load them."""

    def __init__(self, config: LanguageModelConfig, dtype: torch.dtype):
        super().__init__()
        self.config = config
        self.rates = dropout_rates(config)
        self.embedding: nn.Embedding | None = None
        if config.embedding_size:
            self.embedding = nn.Embedding(config.vocab_size, config.embedding_size, dtype=dtype)
        sizes = zip(config.input_sizes, config.hidden_sizes)
        self.lstm = nn.ModuleList(nn.LSTM(I, H, dtype=dtype) for I, H in sizes)
        self.decoder = nn.Linear(config.hidden_sizes[-1], config.vocab_size, dtype=dtype)

    def shared_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters by the names of lstm_ref.core.params."""
        return {re.sub(r"^lstm\.(\d+)\.(\w+)_l0$", r"lstm.\2_l\1", name): p for name, p in self.named_parameters()}

    def embed(self, inputs: Tensor) -> Tensor:
        """int64 [T,B] -> [T,B,I]."""
        if self.embedding is not None:
            return self.embedding(inputs)
        return F.one_hot(inputs, self.config.vocab_size).to(self.decoder.weight.dtype)

    def forward(self, inputs: Tensor, state: TorchState, masks: Mapping[str, Tensor]) -> tuple[Tensor, TorchState]:
        """inputs int64 [T,B]; masks: where -> bool [T,B,N]. Returns logits [T,B,V] and the next state."""
        x, next_state = self._drop(self.embed(inputs), "input", masks), []
        for k, (layer, (h, c)) in enumerate(zip(self.lstm, state)):
            y, (h, c) = layer(x, (h[None], c[None]))
            next_state.append((h[0], c[0]))
            x = self._drop(y, f"l{k}", masks)
        return self.decoder(x), next_state

    def _drop(self, x: Tensor, where: str, masks: Mapping[str, Tensor]) -> Tensor:
        return x * masks[where] * (1 / (1 - self.rates[where])) if where in masks else x

    def step(self, token: Tensor, state: TorchState) -> tuple[Tensor, TorchState]:
        """One token int64 [B] -> logits [B,V]: nn.LSTM's per-call set-up costs more than the step itself."""
        x, next_state = self.embed(token), []
        for layer, pair in zip(self.lstm, state):
            x, c = torch.lstm_cell(x, pair, *layer.parameters())
            next_state.append((x, c))
        return self.decoder(x), next_state

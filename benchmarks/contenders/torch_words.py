"""The peer on words: AWD-LSTM's model as torch's users write it, with nn.Embedding, an nn.LSTM a layer, a tied
nn.Linear and plain cross-entropy.

Embedding dropout gathers from a dropped copy of the matrix, weight drop calls the layer with a dropped copy of its
recurrent weights, locked dropout multiplies by one mask for all steps: as the authors' code does it [Merity et al.
2018, arXiv:1708.02182], but for the layers' call, which goes through torch.func.functional_call and leaves the
parameters alone. The gradient is torch's own, and so are clip and the fused update.

Masks come from torch's generator, or, with `shared_masks`, from lstm_ref.core.masks: faster, and the step can be proved
with all of them. `onednn`: as in torch_lstm.py.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.cases import StepCase
from benchmarks.contenders.notebook import moments
from benchmarks.contenders.torch_lstm import onednn
from lstm_ref.core.batching import Window
from lstm_ref.core.draws import Draws
from lstm_ref.core.masks import dropout_masks, dropout_rates, mask_shapes

Masks = dict[str, Tensor]  # where (see core.masks) -> what to multiply with: 0, or 1 / (1 - rate)


class TorchWordTrainer:
    def __init__(self, case: StepCase, *, shared_masks: bool = False, onednn: bool = True):
        self._case, self._shared_masks, self._onednn = case, shared_masks, onednn
        config, dtype = case.config, getattr(torch, case.dtype)
        self._rates = dropout_rates(config)
        self._draws = Draws(case.seed)
        self._embedding = nn.Embedding(config.vocab_size, config.embedding_size, dtype=dtype)
        self._layers = [nn.LSTM(I, H, dtype=dtype) for I, H in zip(config.input_sizes, config.hidden_sizes)]
        self._decoder = nn.Linear(config.hidden_sizes[-1], config.vocab_size, dtype=dtype)
        if config.tied:
            self._decoder.weight = self._embedding.weight
        self._named = self._shared_names()
        self._optimizer = self._made_optimizer()
        self._state = [(torch.zeros(1, case.batch_size, H, dtype=dtype),) * 2 for H in config.hidden_sizes]
        self.load_parameters(case.parameters())

    def _shared_names(self) -> dict[str, nn.Parameter]:
        named = {"embedding.weight": self._embedding.weight}
        for k, layer in enumerate(self._layers):
            named |= {f"lstm.{name.removesuffix('_l0')}_l{k}": p for name, p in layer.named_parameters()}
        if not self._case.config.tied:
            named["decoder.weight"] = self._decoder.weight
        return named | {"decoder.bias": self._decoder.bias}

    def _made_optimizer(self) -> torch.optim.Optimizer:
        update, parameters = self._case.optimizer, list(self._named.values())
        if update.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=self._case.lr, weight_decay=update.weight_decay, fused=True)
        kind = torch.optim.AdamW if update.optimizer == "adamw" else torch.optim.Adam
        return kind(parameters, lr=self._case.lr, weight_decay=update.weight_decay, fused=True)

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        with torch.no_grad():
            for name, p in self._named.items():
                p.copy_(torch.from_numpy(params[name]))

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: p.detach().numpy().copy() for name, p in self._named.items()}

    def optimizer_state(self) -> dict[str, np.ndarray]:
        return moments(self._optimizer, self._named)

    def step(self, window: Window) -> float:
        with onednn(self._onednn):
            return self._step(torch.from_numpy(window.inputs), torch.from_numpy(window.targets))

    def _step(self, inputs: Tensor, targets: Tensor) -> float:
        config, masks = self._case.config, self._masks(*inputs.shape)
        y, x = self._forward(inputs, masks)
        loss = F.cross_entropy(self._decoder(x.flatten(0, 1)), targets.flatten())
        penalty = config.ar_alpha * x.pow(2).mean() + config.tar_beta * (y[1:] - y[:-1]).pow(2).mean()
        self._optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        nn.utils.clip_grad_norm_(self._named.values(), self._case.clip)
        self._optimizer.step()
        return loss.item()

    def _forward(self, inputs: Tensor, masks: Masks) -> tuple[Tensor, Tensor]:
        """The last layer's output, and what of it dropout leaves; keeps the state."""
        weight = self._embedding.weight
        if "embedding" in masks:
            weight = weight * masks["embedding"][:, None]
        x = _dropped(F.embedding(inputs, weight), "input", masks)
        for k, layer in enumerate(self._layers):
            weight_hh = {"weight_hh_l0": _dropped(layer.weight_hh_l0, f"weight_hh_l{k}", masks)}
            y, (h, c) = functional_call(layer, weight_hh, (x, self._state[k]))
            self._state[k] = h.detach(), c.detach()
            x = _dropped(y, f"l{k}", masks)
        return y, x

    def _masks(self, T: int, B: int) -> Masks:
        if self._shared_masks:
            drawn = dropout_masks(self._case.config, self._draws, T, B)
            self._draws = self._draws.at(self._draws.step + 1)
            dtype = self._decoder.weight.dtype
            return {where: torch.from_numpy(mask).to(dtype) / (1 - self._rates[where]) for where, mask in drawn.items()}
        shapes, like = mask_shapes(self._case.config, T, B), self._decoder.weight
        return {
            where: like.new_empty(shapes[where]).bernoulli_(1 - rate) / (1 - rate)
            for where, rate in self._rates.items()
        }


def _dropped(x: Tensor, where: str, masks: Masks) -> Tensor:
    return x * masks[where] if where in masks else x

"""The updates of lstm_ref.core.config.OptimizerConfig: torch.optim's fused ones, and the average of nt-asgd.

    a += (p - a) / n,   n = 1, 2, ...                                   (1)  so a = (p_1 + ... + p_n) / n

p_n is what the n-th step since averaging began left: torch.optim.ASGD with lambd=0, alpha=0 and t0=-1. With t0=0 ASGD
has n = 1 in its second step again, and forgets the first.

Nothing in a step waits for a device. Whether the step counts is a tensor, `finite`: the fused updates look at it where
they run, as they do for torch.amp.GradScaler.

Proved by parity_tests/test_torch_optimizer.py.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lstm_ref.core.config import OptimizerConfig
from lstm_ref.core.errors import ConfigError

KEPT = {"adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq"), "sgd": (), "nt-asgd": ("average",)}


def _fused(config: OptimizerConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    decay = config.weight_decay
    if config.optimizer in ("sgd", "nt-asgd"):
        return torch.optim.SGD(parameters, weight_decay=decay, fused=True)
    adam = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    betas, capturable = (config.beta1, config.beta2), parameters[0].is_cuda
    return adam(parameters, betas=betas, eps=config.eps, weight_decay=decay, fused=True, capturable=capturable)


class Optimizer:
    """Updates `parameters` (name -> parameter) from their .grad. While they and their average have changed places it
    refuses to: a step would move the average."""

    def __init__(self, config: OptimizerConfig, parameters: Mapping[str, nn.Parameter]):
        self.config = config
        self.parameters = parameters
        self.fused = _fused(config, list(parameters.values()))
        device = next(iter(parameters.values())).device
        self.steps = torch.zeros((), dtype=torch.int64, device=device)
        self.averaged = torch.zeros_like(self.steps)  # n of (1)
        self.average: dict[str, Tensor] = {}  # empty while averaging has not begun
        self._exchanged = False

    def step(self, lr: float | Tensor, finite: Tensor) -> None:
        """finite: bool []; where it is False, nothing changes. lr: a float32 [] on the device is read there, each time
        that a captured graph runs; the fused updates of CUDA take no other dtype."""
        self.require_own_parameters()
        for group in self.fused.param_groups:
            group["lr"] = lr
        setattr(self.fused, "found_inf", (~finite).float())  # noqa: B010  not an attribute that its class declares
        self.fused.step()
        self.steps += finite
        if self.average:
            self._update_average(finite)

    @torch.no_grad()
    def _update_average(self, finite: Tensor) -> None:
        self.averaged += finite
        share = self.averaged.clamp(min=1).double().reciprocal()
        for name, p in self.parameters.items():
            a = self.average[name]
            torch.where(finite, a.lerp(p, share.to(a.dtype)), a, out=a)  # (1)

    def start_averaging(self) -> None:
        if self.config.optimizer != "nt-asgd":
            raise ConfigError(f"optimizer={self.config.optimizer!r} keeps no average; take nt-asgd")
        self.require_own_parameters()
        self.averaged.zero_()
        self.average = {name: torch.zeros_like(p, requires_grad=False) for name, p in self.parameters.items()}

    @torch.no_grad()
    def exchange_average(self) -> None:
        """By value: cuDNN wants a layer's parameters to stay where they are."""
        if not self.averaged:
            return
        for name, p in self.parameters.items():
            kept = p.clone()
            p.copy_(self.average[name])
            self.average[name].copy_(kept)
        self._exchanged = not self._exchanged

    def require_own_parameters(self) -> None:
        if self._exchanged:
            raise RuntimeError("parameters and average have changed places: call exchange_average() before training")

    # ---- state, by the names of core.params.optimizer_shapes ------------------------------------------------------

    def state(self) -> dict[str, np.ndarray]:
        """Copies; zeros where nothing is kept yet."""
        tensors = {"step": self.steps}
        if self.config.optimizer == "nt-asgd":
            tensors["averaged"] = self.averaged
        for key in KEPT[self.config.optimizer]:
            tensors |= {f"{key}.{name}": self._kept(key, name, p) for name, p in self.parameters.items()}
        return {name: tensor.cpu().numpy().copy() for name, tensor in tensors.items()}

    def _kept(self, key: str, name: str, p: nn.Parameter) -> Tensor:
        of_p = self.average if key == "average" else self.fused.state[p]
        kept = of_p.get(name if key == "average" else key)
        return torch.zeros_like(p, requires_grad=False) if kept is None else kept

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """state: of the names and shapes of `state()`."""
        self.require_own_parameters()
        self.steps.fill_(int(state["step"]))
        self.averaged.fill_(int(state.get("averaged", 0)))
        self.average = {}
        for name, p in self.parameters.items():
            kept = {key: torch.tensor(state[f"{key}.{name}"]).to(p) for key in KEPT[self.config.optimizer]}
            if "exp_avg" in kept:
                self.fused.state[p] = {"step": torch.tensor(float(state["step"]), device=p.device), **kept}
            elif self.averaged:
                self.average[name] = kept["average"]

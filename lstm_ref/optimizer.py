"""Optimizer: the update of an OptimizerConfig with its state, on a model's parameters."""

from collections.abc import Mapping

import numpy as np

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.errors import ConfigError
from lstm_ref.core.params import check_optimizer_state, optimizer_shapes
from lstm_ref.kernels.adam import adam
from lstm_ref.kernels.sgd import averaged_sgd, exchange, sgd


class Optimizer:
    """Updates `params` (name -> array) in place. `state` has the names of core.params.optimizer_shapes.

    While parameters and average have changed places, nothing can be trained or loaded: a step would move the average.
    """

    def __init__(self, model: LanguageModelConfig, config: OptimizerConfig, params: Mapping[str, np.ndarray]):
        self.model, self.config, self.params = model, config, params
        dtype = params["decoder.bias"].dtype
        shapes = optimizer_shapes(model, config)
        self.state = {name: np.zeros(shape, dtype if shape else np.int64) for name, shape in shapes.items()}
        self._averaging = self._exchanged = False

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self.require_own_parameters()
        check_optimizer_state(self.model, self.config, state)
        for name, value in self.state.items():
            value[...] = state[name]
        self._averaging = self._averaged > 0

    @property
    def _averaged(self) -> int:
        return int(self.state.get("averaged", 0))

    def require_own_parameters(self) -> None:
        if self._exchanged:
            raise RuntimeError("parameters and average have changed places: call exchange_average() before training")

    def step(self, grads: Mapping[str, np.ndarray], lr: float, factor: float) -> None:
        """factor: the clip's, of the gradients."""
        self.require_own_parameters()
        self.state["step"] += 1
        if self._averaging:
            self.state["averaged"] += 1
        with np.errstate(over="ignore"):  # an lr that float32 has not: the next loss says it
            for name, p in self.params.items():
                self._update(name, p, grads[name], lr, factor)

    def _update(self, name: str, p: np.ndarray, g: np.ndarray, lr: float, factor: float) -> None:
        state, config = self.state, self.config
        if config.optimizer in ("adam", "adamw"):
            adam(p, g, state[f"exp_avg.{name}"], state[f"exp_avg_sq.{name}"], int(state["step"]), lr, config, factor)
        elif self._averaging:
            averaged_sgd(p, g, state[f"average.{name}"], self._averaged, lr, config, factor)
        else:
            sgd(p, g, lr, config, factor)

    def start_averaging(self) -> None:
        if self.config.optimizer != "nt-asgd":
            raise ConfigError(f"optimizer={self.config.optimizer!r} keeps no average; take nt-asgd")
        self.require_own_parameters()
        self._averaging = True
        self.state["averaged"][...] = 0
        for name in self.params:
            self.state[f"average.{name}"][...] = 0

    def exchange_average(self) -> None:
        if self._averaged == 0:
            return
        self._exchanged = not self._exchanged
        for name, p in self.params.items():
            exchange(p, self.state[f"average.{name}"])

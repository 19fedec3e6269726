"""A LanguageModel with nt-asgd as the protocol has it, around a twin that has Adam: to test who calls it, and when.

p  -= lr clip(g);   n += 1;   average += (p - average) / n      the last two once averaging has begun
"""

from collections.abc import Mapping

import numpy as np

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.language_model import StepResult
from lstm_ref.model import NumpyLM


class AveragedSGD:
    """Its parameters are the inner model's; `calls` are the protocol's two, by name."""

    def __init__(self, config: LanguageModelConfig, *, optimizer: OptimizerConfig, device: str, precision: str):
        self.inner = NumpyLM(config, dtype=np.dtype(precision))
        self.calls: list[str] = []
        self._step = self._averaged = 0
        self._begun = self._exchanged = False
        self._average = self.inner.parameters()

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    def optimizer_state(self) -> dict[str, np.ndarray]:
        counts = {"step": np.array(self._step), "averaged": np.array(self._averaged)}
        return counts | {f"average.{name}": value.copy() for name, value in self._average.items()}

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        assert not self._exchanged
        self._step, self._averaged = int(state["step"]), int(state["averaged"])
        self._begun = self._averaged > 0
        self._average = {name: state[f"average.{name}"].copy() for name in self._average}

    def start_averaging(self) -> None:
        self.calls.append("start_averaging")
        assert not self._begun
        self._begun = True

    def exchange_average(self) -> None:
        self.calls.append("exchange_average")
        if self._averaged:
            self._exchanged = not self._exchanged
            params = self.inner.parameters()
            self.inner.load_parameters(self._average)
            self._average = params

    def train_step(self, window, state, draws, settings) -> StepResult:
        assert not self._exchanged
        result = self.inner.loss_and_gradients(window, state, draws)
        norm = float(np.sqrt(sum((g**2).sum() for g in result.gradients.values())))
        scale = settings.lr * min(1, settings.clip / (norm + 1e-6))
        params = {name: p - scale * result.gradients[name] for name, p in self.inner.parameters().items()}
        self.inner.load_parameters(params)
        self._step += 1
        if self._begun:
            self._averaged += 1
            for name, p in params.items():
                self._average[name] += (p - self._average[name]) / self._averaged
        return StepResult(result.loss, norm, result.state)

"""A training step as a task: the same parameters, windows and carried state for all who do it, and its truth.

What is proved is the call that is timed, by what it leaves behind: the loss, the state after the window, and the
clipped gradients as the update took them,

    adam    k g = (m' - beta1 m) / (1 - beta1)      m, m': exp_avg before and after the step
    sgd     k g = (p - p') / lr - w p               w: weight decay

so that nothing but the parameters has to be put back before it: what was captured in a graph stays captured.
The clip is set so low that it acts. Who takes masks from core.masks is proved with them; who draws its own, without.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.gpu import float64
from benchmarks.gpu.device import Device
from benchmarks.gpu.proof import EPS32, Proof, prove, tolerance
from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.masks import dropout_masks
from lstm_ref.core.params import initial_parameters

PROVED_STEP = 7  # of Draws: any but those that warm up
NO_DROPOUT = {"embedding": 0.0, "input": 0.0, "between": 0.0, "output": 0.0}


def without_dropout(config: LanguageModelConfig) -> LanguageModelConfig:
    rates = {f"dropout_{where}": rate for where, rate in NO_DROPOUT.items()}
    return replace(config, **rates, weight_drop=0.0)


@dataclass(frozen=True, eq=False)
class StepTask:
    """lengths: T of each window. clip: low enough to act on the initial parameters. lr: of adam, far below a
    parameter's size; of sgd, large, so that p - p' shows the gradient. words: ids are drawn as words are, id n about
    1/n as often as id 1, for an embedding's gradient takes longer where many rows fall on one. given_windows: of a
    text, in place of drawn ones."""

    config: LanguageModelConfig
    optimizer: OptimizerConfig
    batch_size: int
    lengths: tuple[int, ...]
    lr: float
    clip: float
    device: Device
    seed: int
    words: bool = False
    given_windows: Sequence[Window] | None = None

    @functools.cached_property
    def parameters(self) -> dict[str, np.ndarray]:
        """float64, of numbers that float32 holds: rounding them costs nobody anything. No array is all zeros."""
        values = initial_parameters(self.config, self.seed)
        if self.config.embedding_size:  # with an embedding, the decoder's bias begins with zeros
            draws = Draws(self.seed).uniform("benchmark/bias", (self.config.vocab_size,))
            values["decoder.bias"] = 0.1 * (2 * draws - 1)
        return {name: value.astype(np.float32).astype(np.float64) for name, value in values.items()}

    @functools.cached_property
    def windows(self) -> Sequence[Window]:
        if self.given_windows is not None:
            return self.given_windows
        V, B = self.config.vocab_size, self.batch_size
        u = Draws(self.seed).uniform("benchmark/ids", (sum(self.lengths) + 1, B))
        ids = ((V + 1.0) ** u - 1 if self.words else u * V).astype(np.int64).clip(0, V - 1)
        starts = np.cumsum([0, *self.lengths])
        return [Window(ids[s : s + T], ids[s + 1 : s + T + 1]) for s, T in zip(starts, self.lengths)]

    @functools.cached_property
    def state(self) -> dict[str, np.ndarray]:
        """What the first window begins with, float32: not zero, so that a carry that is dropped shows."""
        shapes = {f"{n}_l{k}": (self.batch_size, H) for k, H in enumerate(self.config.hidden_sizes) for n in "hc"}
        draws = Draws(self.seed)
        return {n: draws.uniform(f"benchmark/{n}", shape, np.float32) - np.float32(0.5) for n, shape in shapes.items()}

    @functools.cached_property
    def truth(self) -> dict[str, Tensor]:
        """By name: loss [], clipped gradients, `h_l0` ...: float64 on the device, after the first window."""
        return self._truth(self.config, Draws(self.seed, PROVED_STEP))

    @functools.cached_property
    def truth_without_dropout(self) -> dict[str, Tensor]:
        return self._truth(without_dropout(self.config), None)

    def _truth(self, config: LanguageModelConfig, draws: Draws | None) -> dict[str, Tensor]:
        window = self.windows[0]
        masks = dropout_masks(config, draws, *window.inputs.shape)
        state = [
            tuple(self.on_device(self.state[f"{n}_l{k}"]).double() for n in "hc")
            for k in range(len(config.hidden_sizes))
        ]
        loss, gradients, next_state = float64.language_model(
            config,
            {name: self.on_device(p) for name, p in self.parameters.items()},
            self.on_device(window.inputs),
            self.on_device(window.targets),
            state,
            {where: self.on_device(mask) for where, mask in masks.items()},
        )
        after = {f"{n}_l{k}": value for k, pair in enumerate(next_state) for n, value in zip("hc", pair)}
        return {"loss": loss, **float64.clipped(gradients, self.clip), **after}

    def on_device(self, array: np.ndarray) -> Tensor:
        """A copy, on a CPU too: whoever gets it may write into it."""
        return torch.tensor(array, device=self.device.name)

    def tolerance(self, precision: str) -> float:
        return tolerance(precision, self.lengths[0], max(self.config.hidden_sizes))

    def prove(self, arrived: Mapping[str, Any], precision: str, *, dropout: bool, remark: str = "") -> Proof:
        """arrived: loss, clipped gradients and state after the first window, as `truth`; arrays or tensors."""
        truth = self.truth if dropout else self.truth_without_dropout
        tensors = {name: torch.as_tensor(value, device=self.device.name) for name, value in arrived.items()}
        return prove(tensors, truth, self.tolerance(precision), remark, self._rounding_of_updates(truth))

    def _rounding_of_updates(self, truth: Mapping[str, Tensor]) -> dict[str, float]:
        """Relative to the norm of k g. m' is rounded to float32, and (1 - beta1) k g is a tenth of it; so is p', which
        may be more than lr k g."""
        if self.has_moments:
            return dict.fromkeys(self.parameters, EPS32 * 2 / (1 - self.optimizer.beta1))
        norms = {name: float(torch.linalg.vector_norm(truth[name])) for name in self.parameters}
        return {n: EPS32 * float(np.linalg.norm(p)) / (self.lr * norms[n]) for n, p in self.parameters.items()}

    def gradients_of_update(
        self, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The module docstring's k g, by parameter. before, after: parameters and, of adam, `exp_avg.<parameter>`."""
        before, after = ({name: a.astype(np.float64) for name, a in arrays.items()} for arrays in (before, after))
        beta, decay = self.optimizer.beta1, self.optimizer.weight_decay
        if self.has_moments:
            moments = {name: f"exp_avg.{name}" for name in self.parameters}
            return {name: (after[m] - beta * before[m]) / (1 - beta) for name, m in moments.items()}
        return {name: (before[name] - after[name]) / self.lr - decay * before[name] for name in self.parameters}

    @property
    def has_moments(self) -> bool:
        return self.optimizer.optimizer in ("adam", "adamw")

"""Who is timed. A contender of a case is built from the case alone, and starts from the case's parameters.

Parameters and optimizer state go in and out by the names of `lstm_ref.core.params`, so that one proof serves all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.cases import SampleCase, StepCase
from lstm_ref.core.batching import Window


class Trainer(Protocol):
    """Built with the zero state."""

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        """Leaves the optimizer's and the carried state alone."""
        ...

    def parameters(self) -> dict[str, np.ndarray]: ...

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """At least `exp_avg.<parameter>` and `exp_avg_sq.<parameter>`."""
        ...

    def step(self, window: Window) -> float:
        """One whole training step, done when it returns. Returns the loss."""
        ...


class Sampler(Protocol):
    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        """The prime and 1 + size characters after it; top_k=1 is greedy."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerEntry:
    """peer: the others are compared with the fastest of these. shared_masks: it takes its dropout masks from
    `lstm_ref.core.masks`, and is proved with them; one that draws its own is proved at dropout 0."""

    build: Callable[[StepCase], Trainer]
    peer: bool = False
    shared_masks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerEntry:
    build: Callable[[SampleCase], Sampler]
    peer: bool = False


def _twin_trainer(backend: str) -> Callable[[StepCase], Trainer]:
    def build(case: StepCase) -> Trainer:
        from benchmarks.contenders.twins import TwinTrainer

        return TwinTrainer(backend, case)

    return build


def _twin_sampler(backend: str) -> Callable[[SampleCase], Sampler]:
    def build(case: SampleCase) -> Sampler:
        from benchmarks.contenders.twins import TwinSampler

        return TwinSampler(backend, case)

    return build


def _notebook_trainer(case: StepCase) -> Trainer:
    from benchmarks.contenders.notebook import NotebookTrainer

    return NotebookTrainer(case)


def _notebook_sampler(case: SampleCase) -> Sampler:
    from benchmarks.contenders.notebook import NotebookSampler

    return NotebookSampler(case)


def _torch_lstm(multiple: int = 1, onednn: bool = True) -> Callable[[StepCase], Trainer]:
    def build(case: StepCase) -> Trainer:
        from benchmarks.contenders.torch_lstm import TorchLSTMTrainer

        return TorchLSTMTrainer(case, multiple=multiple, onednn=onednn)

    return build


# Built by functions that import: NumpyLM is timed in a process without torch, as its users run it.
TRAINERS = {
    "NumpyLM": TrainerEntry(build=_twin_trainer("numpy"), shared_masks=True),
    "TorchLM": TrainerEntry(build=_twin_trainer("torch"), shared_masks=True),
    "the notebook's own": TrainerEntry(
        build=_notebook_trainer, peer=True
    ),  # nn.LSTM too, so it may be the best of them
    "torch nn.LSTM": TrainerEntry(build=_torch_lstm(), peer=True),
    "torch nn.LSTM, input padded": TrainerEntry(build=_torch_lstm(multiple=32), peer=True),
    "torch nn.LSTM, oneDNN off": TrainerEntry(build=_torch_lstm(onednn=False), peer=True),
}

SAMPLERS = {
    "NumpyLM": SamplerEntry(build=_twin_sampler("numpy")),
    "TorchLM": SamplerEntry(build=_twin_sampler("torch")),
    "the notebook's own": SamplerEntry(build=_notebook_sampler, peer=True),
}

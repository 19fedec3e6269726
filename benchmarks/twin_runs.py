"""Training losses of a run, step by step, in nats a token, in three forms that together tell a wrong line from
rounding:

`losses_from`             as a twin trains: in exact arithmetic both twins' would be equal;
`losses_from`, moved      begun with every parameter one unit in the last place off: what the run itself makes of
                          rounding, whoever computes it;
`realigned_losses`        by torch, which begins anew from NumPy's parameters at every step, so that no rounding has a
                          past: a wrong line shows here, whatever the run makes of it later.
"""

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.command import show_progress
from lstm_ref.core.checkpoint import Checkpoint, Progress
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import UsageError
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Observer, Trainer, resume, start

REALIGNED_STEPS = 2  # the first loss sees the forward pass, the second what gradients and update made of the parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a twin goes on from: a new run of `config`, or a checkpoint of one."""

    config: RunConfig
    corpus: Corpus
    checkpoint: Checkpoint | None = None

    @property
    def after(self) -> int:
        return self.checkpoint.progress.step if self.checkpoint else 0

    def trainer(self, backend: str, run: RunFolder) -> Trainer:
        changes = {"backend": backend, "precision": self.config.precision, "checkpoint_every": 1 << 20}
        if self.checkpoint is not None:
            return resume(self.checkpoint, self.corpus, run, changes)
        return start(self.config.with_overrides(changes), self.corpus, run)


class _EnoughError(Exception):
    """Ends a run after the steps that were asked for."""


def losses_from(
    beginning: Beginning,
    steps: int,
    backend: str,
    *,
    moved: bool = False,
    watch: Callable[[Trainer], None] = lambda trainer: None,
) -> list[float]:
    """Those of the next steps; watch is called after each. Raises UsageError where the run has fewer."""
    losses: list[float] = []

    def on_step(progress: Progress) -> None:
        losses.append(float(progress.loss))  # type: ignore[arg-type]
        show_progress(f"{backend}{', moved' * moved}, step {beginning.after + len(losses)}, loss {losses[-1]:.6f}")
        watch(trainer)
        if len(losses) == steps:
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder, "run")) as run:
        trainer = beginning.trainer(backend, run)
        if (left := trainer.total_steps - beginning.after) < steps:
            raise UsageError(f"steps={steps}: the run has {left}; take fewer, or more epochs")
        if moved:
            trainer.model.load_parameters(one_unit_off(trainer.model.parameters()))
        trainer.observer = Observer(on_step=on_step)
        with contextlib.suppress(_EnoughError):
            trainer.fit()
    show_progress("")
    return losses


def realigned_losses(beginning: Beginning, steps: int) -> tuple[list[float], list[list[float]]]:
    """NumPy's of the next steps, as `losses_from` has them, and torch's: of each of these steps and the one after it,
    begun from NumPy's parameters before it. The last has no step after it."""
    torchs: list[list[float]] = []

    def take_torchs(begun: Beginning) -> None:
        if left := steps - len(torchs):
            torchs.append(losses_from(begun, min(REALIGNED_STEPS, left), "torch"))

    def watch(trainer: Trainer) -> None:
        take_torchs(replace(beginning, checkpoint=trainer.checkpoint()))

    take_torchs(beginning)
    return losses_from(beginning, steps, "numpy", watch=watch), torchs


def one_unit_off(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every number but zero one unit in the last place up or down, by a draw."""
    moved = {}
    for name, value in parameters.items():
        side = Draws(0, 0).uniform(f"moved/{name}", value.shape, value.dtype) - 0.5
        moved[name] = np.where(value == 0, value, np.nextafter(value, np.copysign(np.inf, side)))
    return moved

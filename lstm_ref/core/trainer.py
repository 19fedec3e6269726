"""The one training loop: epochs, carry, evaluation, checkpoints, resume, stopping. It knows `LanguageModel` only.

Step k trains on window k mod n of epoch k div n, with Draws(seed, k): what a step does depends on its number and on
the state that a checkpoint holds, and on nothing else. So a run that was stopped goes on bit by bit as if it had not.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np

from lstm_ref.core.batching import Windows, evaluation_segments
from lstm_ref.core.checkpoint import Checkpoint, Progress
from lstm_ref.core.config import CHANGEABLE, RunConfig
from lstm_ref.core.corpora import Corpus
from lstm_ref.core.draws import Draws
from lstm_ref.core.environment import versions
from lstm_ref.core.errors import CheckpointError, ConfigError, DivergedError, InterruptedRunError
from lstm_ref.core.language_model import LanguageModel, State, StepResult, StepSettings, load_backend
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.vocab import Vocabulary


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log line. Losses in nats a token; `loss` is the last window's, with dropout, as the seed prints it, and
    `mean_loss` the mean since the last line."""

    epoch: int
    epochs: int
    step: int
    loss: float
    mean_loss: float
    val_loss: float
    best: bool
    gradient_norm: float
    tokens_per_second: float
    seconds: float

    @property
    def line(self) -> str:
        """The character seed's."""
        return (
            f"Epoch: {self.epoch}/{self.epochs}... Step: {self.step}... "
            f"Loss: {self.loss:.4f}... Val Loss: {self.val_loss:.4f}"
        )

    def to_dict(self) -> dict[str, float]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(slots=True)
class Observer:
    """How the outside follows a run, and stops it: `stop` returns a signal's number, or 0."""

    on_step: Callable[[Progress], None] = lambda progress: None
    on_log: Callable[[LogRecord], None] = lambda record: None
    stop: Callable[[], int] = lambda: 0


@dataclass(slots=True)
class Trainer:
    """Trains a model on a text and keeps its run folder. Make one with `start` or `resume`."""

    config: RunConfig
    model: LanguageModel
    vocabulary: Vocabulary
    corpus_sha256: str
    windows: Windows
    validation_ids: np.ndarray
    run: RunFolder
    progress: Progress
    state: State
    observer: Observer = field(default_factory=lambda: Observer())
    _pending: list[StepResult] = field(default_factory=list)

    @property
    def total_steps(self) -> int:
        return self.config.epochs * len(self.windows)

    def fit(self) -> Progress:
        """Trains to the end of the last epoch. Raises DivergedError or InterruptedRunError; nothing is lost."""
        progress, config = self.progress, self.config
        settings = StepSettings(lr=config.lr, clip=config.clip)
        if progress.step == 0:  # something to go on with from the first moment, and room on the disk for it
            self.save()
        while True:
            if progress.step % config.print_every == 0 and progress.evaluated_step < progress.step:
                self._log()
            self._stop_if_asked()
            if progress.step > 0 and progress.step % config.checkpoint_every == 0:
                self.save()
            if progress.step >= self.total_steps:
                break
            self._step(settings)
        self.save()
        return progress

    def _step(self, settings: StepSettings) -> None:
        progress, begin = self.progress, time.perf_counter()
        k = progress.step % len(self.windows)
        if k == 0:  # the state is carried inside an epoch, and starts anew with each
            self.state = self.model.zero_state(self.config.batch_size)
        result = self.model.train_step(self.windows[k], self.state, Draws(self.config.seed, progress.step), settings)
        self.state = result.state
        progress.step += 1
        self._pending.append(result)
        if len(self._pending) >= self.config.print_every or self.config.device == "cpu":
            self._settle()
        progress.seconds += time.perf_counter() - begin
        self.observer.on_step(progress)

    def _settle(self) -> None:
        """Waits for the losses that are still on their way from a device, and looks at them."""
        progress = self.progress
        first = progress.step - len(self._pending) + 1
        for step, result in enumerate(self._pending, first):
            loss, norm = float(result.loss), float(result.gradient_norm)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise DivergedError(
                    f"loss {loss}, gradient norm {norm} at step {step}: that step updated nothing; {self._remedy()}"
                )
            progress.loss, progress.gradient_norm = loss, norm
            progress.loss_sum += loss
            progress.loss_count += 1
        self._pending.clear()

    def _remedy(self) -> str:
        lower = f"--resume {self.run.path} --set lr={self.config.lr / 4:g}"
        return f"go on from the last checkpoint with a lower lr: {lower}" if self.run.steps() else "try a lower lr"

    def evaluate(self, ids: np.ndarray) -> float:
        """Mean negative log-likelihood of `ids` in nats a token, without dropout, from the zero state.

        Between two steps, as all that asks for a stop: interrupted here, a run that goes on evaluates first."""
        config, total, tokens = self.config, 0.0, 0
        segments = evaluation_segments(ids, config.batch_size, config.seq_length, config.evaluation, config.last_target)
        for segment in segments:
            state = None
            for window in segment:
                self._stop_if_asked()
                state = self.model.zero_state(window.inputs.shape[1]) if state is None else state
                result = self.model.evaluate(window, state)
                state, total, tokens = result.state, total + result.total, tokens + result.tokens
        return total / tokens

    def train_loss(self) -> float:
        """Of the first part of the training text, as long as the validation text, without dropout: the number that
        may be compared with the validation loss. The log's training loss has dropout on and is one window's."""
        return self.evaluate(self.windows.ids[: len(self.validation_ids)])

    def _log(self) -> None:
        self._settle()
        progress, config = self.progress, self.config
        val_loss = self.evaluate(self.validation_ids)
        if not math.isfinite(val_loss):
            raise DivergedError(f"validation loss {val_loss} at step {progress.step}; {self._remedy()}")
        best = progress.best_loss is None or val_loss < progress.best_loss
        record = LogRecord(
            epoch=(progress.step - 1) // len(self.windows) + 1,
            epochs=config.epochs,
            step=progress.step,
            loss=progress.loss if progress.loss is not None else math.nan,
            mean_loss=progress.loss_sum / max(1, progress.loss_count),
            val_loss=val_loss,
            best=best,
            gradient_norm=progress.gradient_norm if progress.gradient_norm is not None else math.nan,
            tokens_per_second=progress.step * config.batch_size * config.seq_length / max(progress.seconds, 1e-9),
            seconds=progress.seconds,
        )
        progress.evaluated_step, progress.loss_sum, progress.loss_count = progress.step, 0.0, 0
        self.run.log(record.to_dict())
        if best:
            progress.best_loss, progress.best_step = val_loss, progress.step
            self.run.save_best(self.checkpoint())
        self.observer.on_log(record)

    def _stop_if_asked(self) -> None:
        """Saves and raises. Called between steps only, so what is saved is whole."""
        signal_number = self.observer.stop()
        if not signal_number:
            return
        self.save()
        raise InterruptedRunError(
            f"stopped by signal {signal_number} at step {self.progress.step} of {self.total_steps}, saved; "
            f"go on with --resume {self.run.path}",
            signal_number,
        )

    def checkpoint(self) -> Checkpoint:
        model = self.model
        return Checkpoint(
            self.config,
            self.vocabulary,
            self.corpus_sha256,
            self.progress,
            model.parameters(),
            model.optimizer_state(),
            model.state_arrays(self.state),
            versions(),
        )

    def save(self) -> None:
        self._settle()
        self.run.save(self.checkpoint(), self.config.keep_checkpoints)


def _build(config: RunConfig, vocabulary: Vocabulary) -> LanguageModel:
    build = load_backend(config.backend)
    model_config = config.language_model(len(vocabulary))
    return build(model_config, optimizer=config.update, device=config.device, precision=config.precision)


def _text(config: RunConfig, corpus: Corpus, vocabulary: Vocabulary) -> tuple[Windows, np.ndarray]:
    """Training windows and validation ids. Raises DataError while there is nothing to lose yet."""
    ids = vocabulary.encode(corpus.text)
    border = config.split(len(ids))
    windows = Windows(ids[:border], config.batch_size, config.seq_length, config.last_target)
    validation = ids[border:]
    segments = evaluation_segments(
        validation, config.batch_size, config.seq_length, config.evaluation, config.last_target
    )
    next(segments)
    return windows, validation


def start(config: RunConfig, corpus: Corpus, run: RunFolder) -> Trainer:
    """A new run: initial parameters from the seed."""
    vocabulary = Vocabulary.build(corpus.text, config.vocabulary, config.vocabulary_order)
    windows, validation = _text(config, corpus, vocabulary)
    model = _build(config, vocabulary)
    model.load_parameters(initial_parameters(model.config, config.seed))
    run.describe(config)
    state = model.zero_state(config.batch_size)
    return Trainer(config, model, vocabulary, corpus.sha256, windows, validation, run, Progress(), state)


def resume(
    checkpoint: Checkpoint,
    corpus: Corpus,
    run: RunFolder,
    changes: Mapping[str, object] | None = None,
) -> Trainer:
    """The run of a checkpoint goes on, in either twin. changes: fields to change on the way, such as lr or epochs."""
    config = checkpoint.config.with_overrides(changes or {})
    before, after = checkpoint.config.to_dict(), config.to_dict()
    if fixed := [name for name in after if after[name] != before[name] and name not in CHANGEABLE]:
        raise ConfigError(
            f"{', '.join(fixed)} cannot change in a run that goes on: start a new one; "
            f"free to change: {', '.join(sorted(CHANGEABLE))}"
        )
    if corpus.sha256 != checkpoint.corpus_sha256:
        raise CheckpointError(
            f"the text {corpus.source} is not the one of the checkpoint: SHA-256 {corpus.sha256[:12]}..., "
            f"expected {checkpoint.corpus_sha256[:12]}...; resume with the same text"
        )
    vocabulary = checkpoint.vocabulary
    windows, validation = _text(config, corpus, vocabulary)
    model = _build(config, vocabulary)
    model.load_parameters(checkpoint.model)
    model.load_optimizer_state(checkpoint.optimizer)
    run.describe(config)
    run.forget_after(checkpoint.progress.step)
    state = model.state_from_arrays(checkpoint.carry)
    return Trainer(config, model, vocabulary, corpus.sha256, windows, validation, run, checkpoint.progress, state)


def model_of(checkpoint: Checkpoint, **changes: object) -> LanguageModel:
    """The checkpoint's model alone, to sample or to score. changes: backend, device, precision; None is as trained."""
    given = {name: value for name, value in changes.items() if value is not None}
    model = _build(checkpoint.config.with_overrides(given), checkpoint.vocabulary)
    model.load_parameters(checkpoint.model)
    return model


def diagnosis(train_loss: float, val_loss: float) -> tuple[Literal["overfitting", "underfitting", "balanced"], str]:
    """What the gap between training and validation loss, both without dropout, says to try next."""
    gap = (val_loss - train_loss) / max(train_loss, 1e-9)  # a text without surprise costs nothing
    numbers = f"train {train_loss:.4f}, validation {val_loss:.4f}, gap {gap:+.1%}"
    if gap > 0.10:
        return "overfitting", f"{numbers}: overfitting; try more dropout, a smaller network, or more text"
    if gap < 0.02:
        return "underfitting", f"{numbers}: underfitting; try more epochs, more layers or larger hidden_sizes"
    return "balanced", f"{numbers}: balanced"

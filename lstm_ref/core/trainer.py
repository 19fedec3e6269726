"""The one training loop: epochs, carry, evaluation, checkpoints, resume, stopping. It knows `LanguageModel` only.

Steps are counted through all epochs, which need not have equally many. A step's number gives its epoch, its window, its
dropout and its learning rate; what it does depends on that and on the state that a checkpoint holds, and on nothing
else. So a run that was stopped goes on bit by bit as if it had not.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from lstm_ref.core.batching import Epoch, Window, evaluation_segments
from lstm_ref.core.checkpoint import Checkpoint, Progress
from lstm_ref.core.config import CHANGEABLE, RunConfig
from lstm_ref.core.corpora import Corpus
from lstm_ref.core.dataset import build_vocabulary, encode_corpus
from lstm_ref.core.draws import Draws
from lstm_ref.core.environment import versions
from lstm_ref.core.errors import CheckpointError, ConfigError, DataError, DivergedError, InterruptedRunError
from lstm_ref.core.evaluation import mean_nll
from lstm_ref.core.language_model import Build, LanguageModel, State, StepResult, StepSettings, load_backend
from lstm_ref.core.log_record import LogRecord
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.remedy import remedy
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.schedule import averaging_begins, learning_rate
from lstm_ref.core.stream import Stream, training_stream
from lstm_ref.core.vocab import Vocabulary


@dataclass(slots=True)
class Observer:
    """How the outside follows a run, and stops it: `stop` returns a signal's number, or 0."""

    on_step: Callable[[Progress], None] = lambda progress: None
    on_log: Callable[[LogRecord], None] = lambda record: None
    stop: Callable[[], int] = lambda: 0


@dataclass(slots=True)
class Trainer:
    """Trains a model on a text and keeps its run folder. Make one with `start` or `resume`: until it is to `fit`, it
    writes nothing there."""

    config: RunConfig
    model: LanguageModel
    vocabulary: Vocabulary
    corpus_sha256: str
    stream: Stream
    validation_ids: np.ndarray
    run: RunFolder
    progress: Progress
    state: State
    observer: Observer = field(default_factory=lambda: Observer())
    _first_step: np.ndarray = field(init=False)  # [epochs + 1], of each epoch; the last is the number of steps
    _epoch: tuple[int, Epoch] | None = field(default=None, init=False)  # the one that is read, and its number
    _pending: list[StepResult] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._first_step = np.cumsum([0, *(self.stream.epoch_length(e) for e in range(self.config.epochs))])

    @property
    def total_steps(self) -> int:
        return int(self._first_step[-1])

    def epoch_of(self, step: int) -> int:
        """The epoch, from 0, of step `step` of 0..total_steps - 1."""
        return int(np.searchsorted(self._first_step, step, side="right")) - 1

    def lr_of(self, step: int) -> float:
        """Before lr_by_length."""
        return learning_rate(self.config, step, self.total_steps, self.progress.plateaus)

    def fit(self) -> Progress:
        """Trains to the end of the last epoch. Raises DivergedError or InterruptedRunError; nothing is lost."""
        try:
            self._train()
        except InterruptedRunError:
            self.save()
            raise
        return self.progress

    def _train(self) -> None:
        progress, config = self.progress, self.config
        self.run.describe(config)
        self.run.forget_after(progress.step)
        if progress.step == 0:  # something to go on with from the first moment, and room on the disk for it
            self.save()
        while True:
            if progress.evaluated_step < progress.step and self._record_is_due():
                self._log()
            self._stop_if_asked()
            if progress.step > 0 and progress.step % config.checkpoint_every == 0:
                self.save()
            if progress.step >= self.total_steps:
                break
            self._step()
        self.save()

    def _record_is_due(self) -> bool:
        return self.progress.step % self.config.print_every == 0 or self._validation_is_due()

    def _validation_is_due(self) -> bool:
        if self.config.validate == "lines":
            return self.progress.step % self.config.print_every == 0
        return self.progress.step in self._first_step

    def _step(self) -> None:
        progress, config, begin = self.progress, self.config, time.perf_counter()
        window = self._next_window()
        part = len(window.inputs) / config.seq_length if config.lr_by_length else 1
        settings = StepSettings(lr=self.lr_of(progress.step) * part, clip=config.clip)
        result = self.model.train_step(window, self.state, Draws(config.seed, progress.step), settings)
        self.state = result.state
        progress.step += 1
        progress.tokens += window.tokens
        self._pending.append(result)
        if config.device == "cpu" or self._record_is_due():
            self._settle()
        elapsed = time.perf_counter() - begin
        progress.seconds += elapsed
        progress.interval_seconds += elapsed
        progress.epoch_seconds += elapsed
        self.observer.on_step(progress)

    def _next_window(self) -> Window:
        """And the state that it begins with: carried inside an epoch, zero at its start and in rows that are fresh."""
        progress = self.progress
        e = self.epoch_of(progress.step)
        k = progress.step - int(self._first_step[e])
        if self._epoch is None or self._epoch[0] != e:
            self._epoch = e, self.stream.epoch(e)
        window = self._epoch[1][k]
        if k == 0:
            self.state = self.model.zero_state(self.config.batch_size)
            progress.epoch_seconds = 0.0
        elif window.fresh is not None:
            self._forget(window.fresh)
        return window

    def _forget(self, rows: np.ndarray) -> None:
        """The state of these rows, bool [B], is zero."""
        if rows.any():
            arrays = self.model.state_arrays(self.state)
            zeroed = {name: np.where(rows[:, None], 0, array) for name, array in arrays.items()}
            self.state = self.model.state_from_arrays(zeroed)

    def _settle(self) -> None:
        """Waits for the losses that are still on their way from a device, and looks at them."""
        progress = self.progress
        first = progress.step - len(self._pending) + 1
        for step, result in enumerate(self._pending, first):
            loss, norm = float(result.loss), float(result.gradient_norm)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise DivergedError(
                    f"loss {loss}, gradient norm {norm} at step {step}: that step updated nothing; "
                    f"{self._remedy(step - 1)}"
                )
            progress.loss, progress.gradient_norm = loss, norm
            progress.loss_sum += loss
            progress.loss_count += 1
        self._pending.clear()

    def _remedy(self, updates: int) -> str:
        return remedy(self.config, self.progress, self.run, updates)

    def evaluate(self, ids: np.ndarray) -> float:
        """Mean negative log-likelihood of `ids` in nats a token, without dropout, from the zero state; of the average,
        where there is one. Always the same windows in the same order.

        Between two steps, as all that asks for a stop: interrupted here, a run that goes on evaluates first."""
        with self._averaged():
            segments = _evaluation_segments(self.config, ids)
            return mean_nll(self.model, segments, lambda window: self._stop_if_asked())[0]

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Meanwhile the model is the one to be judged and kept: of nt-asgd, the average."""
        if not self.progress.averaging:
            yield
            return
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        self.model.exchange_average()
        self.progress.exchanged = not self.progress.exchanged

    def train_loss(self) -> float:
        """Of the first part of the training text, as long as the validation text, without dropout: the number that
        may be compared with the validation loss. The log's training loss has dropout on."""
        return self.evaluate(self.stream.ids[: len(self.validation_ids)])

    def _log(self) -> None:
        """A line, a validation, or both."""
        self._settle()
        progress = self.progress
        val_loss = self._validate() if self._validation_is_due() else None
        best = val_loss is not None and (progress.best_loss is None or val_loss < progress.best_loss)
        if best:
            progress.best_loss, progress.best_step = val_loss, progress.step
        record = self._record(val_loss, best)
        progress.evaluated_step = progress.step
        progress.loss_sum, progress.loss_count, progress.interval_seconds = 0.0, 0, 0.0
        self.run.log(record.to_dict())
        if val_loss is not None:
            self._learn_from(val_loss, best)
        if best:
            with self._averaged():
                self.run.save_best(self.checkpoint())
        self.observer.on_log(record)

    def _validate(self) -> float:
        begin = time.perf_counter()
        val_loss = self.validation_loss()
        self.progress.epoch_seconds += time.perf_counter() - begin
        return val_loss

    def validation_loss(self) -> float:
        """Raises DivergedError where it is not finite."""
        val_loss, step = self.evaluate(self.validation_ids), self.progress.step
        if not math.isfinite(val_loss):
            raise DivergedError(f"validation loss {val_loss} at step {step}; {self._remedy(step)}")
        return val_loss

    def _record(self, val_loss: float | None, best: bool) -> LogRecord:
        progress, config = self.progress, self.config
        return LogRecord(
            epoch=self.epoch_of(progress.step - 1) + 1,
            epochs=config.epochs,
            step=progress.step,
            loss=progress.loss if progress.loss is not None else math.nan,
            mean_loss=progress.loss_sum / max(1, progress.loss_count),
            val_loss=val_loss,
            best=best,
            gradient_norm=progress.gradient_norm if progress.gradient_norm is not None else math.nan,
            lr=self.lr_of(progress.step - 1),
            tokens_per_second=progress.tokens / max(progress.seconds, 1e-9),
            ms_per_step=1000 * progress.interval_seconds / max(1, progress.loss_count),
            epoch_seconds=progress.epoch_seconds,
            seconds=progress.seconds,
        )

    def _learn_from(self, val_loss: float, best: bool) -> None:
        """What a validation changes about the steps after it: see core.schedule."""
        progress, config = self.progress, self.config
        if config.schedule == "plateau" and not best:
            progress.plateaus += 1
        if config.optimizer == "nt-asgd" and not progress.averaging:
            progress.validations += (val_loss,)
            if averaging_begins(progress.validations, config.nonmonotone):
                self.model.start_averaging()
                progress.averaging = True

    def _stop_if_asked(self) -> None:
        """Raises. Called between steps only, so that what is saved then is whole."""
        if signal_number := self.observer.stop():
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


def _build(config: RunConfig, vocabulary: Vocabulary, build: Build | None = None) -> LanguageModel:
    build = build or load_backend(config.backend)
    model_config = config.language_model(len(vocabulary))
    return build(model_config, optimizer=config.update, device=config.device, precision=config.precision)


def _text(config: RunConfig, corpus: Corpus, vocabulary: Vocabulary) -> tuple[Stream, np.ndarray]:
    """What is trained on, and the validation ids. Raises DataError while there is nothing to lose yet."""
    dataset = encode_corpus(corpus, vocabulary, split=config.split)
    stream, validation = training_stream(config, dataset["train"]), dataset["validation"].ids
    try:
        next(_evaluation_segments(config, validation))
    except DataError as error:
        problem = f"{error}" if not config.validation_batch_size else f"{error}".replace("batch_", "validation_batch_")
        raise DataError(f"validation: {problem}") from None
    return stream, validation


def _evaluation_segments(config: RunConfig, ids: np.ndarray) -> Iterator[Iterator[Window]]:
    batch_size = config.validation_batch_size or config.batch_size
    return evaluation_segments(ids, batch_size, config.seq_length, config.evaluation, config.last_target)


def start(config: RunConfig, corpus: Corpus, run: RunFolder, build: Build | None = None) -> Trainer:
    """A new run: initial parameters from the seed. build: of the model, if not the config's backend does it alone."""
    vocabulary = build_vocabulary(
        corpus,
        config.vocabulary,
        config.vocabulary_order,
        split=config.split,
        preparation=config.preparation,
        min_count=config.min_count,
    )
    stream, validation = _text(config, corpus, vocabulary)
    model = _build(config, vocabulary, build)
    model.load_parameters(initial_parameters(model.config, config.seed))
    state = model.zero_state(config.batch_size)
    return Trainer(config, model, vocabulary, corpus.sha256, stream, validation, run, Progress(), state)


def resume(
    checkpoint: Checkpoint,
    corpus: Corpus,
    run: RunFolder,
    changes: Mapping[str, object] | None = None,
    build: Build | None = None,
) -> Trainer:
    """The run of a checkpoint goes on, in either twin. changes: fields to change on the way, such as lr or epochs.
    build: as in `start`."""
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
    stream, validation = _text(config, corpus, vocabulary)
    model = _build(config, vocabulary, build)
    parameters, optimizer = checkpoint.training_state()
    model.load_parameters(parameters)
    model.load_optimizer_state(optimizer)
    progress = replace(checkpoint.progress, exchanged=False)
    if (config.lr, config.schedule) != (checkpoint.config.lr, checkpoint.config.schedule):
        progress.plateaus = 0  # a new lr is taken as it is
    if progress.averaging and optimizer["averaged"] == 0:  # it was to begin with the next step
        model.start_averaging()
    state = model.state_from_arrays(checkpoint.carry)
    return Trainer(config, model, vocabulary, corpus.sha256, stream, validation, run, progress, state)


def model_of(checkpoint: Checkpoint, **changes: object) -> LanguageModel:
    """The checkpoint's model alone, to sample or to score. changes: backend, device, precision; None is as trained."""
    given = {name: value for name, value in changes.items() if value is not None}
    model = _build(checkpoint.config.with_overrides(given), checkpoint.vocabulary)
    model.load_parameters(checkpoint.model)
    return model

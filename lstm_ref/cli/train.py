"""`lstm train`: a preset becomes a run folder."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lstm_ref.cli.predicting import predict
from lstm_ref.cli.progress import TrainingBar
from lstm_ref.cli.signals import StopFlag
from lstm_ref.cli.together import ALONE, Together
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import read_config_file
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.diagnosis import diagnosis
from lstm_ref.core.errors import CheckpointError, PeerLostError, UsageError
from lstm_ref.core.params import describe
from lstm_ref.core.prediction import Fixture
from lstm_ref.core.presets import PRESETS, resolve
from lstm_ref.core.runlog import RunFolder, find_checkpoint
from lstm_ref.core.trainer import Observer, Trainer, model_of, resume, start

RUNS = Path("runs")


def train(
    preset: str | None = None,
    /,
    *,
    assignments: Annotated[list[str] | None, Parameter(name="--set", negative="", metavar="FIELD=VALUE")] = None,
    config: Path | None = None,
    run: Path | None = None,
    resume_from: Annotated[str | None, Parameter(name="--resume", metavar="auto|PATH")] = None,
    backend: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    fixture: Path | None = None,
    data_dir: Path | None = None,
    distributed: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a preset and write a run folder; or go on with a run.

    lstm train char-anna --backend torch --set hidden_sizes=256,256 --set lr=0.002

    A preset is a choice of these fields, here with their defaults. The text:

    - corpus (pydoc): the text; a name of `lstm data list`, or the path of a file or folder
    - vocabulary (char): tokens are char, byte or word
    - vocabulary_order (sorted): of the ids; or seen, as first seen in the text
    - min_count (1): words that training has less often become `<unk>`
    - normalize (false): true keeps ASCII letters and . ! ? of a text only, as the original notebook of words does
    - lower (false): true makes words lower case
    - blank_lines (true): false drops them; else each is a line end
    - validation_fraction (0.1): the last part of a text that has no validation part of its own
    - article_order (fixed): of the training text; or shuffled, another one each epoch

    The model:

    - embedding_size (0): numbers that a token becomes; 0 is one-hot input
    - hidden_sizes (256,256): units of each layer; this matters most, so take what time allows, and add dropout if the
      validation loss stays behind the training loss
    - tied (false): true lets one matrix embed and decode; the last layer is then as large as the embedding
    - dropout_embedding (0): share of the words that a window does without, wherever they stand
    - dropout_input (0): dropout on what the words become
    - dropout_between (0.5): dropout between layers
    - dropout_output (0.5): dropout on the output of the last layer
    - dropout_locked (false): true drops the same units at all steps of a window
    - weight_drop (0): dropout on the recurrent weights
    - ar_alpha (0): penalty on large outputs of the last layer
    - tar_beta (0): penalty on outputs that change from step to step

    Training:

    - epochs (10): passes over the training text
    - batch_size (10): rows of text that are read side by side
    - seq_length (50): steps that gradients reach back; more learns longer context and costs memory
    - window_lengths (fixed): all of seq_length; or mixture, 19 of 20 about that long and one half of it
    - last_target (next): of a row's last window, the next token; or wrap, the original notebook's
    - reset_at_article (false): true clears a row's state after the window in which an article ended
    - optimizer (adam): kind of update; or adamw, sgd, or nt-asgd, which ends as an average of its steps
    - lr (0.001): step size of the optimizer
    - lr_by_length (false): true lets a window of T steps take lr times T / seq_length
    - schedule (constant): of lr; plateau quarters it when a validation is no better than the best, one-cycle warms up
      to it and ends near 0
    - beta1 (0.9): decay of Adam's mean of gradients
    - beta2 (0.999): decay of Adam's mean of their squares
    - eps (1e-08): what Adam adds to their root
    - weight_decay (0): pull of the weights towards 0; adamw applies it apart from the gradient
    - nonmonotone (5): nt-asgd averages once a validation is worse than the best before the last so many
    - clip (5): largest norm of the gradient

    Validation, log and checkpoints:

    - evaluation (full): every token is scored; or windows, full windows only, as the original notebook does
    - validation_batch_size (0): rows of it; 0 is batch_size
    - validate (lines): with every log line; or epochs, at the end of every epoch
    - print_every (10): steps between two log lines
    - checkpoint_every (100): steps between two checkpoints
    - keep_checkpoints (2): so many of the last; the best is kept besides
    And seed, backend, device and precision: the options of these names.

    Parameters
    ----------
    preset
        tiny (text that ships with Python, under a minute), char-anna (2x512 units on Anna Karenina), word-seed (3x200
        units on the words of WikiText-2), awd-wikitext2 (AWD-LSTM on the same, 750 epochs) or word-fast (2x400 units
        on the same, 8 epochs: the word seed's score in little more than an hour, with torch and bf16).
    assignments
        A field of the config, as often as needed. A wrong name lists the fields. Strongest of all sources: before the
        environment (LSTM_LR=0.002), a config file, the preset, and the defaults.
    config
        A TOML file of fields, or a run's config.json.
    run
        The run folder [default: runs/PRESET-DATE-TIME].
    resume_from
        A run folder or checkpoint to go on with; auto: the folder of --run, or else the newest of this preset, and a
        new run where there is none. Then --set may change lr, epochs and whatever does not alter windows or shapes;
        a new lr is taken as it is, whatever the schedule had left of the old one.
    backend
        numpy or torch, or another that is installed.
    device
        cpu or cuda.
    precision
        float32, float64 or bf16 (torch only).
    epochs
        Passes over the training text.
    seed
        Of all random numbers: initial values, dropout, samples.
    fixture
        An .npz file of `lstm data fixture`, whose words the best checkpoint predicts in the end.
    data_dir
        Where named texts are [default: LSTM_DATA, then the cache].
    distributed
        Rows of the batch are shared by the processes that torchrun starts, with the same result as in one (torch only):
        torchrun --standalone --nproc-per-node 2 -m -- lstm_ref train PRESET --backend torch --distributed. batch_size
        is that of all together. With --device cuda each takes a device of its own.
    quiet
        No bar and no log lines; metrics.jsonl has them.
    """
    flags = {"backend": backend, "device": device, "precision": precision, "epochs": epochs, "seed": seed}
    changes: dict[str, object] = {name: value for name, value in flags.items() if value is not None}
    changes = dict(map(parse_assignment, assignments or [])) | changes
    with Together(distributed) as together:
        if (previous := _previous(resume_from, preset, run)) is not None:
            if config is not None:
                changes = read_config_file(config) | changes
            path, is_its_own = _folder_of(previous, run)
            with together.folder(path, resume=is_its_own) as folder:
                checkpoint = _checkpoint_at(previous, folder)
                corpus = load_corpus(checkpoint.config.corpus, data_dir)
                changed = checkpoint.config.with_overrides(changes)
                place = together.join(changed, corpus, folder, checkpoint.progress.step)
                trainer = resume(checkpoint, corpus, place, changes, together.build)
                _fit_and_predict(trainer, fixture, quiet, together)
            return
        if preset is None:
            raise UsageError(f"no preset given: lstm train PRESET, one of {', '.join(PRESETS)}, or --resume PATH")
        resolved = resolve(preset, file=config, environ=os.environ, flags=changes)
        corpus = load_corpus(resolved.corpus, data_dir)
        with together.folder(run or RUNS / f"{preset}-{datetime.now(UTC):%Y%m%d-%H%M%S}") as folder:
            place = together.join(resolved, corpus, folder, step=0)
            _fit_and_predict(start(resolved, corpus, place, together.build), fixture, quiet, together)


def _fit_and_predict(trainer: Trainer, fixture_file: Path | None, quiet: bool, together: Together) -> None:
    """A fixture is looked at first: nobody shall train for days and then hear that it does not fit."""
    fixture = None if fixture_file is None else Fixture.load(fixture_file, trainer.vocabulary)
    fit(trainer, quiet, together)
    if fixture is not None and together.speaks:
        config, best = trainer.config, Checkpoint.load(find_checkpoint(trainer.run.path))
        model = model_of(best, backend=config.backend, device=config.device, precision=config.precision)
        predict(model, fixture)
    together.note(f"lstm sample {trainer.run.path}")


def fit(trainer: Trainer, quiet: bool, together: Together = ALONE) -> None:
    """Trains with a bar and a handler for signals, and says at the end where everything is."""
    config, progress = trainer.config, trainer.progress
    together.note(describe(trainer.model.config))
    processes = f", {together.ranks.size} processes" if together.distributed else ""
    together.note(
        f"{config.backend}, {config.device}, {config.precision}, seed {config.seed}{processes}; {trainer.run.path}"
    )
    with (
        StopFlag(together.speaks) as stop,
        TrainingBar(config, trainer.total_steps, progress.step, quiet or not together.speaks) as bar,
    ):
        trainer.observer = Observer(bar.step, bar.log, lambda: together.agree(stop()))
        try:
            trainer.fit()
            val_loss, train_loss = trainer.validation_loss(), trainer.train_loss()
        except PeerLostError as error:
            raise PeerLostError(f"{error}; go on with --resume {trainer.run.path}") from None
    together.note(f"{diagnosis(train_loss, val_loss)[1]} (nats a token, no dropout)")
    if progress.best_loss is not None:
        together.note(f"best validation loss {progress.best_loss:.4f} at step {progress.best_step}")


def parse_assignment(text: str) -> tuple[str, str]:
    """`--set FIELD=VALUE`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set {text!r}: expected FIELD=VALUE, such as --set lr=0.002")
    return name.strip().replace("-", "_"), value.strip()


def _previous(resume_from: str | None, preset: str | None, run: Path | None) -> Path | None:
    """The run folder or checkpoint file to go on with, or None for a new run."""
    if resume_from != "auto":
        return None if resume_from is None else Path(resume_from)
    candidates = [run] if run is not None else sorted(RUNS.glob(f"{preset}-*"))
    with_checkpoints = [path for path in candidates if any(path.glob("checkpoints/step-*.safetensors"))]
    return with_checkpoints[-1] if with_checkpoints else None


def _folder_of(previous: Path, run: Path | None) -> tuple[Path, bool]:
    """The run folder to go on in, and whether it is the checkpoint's own: a branch needs a new one."""
    if not previous.exists():
        raise CheckpointError(f"cannot go on with {previous}: there is nothing; expected a run folder or a checkpoint")
    own = previous.parent.parent if previous.is_file() else previous
    if run is None and previous.is_file() and previous.parent.name != "checkpoints":
        raise UsageError(f"{previous} is in no run folder: name one to go on in with --run")
    path = run or own
    return path, path.resolve() == own.resolve()


def _checkpoint_at(previous: Path, folder: RunFolder) -> Checkpoint:
    """Raises UsageError where the folder holds later checkpoints than the one asked for: they would be mixed up."""
    checkpoint = Checkpoint.load(previous) if previous.is_file() else folder.latest(previous / "checkpoints")
    newest = folder.newest_step()
    if newest > checkpoint.progress.step:
        raise UsageError(
            f"{folder.path} has a checkpoint of step {newest}, later than step {checkpoint.progress.step} of "
            f"{previous}; name a new folder for the branch with --run"
        )
    return checkpoint

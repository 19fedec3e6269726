"""`lstm train`: a preset becomes a run folder."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lstm_ref.cli.console import note
from lstm_ref.cli.progress import TrainingBar
from lstm_ref.cli.signals import StopFlag
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import PRESETS, read_config_file, resolve
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.errors import CheckpointError, UsageError
from lstm_ref.core.params import describe
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Observer, Trainer, diagnosis, resume, start

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
    data_dir: Path | None = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a preset and write a run folder; or go on with a run.

    lstm train char-anna --backend torch --set hidden_sizes=256,256 --set lr=0.002

    Parameters
    ----------
    preset
        tiny (text that ships with Python, under a minute) or char-anna (2x512 units on Anna Karenina).
    assignments
        A field of the config, as often as needed. A wrong name lists the fields. Strongest of all sources: before the
        environment (LSTM_LR=0.002), a config file, the preset, and the defaults. What the numbers do: hidden_sizes
        (units of each layer) matters most; take what time allows, and add dropout if the validation loss stays behind
        the training loss. batch_size rows of text are read side by side. seq_length is how far back gradients reach:
        longer learns longer context and costs memory. lr is Adam's step size.
    config
        A TOML file of fields, or a run's config.json.
    run
        The run folder [default: runs/PRESET-DATE-TIME].
    resume_from
        A run folder or checkpoint to go on with; auto: the folder of --run, or else the newest of this preset, and a
        new run where there is none. Then --set may change lr, epochs and whatever does not alter windows or shapes.
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
    data_dir
        Where named texts are [default: LSTM_DATA, then the cache].
    quiet
        No bar and no log lines; metrics.jsonl has them.
    """
    flags = {"backend": backend, "device": device, "precision": precision, "epochs": epochs, "seed": seed}
    changes: dict[str, object] = {name: value for name, value in flags.items() if value is not None}
    changes = dict(map(_assignment, assignments or [])) | changes
    previous = _previous(resume_from, preset, run)
    if previous is not None:
        if config is not None:
            changes = read_config_file(config) | changes
        path, is_its_own = _folder_of(previous, run)
        with RunFolder(path, resume=is_its_own) as folder:
            checkpoint = _checkpoint_at(previous, folder)
            corpus = load_corpus(checkpoint.config.corpus, data_dir)
            fit(resume(checkpoint, corpus, folder, changes), quiet)
            note(f"lstm sample {folder.path}")
        return
    if preset is None:
        raise UsageError(f"no preset given: lstm train PRESET, one of {', '.join(PRESETS)}, or --resume PATH")
    resolved = resolve(preset, file=config, environ=os.environ, flags=changes)
    corpus = load_corpus(resolved.corpus, data_dir)
    with RunFolder(run or RUNS / f"{preset}-{datetime.now(UTC):%Y%m%d-%H%M%S}") as folder:
        fit(start(resolved, corpus, folder), quiet)
        note(f"lstm sample {folder.path}")


def fit(trainer: Trainer, quiet: bool) -> None:
    """Trains with a bar and a handler for signals, and says at the end where everything is."""
    config, progress = trainer.config, trainer.progress
    note(describe(trainer.model.config))
    note(f"{config.backend}, {config.device}, {config.precision}, seed {config.seed}; {trainer.run.path}")
    with (
        StopFlag() as stop,
        TrainingBar(trainer.total_steps, config.batch_size * config.seq_length, progress.step, quiet) as bar,
    ):
        trainer.observer = Observer(bar.step, bar.log, stop)
        trainer.fit()
        train_loss, val_loss = trainer.train_loss(), trainer.evaluate(trainer.validation_ids)
    note(f"{diagnosis(train_loss, val_loss)[1]} (nats a token, no dropout)")
    if progress.best_loss is not None:
        note(f"best validation loss {progress.best_loss:.4f} at step {progress.best_step}")


def _assignment(text: str) -> tuple[str, str]:
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

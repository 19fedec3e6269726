"""`python -m benchmarks.side_by_side PRESET`: both twins train the first steps of a run on a real text, or the next
steps of one (--resume), one after the other, and the losses of every step are laid side by side.

The twins draw the same windows, masks and initial values, so that in exact arithmetic every loss would be equal. What
is left is rounding, which a run amplifies: its bounds are no error model but what the run is asked to show, 1e-3 nats
in float32 and 1e-8 in float64.

A preset that lacks a regulariser gets AWD-LSTM's value of it (EVERY_REGULARIZER), so that all of them are on in every
comparison.
"""

import contextlib
import json
import signal
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from benchmarks.command import run, show_progress
from lstm_ref.cli.train import parse_assignment
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus, load_corpus
from lstm_ref.core.environment import environment
from lstm_ref.core.errors import ConformanceError, InterruptedRunError, UsageError
from lstm_ref.core.presets import preset
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Observer, Trainer, resume, start

RESULTS = Path(__file__).parent / "results"
TWINS = ("numpy", "torch")
BOUNDS = {"float32": 1e-3, "float64": 1e-8}  # nats
EVERY_REGULARIZER = {
    "dropout_embedding": 0.1,
    "dropout_input": 0.65,
    "dropout_between": 0.2,
    "dropout_output": 0.4,
    "weight_drop": 0.5,
    "ar_alpha": 2.0,
    "tar_beta": 1.0,
    "weight_decay": 1.2e-6,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """losses: of every step, by twin, in nats a token."""

    command: str
    date: str
    config: RunConfig
    after: int  # steps that the run had before
    losses: dict[str, list[float]]

    @property
    def worst(self) -> float:
        """Largest difference between the twins' losses of one step; NaN if one is NaN."""
        differences = [abs(a - b) for a, b in zip(*self.losses.values(), strict=True)]
        return max(differences, key=lambda difference: (difference != difference, difference))

    @property
    def bound(self) -> float:
        return BOUNDS[self.config.precision]

    def to_json(self) -> str:
        facts = {"command": self.command, "date": self.date, "environment": environment()}
        found = {
            "after": self.after,
            "steps": len(self.losses[TWINS[0]]),
            "worst_difference": self.worst,
            "bound": self.bound,
        }
        return json.dumps(facts | found | {"config": self.config.to_dict(), "losses": self.losses}, indent=1) + "\n"


def with_every_regularizer(config: RunConfig) -> RunConfig:
    """Those that the config has stay as they are."""
    missing = {name: value for name, value in EVERY_REGULARIZER.items() if not getattr(config, name)}
    return config.with_overrides(missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What both twins go on from: a new run of `config`, or a checkpoint of one."""

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


def losses_from(beginning: Beginning, steps: int, backend: str) -> list[float]:
    """The training losses of the next steps. Raises UsageError where the run has fewer."""
    losses: list[float] = []
    with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder, "run")) as run:
        trainer = beginning.trainer(backend, run)
        left = trainer.total_steps - beginning.after
        if left < steps:
            raise UsageError(f"steps={steps}: the run has {left}; take fewer, or more epochs")

        def on_step(progress: object) -> None:
            losses.append(float(trainer.progress.loss))  # type: ignore[arg-type]
            show_progress(f"{backend}, step {len(losses)} of {steps}, loss {losses[-1]:.6f}")

        def stop() -> int:
            return signal.SIGINT if len(losses) == steps else 0

        trainer.observer = Observer(on_step=on_step, stop=stop)
        with contextlib.suppress(InterruptedRunError):  # as asked for, by `stop`
            trainer.fit()
    show_progress("")
    return losses


app = App(name="python -m benchmarks.side_by_side", help_format="plaintext", version_flags=())


@app.default
def side_by_side(
    preset_name: Annotated[str, Parameter(name="preset")],
    /,
    *,
    steps: int,
    precision: Literal["float32", "float64"] = "float32",
    assignments: Annotated[list[str] | None, Parameter(name="--set", negative="", metavar="FIELD=VALUE")] = None,
    resume_from: Annotated[Path | None, Parameter(name="--resume")] = None,
    data_dir: Path | None = None,
    out: Path | None = None,
) -> None:
    """Both twins' losses of the first steps of a run, step by step; or of the next steps.

    Parameters
    ----------
    preset_name
        word-seed, awd-wikitext2, ... ; every regulariser that it lacks is switched on.
    steps
        So many, from the first.
    precision
        float32 or float64.
    assignments
        A field of the config, as often as needed.
    resume_from
        A checkpoint of the preset's, to go on from. Its config holds, but for the precision.
    data_dir
        Where named texts are [default: LSTM_DATA, then the cache].
    out
        The JSON file [default: benchmarks/results/DATE-twins-PRESET-PRECISION.json].
    """
    checkpoint = None if resume_from is None else Checkpoint.load(resume_from)
    config = checkpoint.config if checkpoint else preset(preset_name)
    changes = dict(map(parse_assignment, assignments or []))
    if checkpoint and changes:
        raise UsageError("--set with --resume: a run's config holds; leave --set out")
    config = with_every_regularizer(config.with_overrides(changes)).with_overrides({"precision": precision})
    date = datetime.now(UTC).isoformat(timespec="minutes")
    path = out or RESULTS / f"{date[:10]}-twins-{preset_name}-{precision}.json"
    if path.exists():
        raise UsageError(f"{path.name} is there already: take another --out")
    corpus = load_corpus(config.corpus, data_dir)
    options = [f"--steps {steps} --precision {precision}", *(f"--set {text}" for text in assignments or [])]
    options += [] if resume_from is None else [f"--resume {resume_from.name}"]
    beginning = Beginning(config=config, corpus=corpus, checkpoint=checkpoint)
    found = SideBySide(
        command=" ".join(["python -m benchmarks.side_by_side", preset_name, *options]),
        date=date,
        config=config,
        after=beginning.after,
        losses={backend: losses_from(beginning, steps, backend) for backend in TWINS},
    )
    path.write_text(found.to_json(), encoding="utf-8")
    first, last = (f"{found.losses[TWINS[0]][n]:.6f}" for n in (0, -1))
    print(f"{preset_name}, {precision}, {steps} steps: loss {first} to {last}")
    print(f"worst difference between the twins {found.worst:.1e} nats, allowed {found.bound:.0e}")
    if not found.worst <= found.bound:
        raise ConformanceError(f"the twins differ by {found.worst:.1e} nats; see {path.name}")


if __name__ == "__main__":
    sys.exit(run(app, sys.argv[1:]))

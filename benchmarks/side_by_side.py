"""`python -m benchmarks.side_by_side PRESET`: both twins train the first steps of a run on a real text, or the next
steps of one (--resume), one after the other, and the losses of every step are laid side by side.

The twins draw the same windows, masks and initial values, so that in exact arithmetic every loss would be equal. What
is left is rounding, which a run amplifies: its bounds are no error model but what the run is asked to show, 1e-3 nats
in float32 and 1e-8 in float64.

Some runs amplify more than that: at a high learning rate and few tokens a step, an early difference of one unit in the
last place grows a billionfold, and no two programs can agree. --explain then tells a wrong line from rounding
(benchmarks.twin_runs): each twin beside itself, begun one unit in the last place away, says how far apart the run puts
equal programs, and the twins may be ROUNDINGS times as far; torch, realigned with NumPy at every step, is held to the
bound at every one of them.

A preset that lacks a regulariser gets AWD-LSTM's value of it (EVERY_REGULARIZER), so that all of them are on in every
comparison.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from benchmarks.command import run
from benchmarks.twin_runs import Beginning, losses_from, realigned_losses
from lstm_ref.cli.train import parse_assignment
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.environment import environment
from lstm_ref.core.errors import ConformanceError, UsageError
from lstm_ref.core.presets import preset

RESULTS = Path(__file__).parent / "results"
TWINS = ("numpy", "torch")
BOUNDS = {"float32": 1e-3, "float64": 1e-8}  # nats
ROUNDINGS = 10  # the twins round their own way at every step, a moved beginning is off once
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
class Explanation:
    """What a run makes of rounding. moved: losses as SideBySide's, of runs that began one unit in the last place away;
    realigned: torch's of a step, and of the step after it, from NumPy's parameters before it."""

    moved: dict[str, list[float]]
    realigned: list[list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """losses: of every step, by twin, in nats a token."""

    command: str
    date: str
    config: RunConfig
    after: int  # steps that the run had before
    losses: dict[str, list[float]]
    explanation: Explanation | None = None

    @property
    def bound(self) -> float:
        return BOUNDS[self.config.precision]

    @property
    def differences(self) -> list[float]:
        """Of the twins, by step, in nats."""
        return _differences(*self.losses.values())

    @property
    def worst(self) -> float:
        """Largest of the differences; NaN if one is NaN."""
        return _worst(self.differences)

    @property
    def worst_realigned(self) -> float:
        """Largest difference of torch's losses, begun from NumPy's parameters, from NumPy's. Explained runs only."""
        numpy, realigned = self.losses["numpy"], self.explanation.realigned
        return _worst([d for n, torch in enumerate(realigned) for d in _differences(torch, numpy[n : n + len(torch)])])

    @property
    def amplified(self) -> list[float]:
        """How far from itself a twin is, at most up to each step, that began one unit in the last place away. Explained
        runs only."""
        moved = self.explanation.moved
        apart = [_differences(self.losses[twin], moved[twin]) for twin in TWINS]
        return list(accumulate(map(max, *apart), max))

    @property
    def agrees(self) -> bool:
        """Every difference is within the bound; or, explained, no more than the run makes of rounding, and within the
        bound wherever both twins begin a step with the same parameters."""
        if self.explanation is None:
            return self.worst <= self.bound
        allowed = [max(self.bound, ROUNDINGS * a) for a in self.amplified]
        of_rounding = all(d <= most for d, most in zip(self.differences, allowed, strict=True))
        return of_rounding and self.worst_realigned <= self.bound

    def lines(self) -> list[str]:
        """For people."""
        losses = self.losses[TWINS[0]]
        found = [
            f"{len(losses)} steps in {self.config.precision}: loss {losses[0]:.6f} to {losses[-1]:.6f}",
            f"worst difference between the twins {self.worst:.1e} nats, allowed {self.bound:.0e}",
        ]
        if self.explanation:
            found += [
                f"between a twin and itself, begun one unit in the last place away: {self.amplified[-1]:.1e}",
                f"between the twins, begun at every step with the same parameters: {self.worst_realigned:.1e}",
            ]
        if self.agrees and self.worst > self.bound:
            found.append("more than allowed, but no more than this run makes of rounding: the twins agree")
        return found

    def to_json(self) -> str:
        facts = {"command": self.command, "date": self.date, "environment": environment()}
        found = {
            "after": self.after,
            "steps": len(self.losses[TWINS[0]]),
            "worst_difference": self.worst,
            "bound": self.bound,
        }
        if self.explanation:
            found |= {"worst_realigned": self.worst_realigned, "amplified": self.amplified}
        arrays = {"losses": self.losses} | (asdict(self.explanation) if self.explanation else {})
        return json.dumps(facts | found | {"config": self.config.to_dict()} | arrays, indent=1) + "\n"


def _differences(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [abs(x - y) for x, y in zip(a, b, strict=True)]


def _worst(differences: Sequence[float]) -> float:
    return max(differences, key=lambda difference: (difference != difference, difference))


def with_every_regularizer(config: RunConfig) -> RunConfig:
    """Those that the config has stay as they are."""
    missing = {name: value for name, value in EVERY_REGULARIZER.items() if not getattr(config, name)}
    return config.with_overrides(missing)


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
    explain: Annotated[bool, Parameter(negative="")] = False,
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
    explain
        Also what the run makes of rounding; takes four times as long and more.
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
    options = [f"--steps {steps} --precision {precision}", *(f"--set {text}" for text in assignments or [])]
    options += [] if resume_from is None else [f"--resume {resume_from.name}"]
    options += ["--explain"] * explain
    beginning = Beginning(config=config, corpus=load_corpus(config.corpus, data_dir), checkpoint=checkpoint)
    found = SideBySide(
        command=" ".join(["python -m benchmarks.side_by_side", preset_name, *options]),
        date=date,
        config=config,
        after=beginning.after,
        **measure(beginning, steps, explain),
    )
    path.write_text(found.to_json(), encoding="utf-8")
    print("\n".join(found.lines()))
    if not found.agrees:
        reason = ", which is more than this run makes of rounding" if explain else ""
        raise ConformanceError(f"the twins differ by {found.worst:.1e} nats{reason}; see {path.name}")


def measure(beginning: Beginning, steps: int, explain: bool) -> dict[str, Any]:
    """The losses of both twins, and their explanation if it is asked for, as SideBySide takes them."""
    if not explain:
        return {"losses": {twin: losses_from(beginning, steps, twin) for twin in TWINS}}
    numpy, realigned = realigned_losses(beginning, steps)
    moved = {twin: losses_from(beginning, steps, twin, moved=True) for twin in TWINS}
    losses = {"numpy": numpy, "torch": losses_from(beginning, steps, "torch")}
    return {"losses": losses, "explanation": Explanation(moved=moved, realigned=realigned)}


if __name__ == "__main__":
    sys.exit(run(app, sys.argv[1:]))

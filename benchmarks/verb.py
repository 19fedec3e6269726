"""`lstm bench`: how fast are the twins, beside others and beside the machine's limit?

Thin: what it does stands in run.py, sweep.py and plot.py. Progress goes to stderr, the tables to stdout.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from lstm_ref.core.errors import UsageError

RESULTS = Path(__file__).parent / "results"
QUICK_ROUNDS, LEAST_ROUNDS = 2, 7

app = App(name="bench", help_format="markdown")

Quick = Annotated[bool, Parameter(negative="")]


@app.default
def bench(*cases: str, quick: Quick = False, rounds: int = 15, out: Path | None = None, name: str = "bench") -> None:
    """Time the twins beside other implementations, all in one run, interleaved, each proved right first.

    Parameters
    ----------
    cases
        character-step, character-step-bf16, character-sample, word-seed-step, awd-step, small-step, batch-1-step,
        start; all unless named.
    quick
        Two rounds, to see that it works: not to be quoted, and written only where --out says.
    rounds
        At least 7, after two warm-up rounds.
    out
        The folder for DATE-NAME.json and .md [default: benchmarks/results of the checkout, else the current folder].
    name
        What to call the result.
    """
    from benchmarks.cases import CASES, StartCase
    from benchmarks.command import show_progress
    from benchmarks.report import Report
    from benchmarks.roofline import FULL, QUICK, measured
    from benchmarks.run import run_cases

    chosen = _chosen(cases, tuple(CASES), "case")
    now, paths = _begin(quick, rounds, out, name)
    taken, warmups = (QUICK_ROUNDS, 1) if quick else (rounds, 2)
    asked = [CASES[case] for case in chosen]
    results = run_cases(asked, rounds=taken, warmups=warmups, progress=show_progress)
    of_models = [case for case in asked if not isinstance(case, StartCase)]
    roofline = measured(of_models, QUICK if quick else FULL, show_progress) if of_models else None
    report = Report(
        name=f"{name}, quick: not to be quoted" if quick else name,
        date=now,
        command=_command("lstm bench", cases, quick, rounds),
        cases=results,
        roofline=roofline,
    )
    show_progress("")
    _end(report.to_json(), report.to_markdown(), paths)


@app.command
def sweep(
    *dimensions: str, quick: Quick = False, rounds: int = 7, out: Path | None = None, name: str = "sweep"
) -> None:
    """How the cost of a training step grows with its sizes and with threads: exponents, fitted and expected.

    Parameters
    ----------
    dimensions
        T, B, H, V, threads; all unless named.
    quick
        Two rounds at tiny sizes, to see that it works: not to be quoted, and written only where --out says.
    rounds
        At least 7, after two warm-up rounds.
    out
        The folder for DATE-NAME.json and .md [default: benchmarks/results of the checkout, else the current folder].
    name
        What to call the result.
    """
    from benchmarks.command import show_progress
    from benchmarks.sweep import DIMENSIONS, SweepReport, run_sweep

    chosen = _chosen(dimensions, DIMENSIONS, "dimension")
    now, paths = _begin(quick, rounds, out, name)
    taken, warmups = (QUICK_ROUNDS, 1) if quick else (rounds, 2)
    report = SweepReport(
        name=f"{name}, quick: not to be quoted" if quick else name,
        date=now,
        command=_command("lstm bench sweep", dimensions, quick, rounds),
        sweeps=[
            run_sweep(dimension, quick=quick, rounds=taken, warmups=warmups, progress=show_progress)
            for dimension in chosen
        ],
    )
    show_progress("")
    _end(report.to_json(), report.to_markdown(), paths)


@app.command
def plot(*files: Path, out: Path | None = None) -> None:
    """Pictures of result files: speed beside the peer, share of the limit, cost against sizes and threads.

    Parameters
    ----------
    files
        JSON files that `lstm bench` or `lstm bench sweep` wrote.
    out
        The folder for FILE-ratio.svg, FILE-limit.svg or FILE-cost.svg [default: that of each file].
    """
    if not files:
        raise UsageError("no file: expected the JSON files that `lstm bench` or `lstm bench sweep` wrote")
    from benchmarks.plot import plot_file

    for file in files:
        for picture in plot_file(file, out or file.parent):
            print(picture)


def _chosen(names: Sequence[str], known: Sequence[str], what: str) -> Sequence[str]:
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"unknown {what} {unknown[0]!r}; {what}s: {', '.join(known)}")
    return names or known


def _begin(quick: bool, rounds: int, out: Path | None, name: str) -> tuple[str, list[Path]]:
    """The date, and the files to write. Raises UsageError before hours are spent, not after them."""
    from benchmarks.report import result_paths

    if rounds < LEAST_ROUNDS:
        raise UsageError(f"rounds={rounds}: expected at least {LEAST_ROUNDS}; to try it out take --quick")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    paths = [] if quick and out is None else result_paths(out or results_folder(), now, name)
    if taken := [path.name for path in paths if path.exists()]:
        raise UsageError(f"{taken[0]} is there already: take another --name or --out")
    return now, paths


def results_folder() -> Path:
    """Where the package is installed there is no place for results."""
    return RESULTS if (RESULTS.parent.parent / "pyproject.toml").exists() else Path.cwd()


def _command(verb: str, names: Sequence[str], quick: bool, rounds: int) -> str:
    return " ".join([verb, *names, *(["--quick"] if quick else ["--rounds", str(rounds)])])


def _end(as_json: str, as_markdown: str, paths: Sequence[Path]) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(as_json if path.suffix == ".json" else as_markdown, encoding="utf-8")
    print(as_markdown)

"""`python -m benchmarks`: prove every contender, then time all in turn. Progress on stderr, the table on stdout."""

import datetime
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from benchmarks import command
from benchmarks.cases import CASES
from benchmarks.command import show_progress
from benchmarks.report import Report, result_paths
from benchmarks.run import run_case
from lstm_ref.core.errors import UsageError

RESULTS = Path(__file__).parent / "results"
QUICK_ROUNDS, LEAST_ROUNDS = 2, 7

app = App(name="python -m benchmarks", help_format="plaintext", version_flags=())


@app.default
def benchmark(
    *cases: str,
    quick: Annotated[bool, Parameter(negative="")] = False,
    rounds: int = 15,
    out: Path | None = None,
    name: str = "character",
) -> None:
    """Time the twins beside other implementations, all in one run, interleaved, each proved right first.

    Parameters
    ----------
    cases
        character-step, character-sample; all unless named.
    quick
        Two rounds, to see that it works: not to be quoted, and written only where --out says.
    rounds
        At least 7, after two warm-up rounds.
    out
        The folder for <date>-<name>.json and .md; benchmarks/results unless given.
    name
        What to call the result.
    """
    if unknown := [case for case in cases if case not in CASES]:
        raise UsageError(f"unknown case {unknown[0]!r}; cases: {', '.join(CASES)}")
    if rounds < LEAST_ROUNDS:
        raise UsageError(f"rounds={rounds}: expected at least {LEAST_ROUNDS}; to try it out take --quick")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    paths = [] if quick and out is None else result_paths(out or RESULTS, now, name)
    if taken := [path.name for path in paths if path.exists()]:
        raise UsageError(f"{taken[0]} is there already: take another --name or --out")
    options = ["--quick"] if quick else ["--rounds", str(rounds)]
    rounds, warmups = (QUICK_ROUNDS, 1) if quick else (rounds, 2)
    report = Report(
        name=f"{name}, quick: not to be quoted" if quick else name,
        date=now,
        command=" ".join(["python -m benchmarks", *cases, *options]),
        cases=[
            run_case(CASES[case], rounds=rounds, warmups=warmups, progress=show_progress) for case in cases or CASES
        ],
    )
    show_progress("")
    report.write(paths)
    print(report.to_markdown())


def run(arguments: list[str]) -> int:
    return command.run(app, arguments)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

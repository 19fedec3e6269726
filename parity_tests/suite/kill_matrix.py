"""Which check kills which mutant: the proof that the suite can fail, as a command.

    python -m parity_tests.suite.kill_matrix      # writes kill_matrix.md beside this file

A mutant is killed by a check that says FAIL. ROUNDING and SUSPECT do not count, but for the one whose only fault is a
coarser format: it is caught where that format is named. Mutants are asked what they are wrong
in; on everything else they are the right LSTM bit by bit, which a test holds.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.progress import track

from parity_tests.suite.checks import CHECKS, Check
from parity_tests.suite.mutants.bank import BY_NAME
from parity_tests.suite.mutants.mutant import Mutant
from parity_tests.suite.report import CheckResult, Verdict
from parity_tests.suite.verify import EXAMPLES, run_check

FILE = Path(__file__).with_name("kill_matrix.md")


def checks_of(mutant: Mutant) -> Iterator[Check]:
    return (check for check in CHECKS if check.operation in mutant.operations)


def killers(mutant: Mutant, examples: int = EXAMPLES) -> list[str]:
    """The names of all checks that kill it."""
    wrong = mutant.make()
    results = (run_check(check, wrong, examples, shrink=False) for check in checks_of(mutant))
    return [result.name for result in results if is_killed(mutant, result)]


def is_killed(mutant: Mutant, result: CheckResult) -> bool:
    return result.verdict is Verdict.FAIL or (
        mutant.rounds_as != "" and result.reason == f"rounds as {mutant.rounds_as}"
    )


def markdown(matrix: dict[str, list[str]]) -> str:
    """The whole table, and what it says of the checks."""
    kills = {check.name: sum(check.name in killed for killed in matrix.values()) for check in CHECKS}
    lines = [
        "# Kill matrix",
        "",
        f"{sum(map(bool, matrix.values()))} of {len(matrix)} mutants are killed. Made by "
        "`python -m parity_tests.suite.kill_matrix`.",
        "",
        "| mutant | wrong line | case | checks that kill it |",
        "|---|---|---|---|",
    ]
    for name, killed in matrix.items():
        mutant = BY_NAME[name]
        line = mutant.line.replace("|", "\\|")
        star = " *" if mutant.likely else ""
        lines.append(f"| {name}{star} | `{line}` | {mutant.case} | {len(killed)}: {', '.join(killed) or '**none**'} |")
    lines += ["", "\\* one of the 20 likeliest: at least two checks kill it.", "", "| check | kills |", "|---|---|"]
    lines += [f"| {check.level} {check.name} | {kills[check.name]} |" for check in CHECKS]
    return "\n".join(lines) + "\n"


def _killers_by_name(name: str) -> list[str]:
    return killers(BY_NAME[name])


def main() -> None:
    with ProcessPoolExecutor() as pool:
        found = pool.map(_killers_by_name, BY_NAME)
        killed = list(track(found, "killing", total=len(BY_NAME), disable=not sys.stderr.isatty()))
    matrix = dict(zip(BY_NAME, killed))
    FILE.write_text(markdown(matrix), encoding="utf-8")
    print(f"{sum(map(bool, matrix.values()))} of {len(matrix)} mutants killed; {FILE.name} written")


if __name__ == "__main__":
    main()

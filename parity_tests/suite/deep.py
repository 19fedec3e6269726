"""A search for false alarms: the twins, and the right cells from history, through every check with many seeds.

    python -m parity_tests.suite.deep      # writes deep.md beside this file; about 20 minutes on two cores

Each run is one that a user could have had: `verify` with its usual number of examples, and other questions. What is
right must pass in all of them, or the suite cries wolf.
"""

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from parity_tests.suite.adapter import Adapter, as_adapter, load_object
from parity_tests.suite.history import RIGHT
from parity_tests.suite.report import Report, Verdict
from parity_tests.suite.tried import OBJECTS
from parity_tests.suite.verify import verify

FILE = Path(__file__).with_name("deep.md")
TWINS = ("NumPy and Numba", "torch twin")
SEEDS = {**dict.fromkeys(TWINS, 40), **{cell.name: 20 for cell in RIGHT}}
SHOWN = (Verdict.PASS, Verdict.ROUNDING, Verdict.SUSPECT, Verdict.FAIL)


@dataclass(frozen=True)
class Run:
    """One implementation with one seed: examples judged, checks by verdict, and the largest error / bound."""

    cases: int
    verdicts: Counter[Verdict]
    nearest: tuple[float, str]

    @classmethod
    def of(cls, report: Report) -> "Run":
        run = [result for result in report.results if result.was_run]
        ratios = [(r.worst_error / r.bound, r.name) for r in run if r.worst_error is not None and r.bound]
        return cls(sum(r.examples for r in run), Counter(r.verdict for r in run), max(ratios))

    def __add__(self, other: "Run") -> "Run":
        return Run(self.cases + other.cases, self.verdicts + other.verdicts, max(self.nearest, other.nearest))


def _adapter(name: str) -> Adapter:
    if name in OBJECTS:
        return as_adapter(load_object(OBJECTS[name]))
    return next(cell for cell in RIGHT if cell.name == name)


def run(name_and_seed: tuple[str, int]) -> tuple[str, Run]:
    name, seed = name_and_seed
    return name, Run.of(verify(_adapter(name), shrink=False, seed=seed))


def markdown(found: dict[str, Run]) -> str:
    cases = {names: sum(found[name].cases for name in names) for names in (TWINS, tuple(found))}
    lines = [
        "# False alarms looked for",
        "",
        f"{cases[TWINS]:,} generated cases on the two twins, and {cases[tuple(found)]:,} with the right cells from "
        "history. Made by `python -m parity_tests.suite.deep`.",
        "",
        f"| right implementation | seeds | cases | {' | '.join(SHOWN)} | nearest its bound |",
        f"|{'---|' * (4 + len(SHOWN))}",
    ]
    for name, total in found.items():
        counts = " | ".join(str(total.verdicts[verdict]) for verdict in SHOWN)
        ratio, check = total.nearest
        lines.append(f"| {name} | {SEEDS[name]} | {total.cases:,} | {counts} | {ratio:.2g} ({check}) |")
    return "\n".join([*lines, "", "pass, rounding, suspect and fail count checks, one a seed."]) + "\n"


def main() -> None:
    found: dict[str, Run] = {}
    jobs = [(name, seed) for name, count in SEEDS.items() for seed in range(count)]
    with ProcessPoolExecutor() as pool:
        for name, one in track(pool.map(run, jobs), "asking", total=len(jobs), disable=not sys.stderr.isatty()):
            found[name] = found[name] + one if name in found else one
    FILE.write_text(markdown(found), encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

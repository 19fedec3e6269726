"""The committed search for false alarms: what it says, and that it can be made again."""

import re
from collections import Counter

from parity_tests.suite.deep import FILE, SEEDS, SHOWN, TWINS, Run, markdown, run
from parity_tests.suite.history import RIGHT
from parity_tests.suite.report import Verdict


def rows() -> dict[str, list[int]]:
    """implementation -> seeds, cases, and checks of each verdict."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    cells = [re.split(r"\s*\|\s*", line)[1:-1] for line in lines]
    return {name: [int(number.replace(",", "")) for number in numbers[:-1]] for name, *numbers in cells}


def test_a_hundred_thousand_cases_on_the_twins_and_twenty_seeds_of_right_cells_raised_no_alarm():
    found = rows()
    assert set(found) == {*TWINS, *(cell.name for cell in RIGHT)}
    assert sum(found[twin][1] for twin in TWINS) >= 100_000
    for name, (seeds, cases, *counts) in found.items():
        verdicts = dict(zip(SHOWN, counts, strict=True))
        assert seeds == SEEDS[name] >= 20
        assert cases >= verdicts[Verdict.PASS] > 0
        assert verdicts[Verdict.FAIL] == verdicts[Verdict.SUSPECT] == verdicts[Verdict.ROUNDING] == 0


def test_runs_add_up_to_a_row_of_the_table():
    name, one = run((RIGHT[0].name, 0))
    _, other = run((RIGHT[0].name, 1))
    total = one + other
    assert total.cases == one.cases + other.cases > 0
    assert total.verdicts[Verdict.PASS] == one.verdicts[Verdict.PASS] + other.verdicts[Verdict.PASS]
    assert total.nearest == max(one.nearest, other.nearest)
    wrong = Run(1, Counter({Verdict.FAIL: 1}), (2.0, "cell"))
    text = markdown(dict.fromkeys(TWINS, total) | {name: total + wrong})
    assert f"{2 * total.cases:,} generated cases on the two twins" in text
    assert f"| {total.cases + 1:,} | {total.verdicts[Verdict.PASS]} | 0 | 0 | 1 | 2 (cell) |" in text

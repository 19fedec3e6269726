"""Every row of the specification is proved by a test, or answered in the README; and ROWS.md says where."""

import re
from pathlib import Path

import pytest

from parity_tests.rows import IN_THE_README, PAGE, ROWS, page, proofs

README = Path(__file__).parent.parent / "README.md"


def test_the_rows_are_all_of_both_notebooks():
    last = {"C": 63, "BC": 23, "W": 60, "BW": 31}
    assert list(ROWS) == [f"{kind}{n}" for kind, count in last.items() for n in range(1, count + 1)]


def test_every_row_is_proved_or_answered():
    assert set(ROWS) - set(proofs()) - set(IN_THE_README) == set()


def test_no_test_claims_a_row_that_does_not_exist():
    assert set(proofs()) - set(ROWS) == set()


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m parity_tests.rows"


@pytest.mark.skipif(not README.exists(), reason="installed without the checkout")
def test_the_readme_has_the_sections_that_answer_rows():
    headings = re.findall(r"^#+ (.+)$", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(IN_THE_README.values()) <= set(headings)

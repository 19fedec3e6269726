"""The suite can fail: every wrong LSTM of the bank is killed, and no check is there for show."""

import functools

import pytest

from parity_tests.suite.checks import CHECKS
from parity_tests.suite.kill_matrix import FILE, checks_of, is_killed
from parity_tests.suite.mutants.bank import BANK
from parity_tests.suite.report import Verdict
from parity_tests.suite.subject import Subject
from parity_tests.suite.verify import run_check


@functools.cache
def first_killers(name: str, enough: int) -> tuple[str, ...]:
    mutant = next(mutant for mutant in BANK if mutant.name == name)
    found: list[str] = []
    for check in checks_of(mutant):
        if is_killed(mutant, run_check(check, mutant.make(), shrink=False)):
            found.append(check.name)
        if len(found) == enough:
            break
    return tuple(found)


@pytest.mark.parametrize("mutant", BANK, ids=lambda mutant: mutant.name)
def test_every_mutant_is_killed_and_the_likeliest_twice(mutant):
    wanted = 2 if mutant.likely else 1
    assert len(first_killers(mutant.name, wanted)) == wanted, f"{mutant.line}\n{mutant.story}"


def test_every_check_kills_a_mutant():
    """By the committed matrix, which is made anew by a command; what it says of a check is tried out here."""
    rows = [line.split("|") for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    killed_by: dict[str, list[str]] = {}
    for row in rows:
        if len(row) == 6 and row[1].strip() != "mutant":
            name, killers = row[1].strip().removesuffix(" *"), row[4].split(":", 1)[-1]
            for check in killers.split(","):
                killed_by.setdefault(check.strip(), []).append(name)
    by_name = {mutant.name: mutant for mutant in BANK}
    for check in CHECKS:
        assert killed_by.get(check.name), f"{check.name} kills no mutant"
        mutant = by_name[killed_by[check.name][0]]
        assert is_killed(mutant, run_check(check, mutant.make(), shrink=False)), (check.name, mutant.name)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_right_lstm_passes_every_check(check):
    result = run_check(check, Subject(), shrink=False)
    assert result.verdict is Verdict.PASS, result

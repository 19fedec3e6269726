"""The bank of wrong LSTMs: each is wrong where it says so, and right, bit by bit, everywhere else."""

import functools
import re

import numpy as np
import pytest

from parity_tests.suite.mutants.bank import BANK, GROUPS, collect, families
from parity_tests.suite.mutants.mutant import Group, Mutant
from parity_tests.suite.question import OPERATIONS, Answer, Question
from parity_tests.suite.subject import Subject
from parity_tests.suite_tests.telling_questions import questions

asked = functools.cache(questions)


@functools.cache
def right_answers(op: str) -> list[Answer]:
    return [Subject().answer(question) for question in asked(op)]


def answer_of(mutant: Mutant, question: Question) -> Answer | None:
    """None where it raises: that is an answer too, and a wrong one."""
    try:
        with np.errstate(all="ignore"):  # some of them overflow, which is what they are for
            return mutant.make().answer(question)
    except (ArithmeticError, ValueError, IndexError):
        return None


def visibly_differs(wrong: Answer | None, right: Answer) -> bool:
    """In shape or dtype, in an integer, in being finite, or by 1e-6 of an array's largest number."""
    if wrong is None or wrong.keys() != right.keys():
        return True
    for name, expected in right.items():
        got = wrong[name]
        if got.shape != expected.shape or got.dtype != expected.dtype:
            return True
        if expected.dtype.kind == "i":
            if not np.array_equal(got, expected):
                return True
        elif not np.abs(got - expected).max(initial=0.0) <= 1e-6 * np.abs(expected).max(initial=0.0):
            return True
    return False


def same_bits(wrong: Answer | None, right: Answer) -> bool:
    if wrong is None or wrong.keys() != right.keys():
        return False
    return all(np.array_equal(wrong[name], right[name], equal_nan=right[name].dtype.kind == "f") for name in right)


@pytest.mark.parametrize("mutant", BANK, ids=lambda m: m.name)
def test_a_mutant_is_wrong_in_the_operations_that_it_names_and_in_no_other(mutant: Mutant):
    assert mutant.operations
    for op in OPERATIONS:
        pairs = [(answer_of(mutant, q), right) for q, right in zip(asked(op), right_answers(op))]
        if op in mutant.operations:
            assert any(visibly_differs(wrong, right) for wrong, right in pairs), f"{op}: not to be seen"
        else:
            assert all(same_bits(wrong, right) for wrong, right in pairs), f"{op}: changed without saying so"


def test_the_right_answers_are_finite():
    """Or a NaN of the subject's own would let a mutant's pass."""
    for op in OPERATIONS:
        for answer in right_answers(op):
            assert all(np.isfinite(array).all() for array in answer.values()), op


def test_the_bank_has_at_least_sixty_kinds_of_mutant_and_all_wrong_gate_orders():
    kinds = families()
    assert len(kinds) >= 60
    assert len(kinds["gate-order"]) == 23
    assert len({mutant.build.gates for mutant in kinds["gate-order"]} | {Subject.gates}) == 24
    assert sum(map(len, kinds.values())) == len(BANK)


def test_exactly_twenty_are_the_likely_ones():
    assert sum(mutant.likely for mutant in BANK) == 20


def test_every_group_of_the_table_has_mutants():
    assert [group.name for group in GROUPS] == [
        "gates",
        "states",
        "bptt",
        "dropout",
        "batching",
        "loss",
        "optimizer",
        "tying",
        "sampling",
        "numerics",
    ]
    assert all(group.mutants for group in GROUPS)


@pytest.mark.parametrize("mutant", BANK, ids=lambda m: m.name)
def test_a_mutant_says_what_is_wrong_and_how_one_comes_to_write_it(mutant: Mutant):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mutant.name)
    assert mutant.line
    assert "\n" not in mutant.line
    assert len(re.findall(r"[.?!](?:\s|$)", mutant.story)) >= 2
    assert "\n" not in mutant.story
    assert not mutant.case or re.fullmatch(r"[\w.-]+/[\w.-]+#[1-9][0-9]*", mutant.case)
    assert set(mutant.operations) <= set(OPERATIONS)


def test_every_operation_has_mutants():
    assert {op for mutant in BANK for op in mutant.operations} == set(OPERATIONS)


def test_two_mutants_of_one_name_are_refused():
    group = Group("twice")
    for _ in range(2):
        group.mutant("same", "x = y", ("loss",))(Subject)
    with pytest.raises(ValueError, match="same name: same"):
        collect((group,))


def test_a_mutant_is_an_adapter_of_its_own_name_and_of_the_subjects_claims():
    for mutant in BANK:
        wrong = mutant.make()
        assert wrong.name == mutant.name
        assert wrong.capabilities == Subject.capabilities


def test_a_mutant_changes_little():
    """At most three methods or attributes of its own: one line of the equations is wrong, not a design."""
    for mutant in BANK:
        own = [name for name in vars(mutant.build) if not name.startswith("__")]
        assert 1 <= len(own) <= 3, mutant.name
        assert all(hasattr(Subject, name) for name in own), mutant.name

"""Whole cells from history: the wrong ones are wrong as they were, and the right ones right, in twenty seeds."""

import numpy as np
import pytest

from parity_tests.suite.history import RIGHT, WRONG, HistoricCell
from parity_tests.suite.mutants.bank import BY_NAME
from parity_tests.suite.question import Answer, Question
from parity_tests.suite.report import Verdict
from parity_tests.suite.subject import Subject
from parity_tests.suite.verify import verify
from parity_tests.suite_tests.telling_questions import EVERYWHERE, layer_question, model_question

SEEDS = range(20)
SUBJECT = Subject()


def questions_of(cell: HistoricCell, seed: int) -> list[Question]:
    """What this cell claims, at its largest, in each of its operations."""
    claims, questions = cell.capabilities, []
    sizes = {"T": 4, "B": 3, "I": 5, "H": 2, "L": claims.layers, "D": claims.directions, "peepholes": claims.peepholes}
    for op in claims.operations:
        if op == "model":
            plain = {"T": 4, "B": 3, "V": 6, "E": 2, "hidden": (5, 2)}
            questions.append(model_question(op, seed, **plain, rates=EVERYWHERE, tied=seed % 2 == 1))
            questions.append(model_question(op, seed, **{**plain, "E": 0}, rates={"l0": 0.3, "weight_hh_l1": 0.4}))
        else:
            questions.append(layer_question(op, seed, **sizes))
            if claims.lengths:
                lengths = (4, 1, 3)
                questions.append(layer_question(op, seed, **sizes, lengths=lengths, batch_first=claims.batch_first))
    return questions


def largest_error(got: Answer, expected: Answer) -> float:
    """Relative to the largest number of each array."""
    assert got.keys() == expected.keys()
    assert all(got[n].shape == a.shape and got[n].dtype == a.dtype for n, a in expected.items())
    return max(np.abs(got[n] - a).max() / (np.abs(a).max() or 1) for n, a in expected.items())


@pytest.mark.parametrize("cell", RIGHT, ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_right_cell_raises_an_alarm(cell: HistoricCell, dtype: str):
    # Sums of some tens of terms over four steps, in an order of their own: a few tens of roundings.
    for seed in SEEDS:
        for question in (q.astype(dtype) for q in questions_of(cell, seed)):
            assert largest_error(cell.answer(question), SUBJECT.answer(question)) < 100 * np.finfo(dtype).eps


@pytest.mark.parametrize("cell", WRONG, ids=lambda c: c.name)
def test_every_wrong_cell_is_wrong_for_every_seed(cell: HistoricCell):
    for seed in SEEDS:
        errors = [largest_error(cell.answer(q), SUBJECT.answer(q)) for q in questions_of(cell, seed)]
        assert max(errors) > 1e-3


@pytest.mark.parametrize("cell", WRONG, ids=lambda c: c.name)
def test_a_wrong_cell_is_the_mutant_that_it_names(cell: HistoricCell):
    mutant = BY_NAME[cell.mutant].make()
    for seed in SEEDS:
        for question in questions_of(cell, seed):
            assert largest_error(cell.answer(question), mutant.answer(question)) < 1e-12


def test_the_forget_bias_of_layer_0_is_right_in_a_model_of_one_layer():
    """Why it was not seen, and what a suite has to cross to see it."""
    (cell,) = (c for c in WRONG if c.name == "forget-bias-of-layer-0")
    one, two = (layer_question("forward", 5, T=4, B=3, I=5, H=2, L=layers) for layers in (1, 2))
    assert largest_error(cell.answer(one), SUBJECT.answer(one)) < 1e-14
    assert largest_error(cell.answer(two), SUBJECT.answer(two)) > 1e-3


def test_six_are_wrong_and_at_least_six_right_each_with_its_story():
    assert len(WRONG) == 6
    assert len(RIGHT) >= 6
    names = [cell.name for cell in (*WRONG, *RIGHT)]
    assert len(set(names)) == len(names)
    assert all(cell.case and cell.story for cell in WRONG)
    assert all(cell.story and not cell.mutant for cell in RIGHT)


@pytest.mark.parametrize("cell", [*RIGHT, *WRONG], ids=lambda cell: cell.name)
def test_the_suite_passes_the_right_cells_and_fails_the_wrong_ones(cell: HistoricCell):
    report = verify(cell, examples=6, shrink=False)
    if cell in RIGHT:
        assert report.ok, report.wrong
    else:
        assert report.with_verdict(Verdict.FAIL)

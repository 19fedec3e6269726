"""The score of a suite: it tells strong tests from weak ones, and useless ones from both."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest

from lstm_ref.core.errors import UsageError
from parity_tests.suite.published import SUITES, PublishedSuite, webnn
from parity_tests.suite.published.case import PublishedCase, forward, within
from parity_tests.suite.published.cell import expect, right
from parity_tests.suite.published.wrong_lstms import (
    ORDER,
    OTHER,
    REST,
    RIGHT,
    SEVENTEEN,
    Implementation,
    participants,
)
from parity_tests.suite.score import PAGE, markdown, render, score, score_command, table

# ---- a handful of wrong LSTMs that are right ones of a changed question ---------------------------------------------


def changed(name, group, change):
    """The right LSTM's answer to another question."""

    def answer(question):
        return right(dataclasses.replace(question, arrays={**question.arrays, **change(question.arrays)}))

    return Implementation(name, group, answer)


def each(arrays, start, change):
    return {name: change(array) for name, array in arrays.items() if name.startswith(start)}


def reorder(order):
    def blocks(array):
        parts = np.split(array, 4)
        return np.concatenate([parts[k] for k in order])

    return lambda arrays: each(arrays, ("weight_ih", "weight_hh", "bias"), blocks)


def transposed(array):
    return np.concatenate([block.T for block in np.split(array, 4)])


ORDERS = [
    changed("".join("ifgo"[k] for k in order), ORDER, reorder(order))
    for order in itertools.permutations(range(4))
    if order != (0, 1, 2, 3)
]
OTHERS = [
    changed("bias twice", OTHER, lambda arrays: each(arrays, "bias", lambda b: 2 * b)),
    changed("bias_hh missing", OTHER, lambda arrays: each(arrays, "bias_hh", np.zeros_like)),
    changed("recurrent matrix ignored", OTHER, lambda arrays: each(arrays, "weight_hh", np.zeros_like)),
    changed("recurrent matrix transposed", OTHER, lambda arrays: each(arrays, "weight_hh", transposed)),
    changed("h0 ignored", OTHER, lambda arrays: {"h0": np.zeros_like(arrays["h0"])}),
    changed("c0 ignored", OTHER, lambda arrays: {"c0": np.zeros_like(arrays["c0"])}),
    changed("h0 and c0 swapped", OTHER, lambda arrays: {"h0": arrays["c0"], "c0": arrays["h0"]}),
]
SOUND = Implementation("right", RIGHT, right)
LOCAL = [SOUND, *ORDERS, *OTHERS]


def caught(name):
    """Of the local ones, by their names."""
    return {s.name for s in score(SUITES[name](), LOCAL).scores if s.caught}


# ---- the local ones -------------------------------------------------------------------------------------------------


def test_onnx_and_webnn_catch_no_wrong_order_of_gates():
    assert not caught("onnx") & {implementation.name for implementation in ORDERS}
    assert not caught("webnn") & {implementation.name for implementation in ORDERS}


def test_keras_catches_the_orders_that_move_the_forget_gate_and_no_other():
    moved = {implementation.name for implementation in ORDERS if implementation.name[1] != "f"}
    assert len(moved) == 18
    assert caught("keras") & {implementation.name for implementation in ORDERS} == moved


def test_keras_tells_h0_from_c0_by_carried_state_only():
    """Where it gives both they are equal."""
    swapped = [implementation for implementation in OTHERS if implementation.name == "h0 and c0 swapped"]
    cases = SUITES["keras"]().cases
    given = own_suite(*(case for case in cases if "initial_state" in case.name))
    carried = own_suite(*(case for case in cases if case.windows > 1))
    assert score(given, [SOUND, *swapped]).counts(OTHER) == (0, 1)
    assert score(carried, [SOUND, *swapped]).counts(OTHER) == (1, 1)


def test_one_random_vector_catches_every_local_one():
    assert caught("random") == {implementation.name for implementation in [*ORDERS, *OTHERS]}


def test_flashrnns_tolerance_lets_an_ignored_recurrent_matrix_through_in_some_draws():
    (ignored,) = [s for s in score(SUITES["flashrnn"](), LOCAL).scores if s.name == "recurrent matrix ignored"]
    assert ignored.runs == 20
    assert 0 < ignored.caught < 20


@pytest.mark.parametrize("name", SUITES)
def test_every_known_suite_accepts_a_right_lstm(name):
    assert score(SUITES[name](), [SOUND]).accepts_right


# ---- somebody's own suite -------------------------------------------------------------------------------------------


def own_suite(*cases):
    return PublishedSuite("own", "own", "", "", "", cases)


QUESTION = forward(np.ones((1, 1, 1)), 1, weight_ih_l0=np.ones((4, 1)), weight_hh_l0=np.ones((4, 1)))


def test_a_suite_that_always_passes_scores_nothing():
    result = score(lambda lstm: False, LOCAL)
    assert (result.counts(ORDER), result.counts(OTHER)) == ((0, 23), (0, len(OTHERS)))
    assert result.accepts_right


def test_a_suite_that_always_fails_is_useless_and_gets_no_figure():
    always = PublishedCase("always fails", QUESTION, {"y": np.full((1, 1, 1), np.nan)}, within(1, 1))
    for suite in (lambda lstm: True, own_suite(always)):
        result = score(suite, LOCAL)
        assert not result.accepts_right
        assert "useless" in table(result)
        assert "23 of 23" not in table(result) + markdown(result)


def test_a_function_that_asserts_is_a_suite_that_catches():
    def catches(lstm):
        question = SUITES["random"]().cases[0].question
        weights = question.weights()
        y, h_n, c_n = lstm.forward(weights, *(question.arrays[name] for name in ("x", "h0", "c0")))
        expected = right(question)
        np.testing.assert_allclose(y, expected["y"])
        np.testing.assert_allclose(c_n, expected["c_n"])
        assert h_n.shape == c_n.shape

    result = score(catches, LOCAL)
    assert result.accepts_right
    assert result.counts(ORDER) == (23, 23)
    assert result.counts(OTHER) == (len(OTHERS), len(OTHERS))


def test_an_implementation_that_raises_is_caught_and_says_why():
    def answer(question):
        raise FloatingPointError("overflow in sigmoid")

    sound = PublishedCase("one", QUESTION, expect(QUESTION, ("y",)), within(1e-9, 1e-9))
    result = score(own_suite(sound), [SOUND, Implementation("raises", OTHER, answer)])
    assert result.counts(OTHER) == (1, 1)
    assert result.scores[-1].by == "one: FloatingPointError: overflow in sigmoid"


def test_a_case_that_the_right_lstm_declines_is_left_out_and_named():
    def answer(question):
        if "peephole_l0" in question.arrays:
            raise NotImplementedError("no peepholes")
        return right(question)

    plain = PublishedCase("plain", QUESTION, expect(QUESTION, ("y",)), within(1e-9, 1e-9))
    peep = dataclasses.replace(plain, name="peep", question=QUESTION.with_arrays(peephole_l0=np.ones(3)))
    declines = Implementation("right", RIGHT, answer)
    result = score(own_suite(plain, peep), [declines, Implementation("same", OTHER, answer)])
    assert result.left_out == ("peep: no peepholes",)
    assert result.accepts_right
    assert result.counts(OTHER) == (0, 1)
    with pytest.raises(UsageError, match="none of the suite's 1 cases"):
        score(own_suite(peep), [declines])


def test_however_many_cases_of_a_run_fail_the_run_counts_once():
    def case(seed, number):
        question = QUESTION.with_arrays(x=np.full((1, 1, 1), float(number)))
        return PublishedCase(str(number), question, expect(question, ("y",)), within(0, 1e-9), seed=seed)

    def answer(question):
        wrong = question.arrays["x"].item() in (1, 4, 5)
        return {"y": right(question)["y"] + wrong}

    runs = own_suite(*(case(number // 2, number) for number in range(6)))  # 0 1 | 2 3 | 4 5
    result = score(runs, [SOUND, Implementation("off", OTHER, answer)])
    assert result.counts(OTHER) == (2, 3)
    assert result.scores[-1].by == "1"


@pytest.mark.parametrize(
    ("suite", "implementations", "said"),
    [(lambda lstm: True, ORDERS, "no right LSTM"), (object(), LOCAL, "neither a function")],
)
def test_a_score_without_meaning_is_refused(suite, implementations, said):
    with pytest.raises(UsageError, match=said):
        score(suite, implementations)


def test_tables_have_80_columns_and_a_row_a_suite():
    results = [score(SUITES[name](), LOCAL) for name in SUITES]
    text = table(*results)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "0 of 23" in text
    assert "18 of 23" in text
    assert markdown(*results).count("\n") == 2 + len(results)


# ---- the bank -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bank():
    return participants()


def test_the_bank_takes_part_with_23_orders_and_the_seventeen(bank):
    groups = {group: [p.name for p in bank if p.group == group] for group in (RIGHT, ORDER, OTHER, REST)}
    assert groups[RIGHT] == ["right"]
    assert len(set(groups[ORDER])) == 23
    assert sorted(groups[OTHER]) == sorted(SEVENTEEN)
    assert len(set(SEVENTEEN)) == 17
    assert len(groups[REST]) > 10


@pytest.mark.parametrize(("name", "orders"), [("onnx", 0), ("webnn", 0), ("keras", 18), ("random", 23)])
def test_each_suite_catches_its_share_of_the_banks_gate_orders(bank, name, orders):
    result = score(SUITES[name](), bank)
    assert result.accepts_right, result.rejected
    assert not result.left_out
    assert result.counts(ORDER) == (orders, 23)


def test_only_the_random_vector_catches_all_seventeen(bank):
    counts = {name: score(SUITES[name](), bank).counts(OTHER) for name in SUITES}
    assert [name for name, (caught, of) in counts.items() if caught == of] == ["random"]


def test_relu_in_every_gate_hides_wrong_activations(bank):
    wrong = ["sigmoid-and-tanh-swapped", "candidate-by-sigmoid", "hard-sigmoid", "tanh-of-c-left-out"]
    chosen = [p for p in bank if p.name in ("right", *wrong)]
    before, after = (score(webnn.suite(both), chosen) for both in (False, True))
    assert before.counts(OTHER) == (0, 4)
    assert after.counts(OTHER) == (4, 4)


def test_the_command_scores_a_suite_by_name_and_somebodys_own_by_file(tmp_path):
    own = tmp_path / "own_tests.py"
    own.write_text(
        """\
import numpy as np

def zeros(lstm):
    weights = {"weight_ih_l0": np.zeros((8, 3)), "weight_hh_l0": np.zeros((8, 2))}
    weights |= {name: np.zeros(8) for name in ("bias_ih_l0", "bias_hh_l0")}
    y, h_n, c_n = lstm.forward(weights, np.ones((4, 1, 3)), np.zeros((1, 1, 2)), np.zeros((1, 1, 2)))
    return bool(y.any())
"""
    )
    result = score_command(f"{own}:zeros")
    assert result.accepts_right
    assert result.title == "zeros"
    assert result.counts(ORDER) == (0, 23)
    assert "candidate-by-sigmoid" not in [s.name for s in result.missed(OTHER)]  # g is 1/2, not 0
    assert score_command("random").counts(ORDER) == (23, 23)


@pytest.mark.parametrize(
    ("name", "said"), [("onxx", "no suite 'onxx'; expected onnx"), ("no_such.py:tests", "no file")]
)
def test_a_suite_that_is_not_there_is_named(name, said):
    with pytest.raises(UsageError, match=said):
        score_command(name)


def test_the_page_of_scores_is_current():
    assert PAGE.read_text(encoding="utf-8") == render(), "run python -m parity_tests.suite.score"


def test_scoring_imports_no_framework():
    code = (
        "import sys; from parity_tests.suite.score import score_command; score_command('random');"
        "sys.exit(any(name in sys.modules for name in ('torch', 'onnx', 'onnxruntime', 'lstm_torch')))"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0

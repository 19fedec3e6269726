"""Properties that need no truth: two answers of one implementation are compared with each other.

The bound is twice that of one answer (rounding.py): both are rounded.
"""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.judging import Judgement, expected_of, judge
from parity_tests.suite.question import Question
from parity_tests.suite.referee import Referee
from parity_tests.suite.rounding import UNITS, Wobble, truth
from parity_tests.suite.strategies import layers
from parity_tests.suite.witness import Witness

Judgements = list[Judgement]
FAR = 2000.0  # exp(-2000) is 0 in every format


class Unsuitable(Exception):
    """A question that this property says nothing about."""


def require(condition: bool) -> None:
    if not condition:
        raise Unsuitable


def _agree(witness: Witness, question: Question, other: dict[str, np.ndarray]) -> Judgements:
    """The answer to `question` against `other`, an answer of the same implementation by another way."""
    expected = expected_of(question, witness.adapter.capabilities)
    answer = witness.ask(question, expected)
    return [judge(name, answer[name], other[name], truth(question), times=2) for name in other]


def _ask(witness: Witness, question: Question) -> dict[str, np.ndarray]:
    return witness.ask(question, expected_of(question, witness.adapter.capabilities))


@st.composite
def keeping_cells(draw: st.DrawFn, claims: Capabilities, dtype: str) -> Question:
    """Zero weights and biases that open f and close i so far that nothing is left between them and 1 and 0."""
    question = draw(layers(claims, dtype=dtype))
    H = question.arrays["weight_hh_l0"].shape[1]
    bias = np.repeat([-FAR, FAR, 0.5, 0.5], H)
    weights = {name: np.zeros_like(array) for name, array in question.weights().items()}
    return question.with_arrays(**{**weights, "bias_ih_l0": bias.astype(dtype)})


def keeps_c(witness: Witness, question: Question) -> Judgements:
    a = question.arrays["bias_ih_l0"]
    a_i, a_f, _, _ = np.split(a, 4)
    require(bool(np.all(a_i <= -FAR) and np.all(a_f >= FAR)))  # shrinking may have undone it
    require(not any(np.any(w) for n, w in question.weights().items() if n != "bias_ih_l0"))
    c0 = question.arrays["c0"]
    c_n = _ask(witness, question)["c_n"]
    found = judge("c_n", c_n, c0.astype(np.float64), truth(question))
    return [replace(found, bound=0.0, ratio=0.0 if found.error == 0 else np.inf, coarse_ratio=())]


def only_the_sum_of_biases_matters(witness: Witness, question: Question) -> Judgements:
    b_ih, b_hh = question.arrays["bias_ih_l0"], question.arrays["bias_hh_l0"]
    swapped = _ask(witness, question.with_arrays(bias_ih_l0=b_hh, bias_hh_l0=b_ih))
    return _agree(witness, question, swapped)


def two_windows_equal_one(witness: Witness, question: Question) -> Judgements:
    x, cut = question.arrays["x"], 1
    first = _ask(witness, question.with_arrays(x=x[:cut]))
    second = _ask(witness, question.with_arrays(x=x[cut:], h0=first["h_n"].copy(), c0=first["c_n"].copy()))
    return _agree(witness, question, {**second, "y": np.concatenate([first["y"], second["y"]])})


def rows_do_not_interact(witness: Witness, question: Question) -> Judgements:
    a = question.arrays
    answers = [
        _ask(witness, question.with_arrays(**{n: a[n][:, b : b + 1] for n in ("x", "h0", "c0")}))
        for b in range(a["x"].shape[1])
    ]
    return _agree(witness, question, {n: np.concatenate([one[n] for one in answers], axis=1) for n in answers[0]})


def units_have_no_order(witness: Witness, question: Question) -> Judgements:
    a = question.arrays
    H = a["h0"].shape[-1]
    order = np.roll(np.arange(H), 1)
    rows = np.concatenate([gate * H + order for gate in range(4)])
    renumbered = {n: a[n][rows] for n in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0")}
    renumbered["weight_hh_l0"] = a["weight_hh_l0"][rows][:, order]
    states = {n: np.ascontiguousarray(a[n][..., order]) for n in ("h0", "c0")}
    answer = _ask(witness, question.with_arrays(**renumbered, **states))
    back = np.argsort(order)
    return _agree(witness, question, {n: array[..., back] for n, array in answer.items()})


def repeats_itself(witness: Witness, question: Question) -> Judgements:
    first, second = _ask(witness, question), _ask(witness, question)
    found = []
    for name, array in first.items():
        same = array.tobytes() == second[name].tobytes()
        judged = judge(name, second[name], array.astype(np.float64), truth(question))
        found.append(replace(judged, bound=0.0, ratio=0.0 if same else np.inf, coarse_ratio=()))
    return found


def gradients_are_linear(witness: Witness, question: Question) -> Judgements:
    doubled = {n: 2 * question.arrays[n] for n in ("dy", "dh_n", "dc_n")}
    twice = _ask(witness, question.with_arrays(**doubled))
    return _agree(witness, question, {name: gradient / 2 for name, gradient in twice.items()})


def padding_changes_nothing(witness: Witness, question: Question) -> Judgements:
    x, lengths = question.arrays["x"], question.arrays["lengths"]
    outside = np.arange(len(x))[:, None] >= lengths
    return _agree(witness, question, _ask(witness, question.with_arrays(x=np.where(outside[..., None], x + 1, x))))


def loss_ignores_a_shift(witness: Witness, question: Question) -> Judgements:
    shifted = question.with_arrays(logits=question.arrays["logits"] + question.dtype.type(8))
    require(np.array_equal(shifted.arrays["logits"] - 8, question.arrays["logits"]))  # 8 was added without rounding
    return _agree(witness, question, _ask(witness, shifted))


def samples_the_right_id(witness: Witness, question: Question) -> Judgements:
    """Exact, but where u falls within rounding of a border that rounding has moved."""
    exact = truth(question)
    u, judge_of_ids = float(question.arrays["u"]), Referee()
    logits = question.arrays["logits"].astype(np.float64)
    if len(set(logits.tolist())) > 1:
        near = [judge_of_ids.draw(logits, u + e, question.settings) for e in (-1e-12, 1e-12) if 0 <= u + e < 1]
        _, cumulative = judge_of_ids.probabilities(logits, {**question.settings, "top_p": None})
        top_p = question.settings.get("top_p")
        on_edge = top_p is not None and bool(np.any(np.abs(cumulative / cumulative[-1] - top_p) < 1e-12))
        require(len({int(i) for i in near}) == 1 and not on_edge)
    answer = witness.ask(question, exact.exact)
    return [judge("id", answer["id"], exact.exact["id"], exact)]


def generates_the_right_ids(witness: Witness, question: Question) -> Judgements:
    """Exact, where rounding does not decide: runs with rounding errors must give the ids too."""
    exact = truth(question)
    for seed in range(4):
        run = Referee(Wobble(64 * UNITS[str(question.dtype)], seed)).answer(question)
        require(np.array_equal(run["ids"], exact.exact["ids"]))
    answer = witness.ask(question, exact.exact)
    return [judge("ids", answer["ids"], exact.exact["ids"], exact)]

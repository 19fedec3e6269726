"""The error model: what rounding does passes or is named, what it cannot do does not pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.checks import CHECKS
from parity_tests.suite.judging import judge
from parity_tests.suite.report import Verdict
from parity_tests.suite.rounding import UNITS, ratios, truth
from parity_tests.suite.strategies import layers
from parity_tests.suite.subject import Subject
from parity_tests.suite.verify import run_check
from parity_tests.suite_tests.formats import InFormat

BY_NAME = {check.name: check for check in CHECKS}
ALL = ("dy", "dh_n", "dc_n")


@pytest.mark.parametrize("name", ["sequence", "wide-layer", "gradients"])
@pytest.mark.parametrize(
    ("made", "named"),
    [
        (InFormat("float32", dtype="float64"), "rounds as float32"),
        (InFormat("TF32"), "rounds as TF32"),
        (InFormat("fp16"), "rounds as fp16"),
        (InFormat("bf16"), "rounds as bf16"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_coarser_format_is_named_and_is_no_failure(name, made, named):
    result = run_check(BY_NAME[name], made, shrink=False)
    assert (result.verdict, result.reason) == (Verdict.ROUNDING, named)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sequence", "long-sequence", "wide-layer", "gradients"])
def test_the_format_that_was_asked_for_passes(name, dtype):
    right = Subject()
    right.capabilities = Capabilities(operations=("forward", "backward"), dtypes=(dtype,))
    result = run_check(BY_NAME[name], right, shrink=False)
    assert result.verdict is Verdict.PASS, result


@given(question=layers(Capabilities()), at=st.integers(0, 10_000), units=st.sampled_from([1e3, 1e6, 1e9]))
def test_an_error_of_a_thousand_units_in_one_number_does_not_pass(question, at, units):
    exact = truth(question)
    y = exact.exact["y"].copy()
    at %= y.size
    size = np.abs(exact.exact["y"]).max()
    y.reshape(-1)[at] += units * UNITS["float64"] * (size + 1)
    bound = exact.bounds("float64")["y"].max()
    judged = judge("y", y, exact.exact["y"], exact)
    assert (judged.ratio > 1) == (judged.error > judged.bound)
    # the bound itself: no more than what a hundred operations could add up to, unless saturated sums are behind it
    if np.abs(np.concatenate([w.reshape(-1) for w in question.weights().values()])).max() <= 2:
        assert bound <= 400 * UNITS["float64"]
        assert judged.ratio > 1


def test_a_nan_never_passes():
    assert ratios(np.array([np.nan, 0.0, 1.0]), np.array([1.0, 0.0, np.inf])).tolist() == [np.inf, 0.0, 0.0]
    assert ratios(np.array([1.0]), np.array([np.nan])).tolist() == [np.inf]


@given(question=layers(Capabilities(), upstream=ALL, dtype="float32"))
def test_bounds_grow_with_the_unit(question):
    exact = truth(question)
    fine, coarse = exact.bounds("float32"), exact.bounds("bf16")
    for name in fine:
        assert np.all(np.isfinite(fine[name]))
        assert np.sum(coarse[name]) >= np.sum(fine[name])

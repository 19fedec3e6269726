"""Softmax and cross-entropy: against the complex step, the compiled form, and at the edges of what exp can hold."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.kernels.softmax_loss import (
    LANES,
    log_softmax_plain,
    rounding_error,
    softmax_loss_backward,
    softmax_loss_backward_plain,
    softmax_loss_plain,
    softmax_loss_total,
)
from parity_tests.cases import seeds, values
from parity_tests.complex_step import complex_step_gradient, relative_error

NO_BIAS = np.zeros(10_000)


def backward(x: np.ndarray, bias: np.ndarray, targets: np.ndarray) -> float:
    """softmax_loss_backward of all rows at once, with nobody to read the bias's gradient."""
    return softmax_loss_backward(x, bias, targets, targets.size, np.zeros(x.shape[1]))


@st.composite
def logits_and_targets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    N, V = draw(st.lists(st.integers(1, 9), min_size=2, max_size=2, unique=True))
    draws = Draws(draw(seeds))
    scale = draw(st.sampled_from([0.1, 3.0, 50.0]))
    return values(draws, "logits", N, V, scale=scale), (draws.uniform("targets", (N,)) * V).astype(np.int64)


@pytest.mark.row("C30")
@given(case=logits_and_targets())
def test_gradient_matches_the_complex_step(case):
    logits, targets = case
    expected = complex_step_gradient(lambda moved: softmax_loss_plain(moved, targets), logits)
    # p - 1 of a sure target cancels: absolute to eps, and 1/N is the gradient's size
    assert np.abs(softmax_loss_backward_plain(logits, targets) - expected).max() <= 4 * np.finfo(float).eps / len(
        targets
    )


@given(case=logits_and_targets(), seed=seeds)
def test_compiled_loss_and_gradient_equal_the_plain_ones(case, seed):
    x, targets = case
    bias = values(Draws(seed), "bias", x.shape[1], scale=3)
    logits = x + bias
    expected = softmax_loss_plain(logits, targets)
    in_place = x.copy()
    dbias = np.zeros(x.shape[1])
    total = softmax_loss_backward(in_place, bias, targets, targets.size, dbias)
    # x + b is rounded to eps of its size in the plain form, and not in the compiled one
    bound = (8 + 2 * np.abs(logits).max()) * np.finfo(float).eps
    assert total / len(targets) == pytest.approx(expected, rel=1e-13, abs=bound)
    assert softmax_loss_total(x.copy(), bias, targets) == pytest.approx(total, rel=1e-14, abs=1e-15)
    assert np.abs(in_place - softmax_loss_backward_plain(logits, targets)).max() <= bound
    np.testing.assert_allclose(dbias, in_place.sum(axis=0), rtol=0, atol=1e-16 * len(targets))


@pytest.mark.parametrize("V", [LANES - 1, LANES, LANES + 1, 3 * LANES + 5])
def test_rows_of_any_length_count_every_logit_once_and_find_the_largest_wherever_it_stands(V):
    for v in range(V):
        x, bias = np.zeros((1, V)), np.zeros(V)
        x[0, v] = 1000  # not found, its exponential is infinite; counted twice, the loss is off by ln 2
        assert softmax_loss_total(x.copy(), bias, np.array([v])) == 0
        assert backward(x, bias, np.array([v])) == 0
    assert softmax_loss_total(np.zeros((2, V)), np.zeros(V), np.array([0, V - 1])) == pytest.approx(2 * np.log(V))


@given(case=logits_and_targets())
def test_float32_loss_is_summed_in_float64(case):
    logits, targets = case
    rounded = logits.astype(np.float32)
    expected = softmax_loss_plain(rounded.astype(np.float64), targets) * len(targets)
    # only the differences z - max are rounded to float32
    bound = len(targets) * np.abs(rounded).max() * 2 * np.finfo(np.float32).eps
    assert abs(softmax_loss_total(rounded, NO_BIAS[: rounded.shape[1]].astype(np.float32), targets) - expected) <= bound


def test_the_bias_does_not_push_every_row_of_a_float32_gradient_the_same_way():
    """Rows that differ little, as on a plateau, have one rounding error in common where the bias is added to each."""
    N, V, draws = 4096, 83, Draws(7)
    x = (values(draws, "x", N, V) + values(draws, "row", 1, V, scale=6)).astype(np.float32)
    bias = values(draws, "bias", V, scale=0.1).astype(np.float32)
    targets = (draws.uniform("targets", (N,)) * V).astype(np.int64)

    def mean_error(product: np.ndarray, added: np.ndarray) -> float:
        gradient = product.copy()
        backward(gradient, added, targets)
        exact = softmax_loss_backward_plain(x.astype(np.float64) + bias.astype(np.float64), targets)
        return float(np.linalg.norm((gradient - exact).sum(axis=0)))

    # In sum over rows, the errors of N random roundings: at most eps p / N each, so eps |p| / sqrt(N), three times.
    bound = 3 * np.finfo(np.float32).eps / np.sqrt(N)
    assert mean_error(x, bias) <= bound
    assert mean_error(x + bias, np.zeros_like(bias)) > 3 * bound


@given(seed=seeds, dtype=st.sampled_from([np.float32, np.float64]))
def test_the_rounding_error_is_what_a_sum_lacks_to_be_exact(seed, dtype):
    for x, b in values(Draws(seed), "pairs", 20, 2, scale=8).astype(dtype):
        s = x + b
        e = dtype(rounding_error(x, b, s))
        assert Fraction(float(s)) + Fraction(float(e)) == Fraction(float(x)) + Fraction(float(b))


@given(case=logits_and_targets(), size=st.sampled_from([1.0, 1e4, -1e4]))
def test_logits_and_bias_may_cancel_however_large_they_are(case, size):
    logits, targets = case
    bias = size * (-1.0) ** np.arange(logits.shape[1])
    x, bound = logits - bias, (8 + 4 * abs(size) + 2 * np.abs(logits).max()) * np.finfo(float).eps
    expected = softmax_loss_plain(logits, targets)
    assert softmax_loss_total(x.copy(), bias, targets) / len(targets) == pytest.approx(expected, rel=1e-13, abs=bound)
    assert backward(x, bias, targets) / len(targets) == pytest.approx(expected, rel=1e-13, abs=bound)
    assert np.abs(x - softmax_loss_backward_plain(logits, targets)).max() <= bound


@given(
    case=logits_and_targets(),
    seed=seeds,
    size=st.sampled_from([1e4, 1e5, 1e6, 1e10, 1e30]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_of_huge_logits_loss_and_gradient_are_as_good_as_the_logits(case, seed, size, dtype):
    """Each is rounded by half the distance between floats; more than that is not lost, and nothing is NaN."""
    logits, targets = case
    x, eps = (size * logits).astype(dtype), float(np.finfo(dtype).eps)
    bias = values(Draws(seed), "bias", x.shape[1], scale=size).astype(dtype)
    exact = x.astype(np.longdouble) + bias
    expected, bound = float(softmax_loss_plain(exact, targets)), (2 * float(np.abs(exact).max()) + 8) * eps
    for total in (softmax_loss_total(x.copy(), bias, targets), backward(x, bias, targets)):
        assert total >= -eps * len(targets)
        assert total / len(targets) == pytest.approx(expected, rel=1e-13, abs=bound)
    assert np.abs(x).max() <= (1 + 8 * eps) / len(targets)


@given(seed=seeds)
def test_a_float32_loss_loses_nothing_to_a_bias_of_a_thousand(seed):
    """What rounds x + b off by 3e-5 is added back, in the target's logit and in the sum; what exp rounds off, stays."""
    draws, V = Draws(seed), 7
    x, bias = (values(draws, name, *shape) for name, shape in (("x", (V, V)), ("bias", (V,))))
    x, bias = x.astype(np.float32), (1000 + bias).astype(np.float32)
    exact = -log_softmax_plain(x.astype(np.float64) + bias.astype(np.float64))
    for target in range(V):
        row, targets = x[target : target + 1], np.array([target])
        for loss in (softmax_loss_total(row.copy(), bias, targets), backward(row.copy(), bias, targets)):
            assert abs(loss - exact[target, target]) <= 8 * np.finfo(np.float32).eps  # exp's, for arguments up to 4


def test_the_softmax_is_along_the_last_axis_whatever_stands_before_it():
    logits = values(Draws(4), "logits", 2, 3, 5)
    rows = [log_softmax_plain(row) for row in logits.reshape(6, 5)]
    np.testing.assert_array_equal(log_softmax_plain(logits).reshape(6, 5), rows)


@given(case=logits_and_targets())
def test_every_gradient_row_sums_to_zero(case):
    logits, targets = case
    rows = softmax_loss_backward_plain(logits, targets).sum(axis=1)
    assert np.abs(rows).max() <= 16 * np.finfo(float).eps


@pytest.mark.row("C50")
@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_probabilities_sum_to_one_for_logits_of_ten_thousand(shift):
    logits = np.array([[shift, shift + 1, shift - 2], [1e4, -1e4, 0.0]])
    np.testing.assert_allclose(np.exp(log_softmax_plain(logits)).sum(axis=-1), 1, rtol=1e-15)
    assert np.isfinite(softmax_loss_total(logits, NO_BIAS[:3], np.array([0, 1])))


def test_a_hopeless_target_costs_its_distance_and_not_infinity():
    logits = np.array([[2000.0, 0.0]], np.float32)
    assert softmax_loss_total(logits, np.zeros(2, np.float32), np.array([1])) == pytest.approx(2000)


@pytest.mark.row("C30")
@pytest.mark.parametrize("V", [83, 10_000])
def test_equal_logits_cost_ln_v(V):
    assert softmax_loss_plain(np.zeros((5, V)), np.arange(5)) == pytest.approx(np.log(V), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("v", [0, 1, LANES, 2 * LANES + 1, 3 * LANES])
def test_nan_in_the_logits_makes_the_loss_nan_wherever_it_stands(v, dtype):
    logits = np.zeros((2, 3 * LANES + 1), dtype)
    logits[0, v] = np.nan
    logits[0, (v + LANES) % logits.shape[1]] = 50  # the largest of all, hidden behind NaN
    bias, targets = np.zeros(logits.shape[1], dtype), np.array([2, 2])
    assert np.isnan(softmax_loss_total(logits.copy(), bias, targets))
    assert np.isnan(backward(logits.copy(), bias, targets))


def test_relative_error_would_see_a_dropped_term():
    logits, targets = values(Draws(1), "logits", 3, 4), np.array([0, 3, 1])
    wrong = np.exp(log_softmax_plain(logits)) / 3
    assert relative_error(wrong, softmax_loss_backward_plain(logits, targets)) > 0.1

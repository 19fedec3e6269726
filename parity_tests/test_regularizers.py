"""AR and TAR: value and gradient against the complex step, the compiled form against the plain one, and the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.kernels.regularizers import (
    activation,
    activation_backward_plain,
    activation_plain,
    temporal,
    temporal_backward_plain,
    temporal_plain,
)
from parity_tests.cases import seeds, values
from parity_tests.complex_step import complex_step_gradient, relative_error

KERNELS = [
    pytest.param(activation_plain, activation_backward_plain, activation, id="AR", marks=pytest.mark.row("W41")),
    pytest.param(temporal_plain, temporal_backward_plain, temporal, id="TAR", marks=pytest.mark.row("W42")),
]
WEIGHTS = st.sampled_from([0.5, 1.0, 2.0])


@st.composite
def outputs(draw: st.DrawFn) -> np.ndarray:
    """h [T,B,H]."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=3, max_size=3, unique=True))
    return values(Draws(draw(seeds)), "h", *sizes)


@pytest.mark.parametrize(("value", "gradient", "compiled"), KERNELS)
@given(h=outputs(), weight=WEIGHTS)
def test_gradient_matches_the_complex_step(value, gradient, compiled, h, weight):
    expected = complex_step_gradient(lambda moved: value(moved, weight), h)
    # differences of numbers below 1, each rounded once, times 2 weight / size
    assert np.abs(gradient(h, weight) - expected).max() <= 8 * weight / h.size * np.finfo(float).eps * len(h)


@pytest.mark.parametrize(("value", "gradient", "compiled"), KERNELS)
@given(h=outputs(), weight=WEIGHTS)
def test_the_compiled_form_gives_the_value_and_adds_the_gradient(value, gradient, compiled, h, weight):
    before = values(Draws(9), "dh", *h.shape)
    dh = before.copy()
    assert compiled(h, weight, dh) == pytest.approx(value(h, weight), rel=1e-13)
    np.testing.assert_allclose(dh, before + gradient(h, weight), rtol=0, atol=16 * np.finfo(float).eps)


@pytest.mark.parametrize(("value", "gradient", "compiled"), KERNELS)
@given(h=outputs(), weight=WEIGHTS)
def test_float32_stays_float32_and_its_value_is_summed_in_float64(value, gradient, compiled, h, weight):
    rounded = h.astype(np.float32)
    exact = rounded.astype(np.float64)
    dh = np.zeros_like(rounded)
    result = compiled(rounded, weight, dh)
    # A step is a difference of numbers below 1 and rounded once; its square counts twice.
    assert abs(result - value(exact, weight)) <= 4 * weight * np.finfo(np.float32).eps
    assert dh.dtype == np.float32
    # 2 weight / size rounded once, then at most two steps, each of size 2 at most and rounded twice
    size = exact[1:].size if compiled is temporal else exact.size
    bound = 16 * weight / max(size, 1) * np.finfo(np.float32).eps
    assert np.abs(dh - gradient(exact, weight)).max() <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("compiled", [activation, temporal])
def test_a_weight_of_zero_touches_nothing(compiled, dtype):
    h, dh = np.full((3, 2, 4), np.nan, dtype), np.full((3, 2, 4), -0.0, dtype)
    assert compiled(h, 0.0, dh) == 0
    assert np.signbit(dh).all()


@pytest.mark.row("W42")
def test_one_step_has_no_difference_to_regularise():
    h = values(Draws(1), "h", 1, 3, 2)
    dh = np.zeros_like(h)
    assert temporal(h, 2.0, dh) == temporal_plain(h, 2.0) == 0
    assert not dh.any()
    assert not temporal_backward_plain(h, 2.0).any()


@pytest.mark.row("W42")
def test_one_step_of_zeros_has_none_either():
    assert temporal_plain(np.zeros((1, 2, 3)), 2.0) == 0


def test_what_stays_the_same_costs_nothing_in_time_and_a_slope_costs_its_square():
    constant = np.repeat(values(Draws(1), "h", 1, 3, 2), 5, axis=0)
    assert temporal_plain(constant, 2.0) == temporal(constant, 2.0, np.zeros_like(constant)) == 0
    slope = np.arange(5.0)[:, None, None] * np.full((1, 3, 2), 3.0)
    dh = np.zeros_like(slope)
    assert temporal(slope, 2.0, dh) == temporal_plain(slope, 2.0) == 18
    assert not dh[1:-1].any()  # what is pulled from both sides stays: only the ends move
    assert (dh[0] < 0).all()
    assert (dh[-1] > 0).all()


@pytest.mark.row("W41")
def test_the_activation_penalty_is_the_weight_times_the_mean_square():
    assert activation_plain(np.full((4, 3, 2), 3.0), 2.0) == 18


def test_a_step_without_the_one_after_it_would_be_seen():
    h = values(Draws(1), "h", 4, 3, 2)
    right = temporal_backward_plain(h, 1.0)
    wrong = right.copy()
    wrong[:-1] += 2 / h[1:].size * (h[1:] - h[:-1])  # (4) without its second difference
    assert relative_error(wrong, right) > 0.1

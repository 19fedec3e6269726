"""sigmoid and tanh: the float32 forms against float64, in units in the last place, and NaN and overflow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.jit import jit
from lstm_ref.kernels.activations import sigmoid, sigmoid_plain, tanh


@jit
def map_tanh(x, out):
    for n in range(x.size):
        out[n] = tanh(x[n])


@jit
def map_sigmoid(x, out):
    for n in range(x.size):
        out[n] = sigmoid(x[n])


def mapped(kernel, x):
    out = np.empty_like(x)
    kernel(x, out)
    return out


def exact_sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.longdouble)))


TINY = np.geomspace(1e-30, 1, 1000)
GRID = np.concatenate([np.linspace(-20, 20, 40_001), np.linspace(-9.1, 9.1, 100_001), TINY, -TINY])


def test_float32_tanh_is_within_7_ulp_of_tanh():
    """5.0 with fused multiply-adds, 6.2 without, as under NUMBA_DISABLE_JIT."""
    x = GRID.astype(np.float32)
    exact = np.tanh(x.astype(np.float64))
    ulp = np.spacing(np.abs(exact).astype(np.float32))
    assert np.all(np.abs(mapped(map_tanh, x) - exact) <= 7 * ulp)


def test_float32_tanh_has_no_slope_error_at_zero():
    """A bias there is the same in every gate and step, and adds up where rounding cancels."""
    x = np.linspace(1e-3, 0.5, 20_001, dtype=np.float32)
    relative = mapped(map_tanh, x) / np.tanh(x.astype(np.float64)) - 1
    assert abs(relative.mean()) < 0.1 * np.finfo(np.float32).eps


def test_float32_sigmoid_is_within_7_ulp_of_one_half():
    """Computed as 1/2 + 1/2 tanh(x/2), it is exact to the spacing of numbers near 1/2, not to that of tiny results."""
    x = GRID.astype(np.float32)
    assert np.abs(mapped(map_sigmoid, x) - exact_sigmoid(x)).max() <= 7 * np.spacing(np.float32(0.5))


@pytest.mark.parametrize(("kernel", "exact"), [(map_tanh, np.tanh), (map_sigmoid, exact_sigmoid)])
def test_float64_forms_are_within_2_ulp_of_one(kernel, exact):
    assert np.abs(mapped(kernel, GRID) - exact(GRID.astype(np.longdouble))).max() <= 2 * np.spacing(1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", [map_tanh, map_sigmoid])
def test_nan_passes_through_and_large_arguments_saturate_exactly(kernel, dtype):
    extremes = np.array([-np.inf, -1e30, np.inf, 1e30, np.nan], dtype)
    *saturated, nan = mapped(kernel, extremes)
    assert np.isnan(nan)
    low = -1 if kernel is map_tanh else 0
    assert saturated == [low, low, 1, 1]


@given(x=st.floats(-1e4, 1e4))
def test_plain_sigmoid_never_overflows_and_keeps_its_relative_precision(x):
    value = sigmoid_plain(np.array([x]))[0]
    exact = float(exact_sigmoid(x))
    # exp of an argument up to 1e4 that is itself rounded carries |x| eps of relative error; tiny results underflow
    assert abs(value - exact) <= (4 + abs(x)) * np.finfo(float).eps * exact + 1e-307


@given(x=st.floats(-30, 30))
def test_plain_sigmoid_has_the_right_complex_derivative(x):
    s = sigmoid_plain(np.array([x]))[0]
    derivative = sigmoid_plain(np.array([x + 1e-30j]))[0].imag / 1e-30
    assert derivative == pytest.approx(s * (1 - s), rel=1e-12, abs=1e-16)


@pytest.mark.parametrize("function", [tanh, sigmoid])
def test_a_scalar_outside_a_kernel_keeps_its_precision(function):
    assert type(function(np.float32(0.3))) is np.float32
    assert function(0.3) == pytest.approx(float(function(np.float32(0.3))), abs=1e-6)

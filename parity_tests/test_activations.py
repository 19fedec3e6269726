"""sigmoid and tanh: the float32 forms against float64, in units in the last place, and NaN and overflow."""

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.jit import jit
from lstm_ref.kernels import activations
from lstm_ref.kernels.activations import exp, sigmoid, sigmoid_plain, tanh


@jit
def map_exp(x, out):
    for n in range(x.size):
        out[n] = exp(x[n])


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


@pytest.mark.parametrize(
    ("kernel", "exact", "bound"), [(map_exp, np.exp, 1), (map_sigmoid, exact_sigmoid, 3), (map_tanh, np.tanh, 2)]
)
def test_float32_forms_are_within_a_few_ulp_of_the_result_itself(kernel, exact, bound):
    """So 1 - f and tanh near 0 keep their relative precision. One more ulp without fused multiply-adds, as under
    NUMBA_DISABLE_JIT."""
    x = GRID.astype(np.float32)
    expected = exact(x.astype(np.longdouble))
    ulp = np.spacing(np.abs(expected).astype(np.float32))
    assert np.all(np.abs(mapped(kernel, x) - expected) <= (bound + numba.config.DISABLE_JIT) * ulp)


@pytest.mark.parametrize(("kernel", "exact"), [(map_exp, np.exp), (map_sigmoid, exact_sigmoid), (map_tanh, np.tanh)])
def test_float32_forms_have_no_bias(kernel, exact):
    """A bias would be the same in every gate and step, and add up where rounding cancels."""
    x = np.linspace(1e-3, 3, 100_001, dtype=np.float32)
    expected = exact(x.astype(np.longdouble))
    relative = mapped(kernel, x) / expected - 1
    assert abs(relative.mean()) < 0.1 * np.finfo(np.float32).eps


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_ends_in_zero_and_infinity_and_keeps_nan(dtype):
    x = np.array([-np.inf, -1e30, -800, 0, 800, 1e30, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(mapped(map_exp, x), [0, 0, 0, 1, np.inf, np.inf, np.inf, np.nan])


def test_exp_in_float64_is_finite_as_long_as_the_result_can_be():
    largest = 709.782712893384  # ln of the largest float64
    for x in (700, 709.5, largest):
        assert mapped(map_exp, np.array([x], np.float64))[0] == math.exp(x)
    assert mapped(map_exp, np.array([np.nextafter(largest, 800)]))[0] == np.inf


@pytest.mark.parametrize("function", [exp, tanh, sigmoid])
def test_a_scalar_outside_a_kernel_keeps_its_precision(function):
    assert type(function(np.float32(0.3))) is np.float32
    assert function(0.3) == pytest.approx(float(function(np.float32(0.3))), abs=1e-6)


@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh"])
@pytest.mark.parametrize("scalar", ["float32", "float64"])
def test_a_kernel_takes_the_form_that_is_made_for_the_type(name, scalar):
    """The other one is hardly less exact, and slow or not to be vectorised."""
    chosen = getattr(activations, f"_typed_{name}")(getattr(numba, scalar))
    assert chosen is getattr(activations, f"_{name}_{scalar}")


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.parametrize("function", [exp, tanh, sigmoid])
@pytest.mark.parametrize("scalar", [numba.float32, numba.float64])
def test_a_scalar_inside_a_kernel_keeps_its_precision(function, scalar):
    kernel = numba.njit(lambda x: function(x))
    kernel.compile((scalar,))
    assert [signature.return_type for signature in kernel.nopython_signatures] == [scalar]

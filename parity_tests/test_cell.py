"""One LSTM step: gradients against the complex step, the compiled form against the plain one."""

import numpy as np
import pytest
from hypothesis import given

from lstm_ref.kernels.cell import (
    CellParams,
    cell_backward_plain,
    cell_forward_plain,
    gates_backward,
    gates_forward,
)
from parity_tests.cases import LayerCase, layer_case, layer_cases
from parity_tests.complex_step import complex_step_gradient, relative_error

ORACLE = 1e-12  # relative: both sides are float64 sums of at most some hundred products


def objective(case: LayerCase, **changed: np.ndarray) -> complex:
    """sum dh*h' + dc*c', so that its gradients are what backward returns for the upstream dh, dc."""
    params = case.params._replace(**{name: v for name, v in changed.items() if name in CellParams._fields})
    x, h0, c0 = (changed.get(name, getattr(case, name)) for name in ("x", "h0", "c0"))
    h, c, _ = cell_forward_plain(x[0], h0, c0, params)
    return (case.dh_n * h).sum() + (case.dc_n * c).sum()


@given(case=layer_cases())
def test_cell_backward_matches_the_complex_step(case):
    _, _, cache = cell_forward_plain(case.x[0], case.h0, case.c0, case.params)
    grads = CellParams(*(np.zeros_like(array) for array in case.params))
    dx, dh, dc = cell_backward_plain(case.dh_n, case.dc_n, cache, case.params, grads)
    actual = grads._asdict() | {"h0": dh, "c0": dc}
    for name, gradient in actual.items():
        at = getattr(case.params, name) if name in CellParams._fields else getattr(case, name)
        expected = complex_step_gradient(lambda moved, name=name: objective(case, **{name: moved}), at)
        assert relative_error(gradient, expected) <= ORACLE, name
    expected = complex_step_gradient(lambda moved: objective(case, x=moved[None]), case.x[0])
    assert relative_error(dx, expected) <= ORACLE


@given(case=layer_cases())
def test_backward_adds_to_gradients_and_leaves_its_inputs_alone(case):
    _, _, cache = cell_forward_plain(case.x[0], case.h0, case.c0, case.params)
    zero = CellParams(*(np.zeros_like(array) for array in case.params))
    five = CellParams(*(np.full_like(array, 5) for array in case.params))
    dh, dc = case.dh_n.copy(), case.dc_n.copy()
    cell_backward_plain(dh, dc, cache, case.params, zero)
    cell_backward_plain(dh, dc, cache, case.params, five)
    np.testing.assert_array_equal(dh, case.dh_n)
    np.testing.assert_array_equal(dc, case.dc_n)
    for from_zero, from_five in zip(zero, five):
        np.testing.assert_allclose(from_five, from_zero + 5, rtol=0, atol=1e-13)  # one rounding at size 5 + gradient


def run_gates(case: LayerCase, in_place: bool = False):
    """The compiled forward and backward of one step, with the products done here."""
    B, H = case.h0.shape
    x_part = case.x[0] @ case.params.weight_ih.T
    h_part = case.h0 @ case.params.weight_hh.T
    bias = case.params.bias_ih + case.params.bias_hh
    gates = x_part if in_place else np.empty((B, 4 * H), case.x.dtype)
    c, h = (np.empty((B, H), case.x.dtype) for _ in range(2))
    gates_forward(x_part, np.arange(B), h_part, bias, gates, case.c0, c, h)
    dc = case.dc_n.copy()
    da = gates.copy()
    gates_backward(case.dy[0], case.dh_n, dc, da, case.c0, c)
    return h, c, gates, da, dc


@given(case=layer_cases())
def test_compiled_gates_equal_the_plain_cell(case):
    h, c, gates, da, dc = run_gates(case)
    h_plain, c_plain, cache = cell_forward_plain(case.x[0], case.h0, case.c0, case.params)
    grads = CellParams(*(np.zeros_like(array) for array in case.params))
    _, _, dc_plain = cell_backward_plain(case.dy[0] + case.dh_n, case.dc_n, cache, case.params, grads)
    for actual, expected in [(h, h_plain), (c, c_plain), (gates, np.hstack([cache.i, cache.f, cache.g, cache.o]))]:
        assert relative_error(actual, expected) <= 1e-14
    assert relative_error(dc, dc_plain) <= 1e-13
    assert relative_error(da.sum(axis=0), grads.bias_ih) <= 1e-12  # a sum over B that may cancel


@given(case=layer_cases())
def test_gates_may_be_written_over_the_product_that_they_are_made_of(case):
    for actual, expected in zip(run_gates(case, in_place=True), run_gates(case)):
        np.testing.assert_array_equal(actual, expected)


@given(case=layer_cases())
def test_float32_gates_stay_within_rounding_of_float64(case):
    h, c, *_ = run_gates(case.astype(np.float32))
    h_true, c_true, _ = cell_forward_plain(case.x[0], case.h0, case.c0, case.params)
    I, H = case.x.shape[2], case.h0.shape[1]
    # each pre-activation sums I + H products of size scale, each off by eps/2; every activation's slope is at most 1
    scale = max(float(np.abs(array).max()) for array in case.params)
    bound = (I + H + 8) * max(1.0, scale) * np.finfo(np.float32).eps
    assert np.abs(c - c_true).max() <= 2 * bound  # i*g and f*c
    assert np.abs(h - h_true).max() <= 3 * bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_in_one_row_reaches_its_own_outputs_only(dtype):
    case = layer_case(1, 3, 2, 5, seed=7).astype(dtype)
    h_clean, c_clean, *_ = run_gates(case)
    case.x[0, 1, 0] = np.nan
    h, c, _, da, dc = run_gates(case)
    for array in (h[1], c[1], da[1], dc[1]):
        assert np.isnan(array).all()
    np.testing.assert_array_equal(h[[0, 2]], h_clean[[0, 2]])
    np.testing.assert_array_equal(c[[0, 2]], c_clean[[0, 2]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_open_forget_gate_and_closed_input_gate_keep_the_cell_exactly(dtype):
    case = layer_case(1, 3, 2, 5, seed=8).astype(dtype)
    H = case.h0.shape[1]
    case.params.bias_ih[:H], case.params.bias_ih[H : 2 * H] = -1e4, 1e4
    _, c, *_ = run_gates(case)
    np.testing.assert_array_equal(c, case.c0)

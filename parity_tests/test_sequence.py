"""A layer over a window: gradients against the complex step, the fast form against the plain one, and properties that
hold for any right LSTM."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref.kernels.cell import CellParams
from lstm_ref.kernels.embedding import one_hot_encode
from lstm_ref.kernels.sequence import Layer, LayerWeights, sequence_backward_plain, sequence_forward_plain
from parity_tests.cases import LayerCase, layer_case, layer_cases, seeds
from parity_tests.complex_step import complex_step_gradient, relative_error

NAMES = ("x", "h0", "c0", *CellParams._fields)


def plain(case: LayerCase) -> dict[str, np.ndarray]:
    """y, the final state, and every gradient, by the plain form."""
    y, h, c, caches = sequence_forward_plain(case.x, case.h0, case.c0, case.params)
    grads = CellParams(*(np.zeros_like(array) for array in case.params))
    dx, dh, dc = sequence_backward_plain(case.dy, case.dh_n, case.dc_n, caches, case.params, grads)
    return {"y": y, "h_n": h, "c_n": c, "dx": dx, "dh0": dh, "dc0": dc} | {
        f"d{name}": gradient for name, gradient in grads._asdict().items()
    }


def fast(case: LayerCase, capacity: int | None = None) -> dict[str, np.ndarray]:
    """The same by `Layer`, of arrays for `capacity` steps."""
    T, B, _, H = case.sizes
    layer, weights = Layer(capacity or T, B, H, case.x.dtype).first(T), LayerWeights(case.params)
    y = layer.forward(weights, case.x, case.h0, case.c0).copy()
    state = {"h_n": layer.h[-1].copy(), "c_n": layer.c[-1].copy()}
    grads, dx = CellParams(*(np.full_like(array, np.nan) for array in case.params)), np.full_like(case.x, np.nan)
    layer.backward(weights, case.x, case.dy, case.dh_n, case.dc_n, grads, dx)
    return (
        {"y": y}
        | state
        | {"dx": dx, "dh0": layer.dh, "dc0": layer.dc}
        | {f"d{name}": gradient for name, gradient in grads._asdict().items()}
    )


@pytest.mark.row("C33")
@settings(max_examples=10)  # a complex step for every entry of every array
@given(case=layer_cases(largest=5))
def test_backward_through_time_matches_the_complex_step_for_any_upstream_gradient(case):
    def objective(name: str, moved: np.ndarray) -> complex:
        arrays = {"x": case.x, "h0": case.h0, "c0": case.c0} | case.params._asdict() | {name: moved}
        params = CellParams(*(arrays[field] for field in CellParams._fields))
        y, h, c, _ = sequence_forward_plain(arrays["x"], arrays["h0"], arrays["c0"], params)
        return (case.dy * y).sum() + (case.dh_n * h).sum() + (case.dc_n * c).sum()

    gradients = plain(case)
    for name in NAMES:
        at = getattr(case.params, name) if name in CellParams._fields else getattr(case, name)
        expected = complex_step_gradient(lambda moved, name=name: objective(name, moved), at)
        assert relative_error(gradients[f"d{name}"], expected) <= 1e-12, name


@given(case=layer_cases())
def test_the_fast_layer_equals_the_plain_one(case):
    expected = plain(case)
    for name, actual in fast(case).items():
        assert relative_error(actual, expected[name]) <= 1e-12, name


@pytest.mark.parametrize("H", [37, 70])
def test_so_does_one_whose_weights_take_several_panels(H):
    """kernels/product.py: 4H and H are no multiples of a panel's columns here."""
    case = layer_case(3, 6, 5, H, seed=4, scale=0.3)
    expected = plain(case)
    for name, actual in fast(case).items():
        assert relative_error(actual, expected[name]) <= 1e-12, name


@given(case=layer_cases(), spare=st.integers(1, 5))
def test_a_window_shorter_than_the_arrays_gives_the_same_bits(case, spare):
    expected = fast(case)
    for name, actual in fast(case, capacity=len(case.x) + spare).items():
        np.testing.assert_array_equal(actual, expected[name], err_msg=name)


@given(case=layer_cases())
def test_float32_gradients_stay_within_rounding_of_float64(case):
    expected = plain(case)
    T, _, I, H = case.sizes
    # Rounding of eps/2 enters at each of T steps and is carried on by the recurrent weights: their norm bounds growth.
    growth = max(1.0, float(np.linalg.norm(case.params.weight_hh, 2))) ** min(T, 3)
    bound = np.finfo(np.float32).eps * T * (I + H + 8) * growth
    for name, actual in fast(case.astype(np.float32)).items():
        assert actual.dtype == np.float32
        assert relative_error(actual, expected[name]) <= bound, name


@given(case=layer_cases(), V=st.integers(1, 9), seed=seeds)
def test_one_hot_input_equals_the_dense_product(case, V, seed):
    T, B, _, H = case.sizes
    dense = layer_case(T, B, V, H, seed)
    ids = (dense.x[:, :, 0] * 0.5 * V + 0.5 * V).astype(np.int64)
    dense = dataclasses.replace(dense, x=one_hot_encode(ids, V, np.float64))
    expected = plain(dense)
    layer, weights = Layer(T, B, H, np.dtype(np.float64), V), LayerWeights(dense.params, one_hot=True)
    y = layer.forward_one_hot(weights, ids, dense.h0, dense.c0).copy()
    grads = CellParams(*(np.full_like(array, np.nan) for array in dense.params))
    layer.backward_one_hot(weights, ids, dense.dy, dense.dh_n, dense.dc_n, grads)
    assert relative_error(y, expected["y"]) <= 1e-13
    for name, gradient in (grads._asdict() | {"h0": layer.dh, "c0": layer.dc}).items():
        assert relative_error(gradient, expected[f"d{name}"]) <= 1e-12, name


@pytest.mark.row("C32")
@given(case=layer_cases())
def test_two_windows_with_carried_state_equal_one_long_window(case):
    border = len(case.x) // 2
    y, h, c, _ = sequence_forward_plain(case.x, case.h0, case.c0, case.params)
    parts, state = [], (case.h0, case.c0)
    for part in (case.x[:border], case.x[border:]):
        if len(part):
            layer = Layer(len(part), *case.h0.shape, part.dtype)
            parts.append(layer.forward(LayerWeights(case.params), part, *state).copy())
            state = layer.h[-1].copy(), layer.c[-1].copy()
    assert relative_error(np.concatenate(parts), y) <= 1e-13
    assert relative_error(state[0], h) <= 1e-13
    assert relative_error(state[1], c) <= 1e-13


@given(case=layer_cases(), row=st.integers(0, 6))
def test_batch_rows_do_not_interact(case, row):
    row %= case.x.shape[1]
    before = fast(case)
    case.x[:, row] += 1
    case.dy[:, row] += 1
    after = fast(case)
    others = [b for b in range(case.x.shape[1]) if b != row]
    for name in ("y", "dx"):
        assert relative_error(after[name][:, others], before[name][:, others]) <= 1e-13, name
        assert not np.array_equal(after[name][:, row], before[name][:, row])


@given(case=layer_cases(), factor=st.sampled_from([-2.0, 0.5, 4.0]))
def test_gradients_are_linear_in_the_upstream_gradient(case, factor):
    upstream = {name: getattr(case, name) * factor for name in ("dy", "dh_n", "dc_n")}
    expected, actual = fast(case), fast(dataclasses.replace(case, **upstream))
    for name in expected:
        if name.startswith("d"):
            np.testing.assert_array_equal(actual[name], factor * expected[name], err_msg=name)  # a power of two: exact


@given(case=layer_cases())
def test_only_the_sum_of_the_biases_matters_going_forward_and_both_get_its_gradient(case):
    moved = case.params._replace(bias_ih=case.params.bias_ih + 0.25, bias_hh=case.params.bias_hh - 0.25)
    other = dataclasses.replace(case, params=moved)
    assert relative_error(fast(other)["y"], fast(case)["y"]) <= 1e-12
    np.testing.assert_array_equal(fast(case)["dbias_ih"], fast(case)["dbias_hh"])


@given(case=layer_cases(), seed=st.randoms(use_true_random=False))
def test_permuting_hidden_units_permutes_the_answer(case, seed):
    H = case.h0.shape[1]
    order = list(range(H))
    seed.shuffle(order)
    rows = np.concatenate([gate * H + np.array(order) for gate in range(4)])
    params = CellParams(
        case.params.weight_ih[rows],
        case.params.weight_hh[rows][:, order],
        case.params.bias_ih[rows],
        case.params.bias_hh[rows],
    )
    permuted = sequence_forward_plain(case.x, case.h0[:, order], case.c0[:, order], params)
    expected = sequence_forward_plain(case.x, case.h0, case.c0, case.params)
    assert relative_error(permuted[0], expected[0][:, :, order]) <= 1e-13

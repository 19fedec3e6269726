"""Clipping by the global norm: against torch, against the plain form, and at the edges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.kernels.clip import PIECE, clip_factor, clip_global_norm_plain, global_norm, sum_of_squares
from parity_tests.cases import seeds, values

SHAPES = {"a": (3, 5), "b": (7,), "c": (1,), "d": (2, 3, 4)}


def gradients(seed: int, dtype: str = "f8", scale: float = 1.0) -> dict[str, np.ndarray]:
    return {name: values(Draws(seed), name, *shape, scale=scale).astype(dtype) for name, shape in SHAPES.items()}


@pytest.mark.row("C35")
@given(seed=seeds, scale=st.sampled_from([1e-3, 1.0, 1e3]), max_norm=st.sampled_from([0.25, 5.0]))
def test_clipping_equals_torchs(seed, scale, max_norm):
    grads = gradients(seed, scale=scale)
    params = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in SHAPES.values()]
    for p, grad in zip(params, grads.values()):
        p.grad = torch.from_numpy(grad.copy())
    expected_norm = float(torch.nn.utils.clip_grad_norm_(params, max_norm))
    norm, clipped = clip_global_norm_plain(grads, max_norm)
    assert norm == pytest.approx(expected_norm, rel=1e-14)
    for p, grad in zip(params, clipped.values()):
        np.testing.assert_allclose(grad, p.grad.numpy(), rtol=1e-14, atol=0)


@given(seed=seeds, dtype=st.sampled_from(["f4", "f8"]), max_norm=st.sampled_from([0.25, 5.0]))
def test_compiled_norm_and_factor_equal_the_plain_ones(seed, dtype, max_norm):
    grads = gradients(seed, dtype)
    expected_norm, expected = clip_global_norm_plain(grads, max_norm)
    norm = global_norm(grads)
    assert norm == pytest.approx(expected_norm, rel=1e-14)  # summed in float64 either way
    for name, grad in grads.items():
        np.testing.assert_array_equal(grad * grad.dtype.type(clip_factor(norm, max_norm)), expected[name])


@given(n=st.one_of(st.integers(0, 40), st.sampled_from([PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 9])), seed=seeds)
def test_every_entry_counts_once_whatever_the_length(n, seed):
    x = values(Draws(seed), "x", n)
    assert sum_of_squares(x) == pytest.approx(np.sum(x**2), rel=1e-14)
    for k in {*range(min(n, 40)), *range(PIECE - 9, n)}:
        only = np.zeros(n)
        only[k] = 3
        assert sum_of_squares(only) == 9


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("large", [slice(0, 64), slice(-64, None)], ids=["first", "last"])
def test_small_entries_count_beside_large_ones(dtype, large):
    """As in a word model's gradient, of which a few words have nearly all: added one by one, each square of the others
    is less than half a unit in the last place of the sum, and is lost, 1.6e-12 of it in all."""
    x = np.full(1_000_003, 1e-8, dtype)
    x[large] = 1
    exact = math.fsum(np.square(x, dtype=np.float64))
    worst = (PIECE // 8 + 8) * 2.0**-53  # a piece's sums of eighths, these eight, and (3), which is exact to a unit
    assert sum_of_squares(x) == pytest.approx(exact, rel=worst)
    assert worst < 2e-14
    assert abs(np.cumsum(np.sort(np.square(x, dtype=np.float64))[::-1])[-1] / exact - 1) > 1e-12


def test_a_norm_below_the_limit_leaves_gradients_bit_identical():
    grads = gradients(5)
    norm = global_norm(grads)
    _, same = clip_global_norm_plain(grads, norm * 1.01)
    for name, grad in grads.items():
        np.testing.assert_array_equal(same[name], grad)


def test_a_gradient_of_zero_is_not_divided_by():
    assert clip_factor(0.0, 5.0) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_one_entry_that_is_not_finite_makes_the_norm_not_finite(bad, dtype):
    grads = gradients(5, dtype)
    grads["d"][1, 2, 3] = bad
    assert not np.isfinite(global_norm(grads))
    long = np.ones(2 * PIECE, dtype)
    long[PIECE + 3] = bad
    np.testing.assert_equal(sum_of_squares(long), abs(bad))


def test_a_large_float32_gradient_does_not_overflow_the_sum():
    assert global_norm({"a": np.full(4, 1e30, np.float32)}) == pytest.approx(2e30, rel=1e-6)

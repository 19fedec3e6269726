"""The torch twin's global norm against float64, where one running sum would not do."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.kernels.clip import global_norm as numpy_norm
from lstm_torch.clip import PIECE, clip_global_norm, global_norm


def gradients_of(sizes: list[int], dtype: np.typing.DTypeLike) -> dict[str, np.ndarray]:
    return {f"{n}": (Draws(n).uniform("g", (size,)) - 0.5).astype(dtype) for n, size in enumerate(sizes)}


def exact(gradients: dict[str, np.ndarray]) -> float:
    return math.sqrt(math.fsum(math.fsum(g.astype(np.longdouble) ** 2) for g in gradients.values()))


@given(sizes=st.lists(st.sampled_from([1, 2, 7, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5]), min_size=1, max_size=4))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whatever_the_sizes_it_is_the_root_of_all_squares(sizes, dtype):
    gradients = gradients_of(sizes, dtype)
    norm = global_norm([torch.from_numpy(g) for g in gradients.values()])
    assert norm.dtype == torch.float64
    assert float(norm) == pytest.approx(exact(gradients), rel=8 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_millions_of_entries_it_is_as_exact_as_of_one(dtype):
    """As many as AWD-LSTM's embedding has. Sums of 4,096 squares in 16 lanes and more, and of 3,250 such sums."""
    gradients = gradients_of([33_278 * 400], dtype)
    truth = float(np.sqrt(np.sum(gradients["0"].astype(np.longdouble) ** 2)))
    bound = 8 * float(np.finfo(dtype).eps)
    assert float(global_norm([torch.from_numpy(gradients["0"])])) == pytest.approx(truth, rel=bound)
    assert numpy_norm(gradients) == pytest.approx(truth, rel=8 * float(np.finfo(np.float64).eps))


def test_small_float32_entries_count_beside_large_ones_and_the_factor_is_rounded_once():
    """As in a word model's gradient, of which a few words have nearly all. In float32 the norms of the small pieces are
    too small to count beside those of the large ones: 2e-7 of the norm. Each piece's own roundings even out."""
    large, small = (Draws(1).uniform(name, (n * PIECE,)) for name, n in (("large", 64), ("small", 3000)))
    gradients = {"large": (0.002 * large).astype(np.float32), "small": (2e-7 * small).astype(np.float32)}
    ours = [torch.from_numpy(g.copy()) for g in gradients.values()]
    norm = clip_global_norm(ours, 0.25)
    truth = math.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in gradients.values()))
    assert float(norm) == pytest.approx(truth, rel=3e-8)  # half a unit of float32
    for gradient, g in zip(ours, gradients.values()):
        factor = np.float32(0.25 / (float(norm) + 1e-6))
        np.testing.assert_array_equal(gradient.numpy(), g * factor)


def test_two_dimensions_and_views_count_as_they_are():
    x = torch.arange(24.0).view(4, 6).T
    assert float(global_norm([x, torch.zeros(0, 3)])) == pytest.approx(math.sqrt(sum(n * n for n in range(24))))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_so(bad):
    x = torch.zeros(2 * PIECE)
    x[PIECE + 3] = bad
    assert not math.isfinite(float(global_norm([x, torch.ones(3)])))


@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping_scales_in_place_as_torchs_own_does(max_norm):
    """Of few entries, where torch's norm is right; a norm of 0 too."""
    for sizes in ([3, 5], [1]):
        parameters = [torch.nn.Parameter(torch.from_numpy(g)) for g in gradients_of(sizes, np.float64).values()]
        for parameter in parameters:
            parameter.grad = parameter.detach().clone() * (len(sizes) - 1)
        ours = [parameter.grad.clone() for parameter in parameters]
        norm = clip_global_norm(ours, max_norm)
        expected = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        torch.testing.assert_close(norm, expected, rtol=1e-14, atol=0)
        for gradient, parameter in zip(ours, parameters):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-14, atol=0)

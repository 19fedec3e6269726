"""One layer, padded and in another dtype, against torch.lstm on the true sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lstm_torch import recurrence
from lstm_torch.recurrence import Recurrence, Sizes, enter, is_persistent, leave, lstm_layer, padded_sizes
from parity_tests.cases import LayerCase, layer_case, layer_cases
from parity_tests.test_parity import DEVICES, needs_cuda

Layer = tuple[Tensor, tuple[Tensor, Tensor]]


def tensors_of(case: LayerCase, device: str, dtype: torch.dtype) -> tuple[list[Tensor], tuple[Tensor, Tensor], Tensor]:
    """Leaves x, W_ih, W_hh, b_ih, b_hh; the state; the gradient from above on y."""
    leaves = [torch.from_numpy(array).to(device, dtype).requires_grad_() for array in (case.x, *case.params)]
    h, c, dy = (torch.from_numpy(array).to(device, dtype) for array in (case.h0, case.c0, case.dy))
    return leaves, (h, c), dy


def stock(x: Tensor, pair: tuple[Tensor, Tensor], weights: list[Tensor]) -> Layer:
    h, c = pair
    y, h, c = torch.lstm(x, (h[None], c[None]), weights, True, 1, 0.0, True, False, False)
    return y, (h[0], c[0])


def computed(layer, leaves: list[Tensor], pair: tuple[Tensor, Tensor], dy: Tensor) -> list[Tensor]:
    """y, h, c, and the gradients of x and the weights."""
    x, *weights = leaves
    y, (h, c) = layer(x, pair, weights)
    gradients = torch.autograd.grad((y * dy).sum(), leaves)
    return [y.detach(), h.detach(), c.detach(), *gradients]


@pytest.mark.parametrize("device", DEVICES)
@given(case=layer_cases(), multiples=st.tuples(*3 * [st.integers(1, 9)]), padding=st.booleans())
def test_padding_changes_nothing_but_rounding_in_float64(device, case, multiples, padding):
    """Loss, state and every gradient, in true shapes, wherever the sizes are padded to."""
    kind = Recurrence(torch.float64, padding)
    arguments = tensors_of(case, device, torch.float64)
    with pytest.MonkeyPatch.context() as monkeypatch:
        grown = lambda dtype, *sizes: Sizes(*(recurrence.up(n, m) for n, m in zip(sizes, multiples)))  # noqa: E731
        monkeypatch.setattr(recurrence, "padded_sizes", grown)
        actual = computed(lambda x, pair, weights: lstm_layer(x, pair, weights, kind), *arguments)
    for got, wanted in zip(actual, computed(stock, *arguments)):
        assert got.shape == wanted.shape
        assert (got - wanted).abs().max() <= 1e-12 * max(1, wanted.abs().max())


def test_what_a_padded_unit_computes_is_zero_at_every_step():
    """So the padded rows of the comparison above are not right by accident."""
    weights = [torch.zeros(4 * 3, 2), torch.zeros(4 * 3, 3), torch.zeros(12), torch.zeros(12)]
    for weight in weights:
        weight.view(4, 3, *weight.shape[1:])[:, :2] = 0.7  # two true units, the third padded
    weights[1][:, 2] = 0
    state = torch.tensor([[0.3, -0.2, 0.0]])
    y, (h, c) = stock(torch.full((9, 1, 2), 0.5), (state, state), weights)
    assert not y[..., 2].any()
    assert not h[..., 2].any()
    assert not c[..., 2].any()
    assert y[..., :2].all()


def test_the_weights_lie_as_cudnn_takes_them():
    """One array from the beginning of its storage: W_ih, W_hh, b_ih, b_hh, gate by gate, zeros in between."""
    I, H, sizes = 3, 2, Sizes(1, 4, 5)
    shapes = (4 * H, I), (4 * H, H), (4 * H,), (4 * H,)
    weights = [torch.arange(1.0, 1 + np.prod(shape)).view(shape) + 100 * n for n, shape in enumerate(shapes)]
    pieces = recurrence._OnePiece.apply(*weights, sizes, Recurrence(torch.float64, True))
    assert [tuple(piece.shape) for piece in pieces] == [(20, 4), (20, 5), (20,), (20,)]
    assert all(piece.is_contiguous() for piece in pieces)
    places = [piece.storage_offset() for piece in pieces]
    assert places == [0, 80, 180, 200]
    assert pieces[0].untyped_storage().nbytes() == 8 * 220
    for piece, weight in zip(pieces, weights):
        by_gate, true = piece.view(4, 5, -1), weight.view(4, H, -1)
        assert torch.equal(by_gate[:, :H, : true.shape[2]], true.double())
        assert by_gate.sum() == true.sum()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_below_float16s_range_survive_and_true_ones_come_out(dtype):
    """Of the mean over a million tokens: 1e-6 each, 17 steps of float16; and the products of such are far below it."""
    arguments = tensors_of(layer_case(6, 3, 5, 4, seed=1), "cpu", torch.float64)
    expected = computed(stock, *arguments)
    leaves, pair, dy = arguments
    kind = Recurrence(dtype, padding=True)

    def layer(x: Tensor, pair: tuple[Tensor, Tensor], weights: list[Tensor]) -> Layer:
        y, state = lstm_layer(x, pair, weights, kind)
        return leave(y, torch.float64, kind), state

    actual = computed(layer, leaves, pair, 1e-6 * dy)
    unit = torch.finfo(dtype).eps
    for got, wanted in zip(actual[3:], expected[3:]):
        assert got.dtype == torch.float64
        assert (1e6 * got - wanted).norm() <= 4 * unit * wanted.norm()


def test_without_the_scale_those_gradients_would_be_lost(monkeypatch):
    """The comparison above can fail."""
    monkeypatch.setitem(recurrence.GRADIENT_SCALE, torch.float16, 1.0)
    kind = Recurrence(torch.float16, padding=False)
    x = torch.ones(3, requires_grad=True)
    leave(enter(x, kind), torch.float32, kind).backward(torch.full((3,), 1e-8))
    assert not x.grad.any()
    monkeypatch.undo()
    x.grad = None
    leave(enter(x, kind), torch.float32, kind).backward(torch.full((3,), 1e-8))
    torch.testing.assert_close(x.grad, torch.full((3,), 1e-8), rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("dtype", "sizes", "expected"),
    [
        (torch.float16, (128, 83, 512), (128, 128, 512)),  # the character model
        (torch.float16, (20, 400, 400), (24, 512, 512)),  # word-fast
        (torch.float16, (80, 400, 1150), (80, 400, 1152)),  # AWD-LSTM: above 1024, so no persistent kernel
        (torch.float16, (80, 1150, 400), (80, 1152, 512)),
        (torch.float16, (130, 83, 512), (130, 88, 512)),  # too many rows for it
        (torch.bfloat16, (20, 83, 400), (20, 88, 400)),
        (torch.float32, (20, 400, 1150), (20, 400, 1152)),
    ],
)
def test_sizes_grow_to_the_persistent_kernel_where_that_is_reached(dtype, sizes, expected):
    grown = padded_sizes(dtype, *sizes)
    assert grown == expected
    wide = dtype == torch.float16 and expected[2] <= 1024 and expected[0] <= 128
    assert is_persistent(dtype, grown) is wide


@needs_cuda
@pytest.mark.parametrize("sizes", [(9, 24, 128, 256), (9, 20, 83, 200), (9, 130, 7, 1100)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_on_cuda_a_layer_is_within_its_rounding_and_torch_copies_no_weights(dtype, sizes):
    """A copy would be a warning, and here an error."""
    case = layer_case(*sizes, seed=2, scale=0.1)
    expected = computed(stock, *tensors_of(case, "cpu", torch.float64))
    leaves, pair, dy = tensors_of(case, "cuda", torch.float32 if dtype != torch.float64 else dtype)
    kind = Recurrence(dtype, padding=True)

    def layer(x: Tensor, pair: tuple[Tensor, Tensor], weights: list[Tensor]) -> Layer:
        y, state = lstm_layer(x, pair, weights, kind)
        return leave(y, dy.dtype, kind), state

    unit = max(torch.finfo(dtype).eps, 2**-10 if dtype == torch.float32 else 0)  # TF32, if nobody switched it off
    for got, wanted in zip(computed(layer, leaves, pair, dy), expected):
        assert (got.cpu().double() - wanted).norm() <= 8 * unit * wanted.norm()

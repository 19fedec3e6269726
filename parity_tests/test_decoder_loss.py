"""The decoder's loss by blocks of rows, forward and gradient, against F.linear and F.cross_entropy.

u is the unit roundoff. Bounds of float32 and bf16 follow the rounding through the equations of the kernel:
    a logit is a sum of H products and a bias        |error of z| <= e = (H+1) u max_nv (|x| |W|^T + |b|)
    with bf16 factors, each rounded by 2^-9          e grows by 2^-8 of the same
    logp moves by at most 2e, plus its own rounding; dz by 2e p, plus that; a sum over N rows by N u more.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lstm_ref.core.draws import Draws
from lstm_torch import decoder_loss
from lstm_torch.decoder_loss import linear_cross_entropy, summed_cross_entropy
from lstm_torch.products import add_product, as_factor
from parity_tests.cases import seeds, values
from parity_tests.test_parity import DEVICES

BF16_UNIT = 2.0**-9
UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}
# oneDNN rounds the factors of a float32 product in its AMX kernels only: AVX-512 with bf16 computes it in float32.
HAS_BF16_PRODUCTS = torch.cpu._is_amx_tile_supported()


def case(N: int, H: int, V: int, seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x [N,H], weight [V,H], bias [V] in float64, and targets [N]."""
    draws = Draws(seed)
    arrays = values(draws, "x", N, H), values(draws, "weight", V, H, scale=scale), values(draws, "bias", V)
    targets = (draws.uniform("targets", (N,)) * V).astype(np.int64)
    return *(torch.from_numpy(array) for array in arrays), torch.from_numpy(targets)


def in_blocks_of(rows: int, V: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_loss, "BLOCK", rows * V)


def plain(x, weight, bias, targets):
    return F.cross_entropy(F.linear(x, weight, bias), targets)


def loss_and_gradients(function, x, weight, bias, targets, upstream=1.0, **options) -> list[Tensor]:
    """Loss, dx, dweight, dbias of `upstream` times the loss."""
    leaves = [array.detach().clone().requires_grad_() for array in (x, weight, bias)]
    loss = function(*leaves, targets, **options)
    (upstream * loss).backward()
    return [loss.detach(), *(leaf.grad for leaf in leaves)]


def bounds(x, weight, bias, targets, unit: float, factor_unit: float = 0.0) -> list[Tensor]:
    """Largest errors of loss, dx, dweight and dbias, for any order of the sums."""
    (N, H), V = x.shape, len(weight)
    sizes = x.abs() @ weight.abs().T + bias.abs()
    e = ((H + 1) * unit + 2 * factor_unit) * sizes.max()
    logp = F.log_softmax(x @ weight.T + bias, 1)
    of_logp = 2 * e + (V + 8) * unit + 4 * unit * logp.abs().max()
    p = logp.exp()
    dz = (p - F.one_hot(targets, V)).abs() / N
    of_dz = p / N * of_logp + dz * 2 * factor_unit + 4 * unit / N * (p + F.one_hot(targets, V))
    return [
        of_logp,
        of_dz @ weight.abs() + (V + 2) * unit * dz @ weight.abs(),
        of_dz.T @ x.abs() + (N + 2) * unit * dz.T @ x.abs(),
        of_dz.sum(0) + (N + 2) * unit * dz.sum(0),
    ]


sizes = st.lists(st.integers(1, 40), min_size=3, max_size=3, unique=True)


@pytest.mark.row("BW28", "W46")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [1, 3, 7, 100], ids="blocks of {}".format)
@given(sizes=sizes, seed=seeds, scale=st.sampled_from([0.3, 3.0]), upstream=st.sampled_from([1.0, -2.5]))
def test_loss_and_gradients_equal_the_plain_ones_in_float64(rows, device, sizes, seed, scale, upstream):
    arguments = [array.to(device) for array in case(*sizes, seed, scale)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        in_blocks_of(rows, sizes[2], monkeypatch)
        actual = loss_and_gradients(linear_cross_entropy, *arguments, upstream)
        total = summed_cross_entropy(*arguments)
    for got, wanted in zip(actual, loss_and_gradients(plain, *arguments, upstream)):
        assert (got - wanted).abs().max() <= 1e-12 * max(1, wanted.abs().max())
    assert total.dtype == torch.float64
    assert float(total) == pytest.approx(sizes[0] * float(actual[0]), rel=1e-13)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("N", "H", "V", "rows"), [(50, 32, 75, 50), (50, 32, 75, 16), (7, 300, 1000, 2)])
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("multiple", [1, 64])
def test_float32_and_bf16_are_off_by_no_more_than_their_rounding(multiple, bf16, N, H, V, rows, device, monkeypatch):
    in_blocks_of(rows, V, monkeypatch)
    x, weight, bias, targets = case(N, H, V, seed=3, scale=0.3)
    rounded = [array.float() for array in (x, weight, bias)]
    exact = [array.double() for array in rounded]
    arguments = [array.to(device) for array in (*rounded, targets)]
    actual = loss_and_gradients(linear_cross_entropy, *arguments, bf16=bf16, multiple=multiple)
    allowed = bounds(*exact, targets, UNIT[torch.float32], BF16_UNIT if bf16 else 0.0)
    for got, wanted, bound in zip(actual, loss_and_gradients(plain, *exact, targets), allowed):
        assert got.dtype == torch.float32
        assert ((got.cpu().double() - wanted).abs() <= bound).all()
    if bf16 and (device == "cuda" or HAS_BF16_PRODUCTS):
        exactly = bounds(*exact, targets, UNIT[torch.float32])
        assert ((actual[2].cpu().double() - loss_and_gradients(plain, *exact, targets)[2]).abs() > exactly[2]).any()


@pytest.mark.parametrize("device", DEVICES)
def test_bf16_rounds_factors_only_so_those_that_it_holds_give_float32s_logits(device):
    """Autocast rounds the logits too, and is seen to."""
    x, weight, bias, targets = case(50, 256, 75, seed=5)
    held = [array.bfloat16().float() for array in (x, weight)] + [bias.float()]
    exact = [array.double() for array in held]
    bound, *_ = bounds(*exact, targets, UNIT[torch.float32])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = F.linear(*held).float()
    errors, of_autocast = [], []
    for n, target in enumerate(targets):
        row = [held[0][n : n + 1], *held[1:], target[None]]
        wanted = float(plain(exact[0][n : n + 1], *exact[1:], target[None]))
        errors.append(float(linear_cross_entropy(*(array.to(device) for array in row), bf16=True)) - wanted)
        of_autocast.append(float(F.cross_entropy(rounded[n : n + 1], target[None])) - wanted)
    assert np.abs(errors).max() <= bound < np.abs(of_autocast).max()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_a_product_overwrites_or_adds_and_what_memory_held_before_does_not_count(bf16, device):
    a, b = (array.bfloat16().float().to(device) for array in case(40, 30, 50, seed=1)[:2])
    expected = a.double() @ b.double().T
    a, b = as_factor(a, bf16), as_factor(b, bf16)
    out = torch.full((40, 50), torch.nan, device=device)
    add_product(out, a, b.T, bf16=bf16, beta=0)
    bound = 31 * UNIT[torch.float32] * 30
    assert (out - expected).abs().max() <= bound
    add_product(out, a, b.T, bf16=bf16)
    assert (out - 2 * expected).abs().max() <= 2 * bound + 60 * UNIT[torch.float32]


@pytest.mark.row("BW28")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [3, 100], ids="blocks of {}".format)
@given(sizes=sizes, seed=seeds, multiple=st.sampled_from([2, 8, 64]), upstream=st.sampled_from([1.0, -2.5]))
def test_a_padded_vocabulary_changes_nothing_but_rounding(rows, device, sizes, seed, multiple, upstream):
    arguments = [array.to(device) for array in case(*sizes, seed, scale=3.0)]
    with pytest.MonkeyPatch.context() as monkeypatch:
        in_blocks_of(rows, sizes[2] + -sizes[2] % multiple, monkeypatch)
        actual = loss_and_gradients(linear_cross_entropy, *arguments, upstream, multiple=multiple)
        total = summed_cross_entropy(*arguments, multiple=multiple)
    for got, wanted in zip(actual, loss_and_gradients(plain, *arguments, upstream)):
        assert got.shape == wanted.shape
        assert (got - wanted).abs().max() <= 1e-12 * max(1, wanted.abs().max())
    assert float(total) == pytest.approx(sizes[0] * float(actual[0]), rel=1e-13)


def test_the_global_switch_for_bf16_factors_is_back_even_after_an_error():
    switch = torch.backends.mkldnn.matmul
    before = switch.fp32_precision
    add_product(torch.empty(2, 3), torch.ones(2, 4), torch.ones(4, 3), bf16=True, beta=0)
    assert switch.fp32_precision == before
    with pytest.raises(RuntimeError):
        add_product(torch.empty(2, 3), torch.ones(2, 4), torch.ones(5, 3), bf16=True)
    assert switch.fp32_precision == before


def test_logits_in_the_thousands_neither_overflow_nor_lose_a_target_of_probability_zero():
    x, weight, bias, targets = case(6, 5, 9, seed=2, scale=3000.0)
    actual = loss_and_gradients(linear_cross_entropy, *(array.float() for array in (x, weight, bias)), targets)
    assert all(torch.isfinite(array).all() for array in actual)
    assert float(actual[0]) == pytest.approx(float(plain(x, weight, bias, targets)), rel=1e-4)


def test_the_backward_pass_runs_once_because_it_scales_in_place():
    x, weight, bias, targets = case(6, 5, 9, seed=2)
    loss = linear_cross_entropy(x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), targets)
    loss.backward(retain_graph=True)
    with pytest.raises(TypeError):
        loss.backward()


def test_a_block_left_out_would_be_seen(monkeypatch):
    """The comparison can fail: without the last of six blocks, loss and gradients are far outside the bound."""
    arguments = case(11, 5, 9, seed=2)
    in_blocks_of(2, 9, monkeypatch)
    whole = decoder_loss._log_probabilities
    monkeypatch.setattr(decoder_loss, "_log_probabilities", lambda *given: list(whole(*given))[:-1])
    actual = loss_and_gradients(linear_cross_entropy, *arguments)
    for got, wanted in zip(actual, loss_and_gradients(plain, *arguments)):
        assert (got - wanted).abs().max() > 1e-3

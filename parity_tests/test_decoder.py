"""The decoder with its loss: gradients against the complex step, and blocks of rows that change nothing."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.kernels import decoder
from lstm_ref.kernels.decoder import Decoder, decoder_backward_plain, decoder_plain
from lstm_ref.kernels.softmax_loss import softmax_loss_backward_plain, softmax_loss_plain
from parity_tests.cases import seeds, values
from parity_tests.complex_step import complex_step_gradient, relative_error


@dataclass(frozen=True)
class Case:
    x: np.ndarray  # [N,H]
    weight: np.ndarray  # [V,H]
    bias: np.ndarray  # [V]
    targets: np.ndarray  # [N]

    def astype(self, dtype: np.typing.DTypeLike) -> "Case":
        return Case(self.x.astype(dtype), self.weight.astype(dtype), self.bias.astype(dtype), self.targets)


def case_of(N: int, H: int, V: int, seed: int) -> Case:
    draws = Draws(seed)
    targets = (draws.uniform("targets", (N,)) * V).astype(np.int64)
    return Case(values(draws, "x", N, H), values(draws, "w", V, H), values(draws, "b", V), targets)


@st.composite
def cases(draw: st.DrawFn, largest: int = 12) -> Case:
    N, H, V = draw(st.lists(st.integers(1, largest), min_size=3, max_size=3, unique=True))
    return case_of(N, H, V, draw(seeds))


def plain(case: Case) -> dict[str, np.ndarray]:
    z = decoder_plain(case.x, case.weight, case.bias)
    dx, dweight, dbias = decoder_backward_plain(softmax_loss_backward_plain(z, case.targets), case.x, case.weight)
    return {"loss": np.array(softmax_loss_plain(z, case.targets)), "x": dx, "weight": dweight, "bias": dbias}


def blocked(case: Case, rows: int, strip: int = 1024) -> dict[str, np.ndarray]:
    """The same by `Decoder`, with blocks of at most `rows` rows, into arrays that nobody cleared."""
    (N, H), V = case.x.shape, len(case.bias)
    out = {name: np.full_like(getattr(case, name), np.nan) for name in ("x", "weight", "bias")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "BLOCK", rows * V)
        patch.setattr(decoder, "STRIP", strip)
        decoding = Decoder(H, V, case.x.dtype)
        arguments = (case.x, case.weight, case.bias, case.targets)
        total = decoding.loss_and_gradients(*arguments, N, out["x"], out["weight"], out["bias"])
        assert decoding.loss(*arguments) == pytest.approx(total, rel=1e-13 if case.x.dtype == np.float64 else 1e-6)
        assert len(decoding.block) <= min(rows, N)
    return {"loss": np.array(total / N)} | out


@given(case=cases(largest=7))
def test_gradients_match_the_complex_step(case):
    expected = plain(case)
    for name in ("x", "weight", "bias"):

        def loss(moved: np.ndarray, name: str = name) -> complex:
            arrays = {"x": case.x, "weight": case.weight, "bias": case.bias} | {name: moved}
            return softmax_loss_plain(decoder_plain(**arrays), case.targets)

        # Each entry is a sum of at most N V products of numbers below 1/N and 1; where V = 1 all of them cancel.
        bound = 4 * np.finfo(float).eps * len(case.bias)
        assert np.abs(complex_step_gradient(loss, getattr(case, name)) - expected[name]).max() <= bound, name


@pytest.mark.row("BW28")
@given(case=cases(), rows=st.integers(1, 5), strip=st.integers(1, 5))
def test_blocks_of_any_size_give_the_plain_loss_and_gradients(case, rows, strip):
    expected = plain(case)
    for name, actual in blocked(case, rows, strip).items():
        bound = 8 * np.finfo(float).eps * len(case.bias)  # as above
        assert np.abs(actual - expected[name]).max() <= bound, name


@given(case=cases(), rows=st.integers(1, 5))
def test_float32_stays_within_rounding_of_float64(case, rows):
    rounded = case.astype(np.float32)
    expected = plain(rounded.astype(np.float64))
    (N, H), V = case.x.shape, len(case.bias)
    # A logit below H + 1 is off by H roundings of it, a probability by that; then a sum over V or N of products.
    bound = np.finfo(np.float32).eps * ((H + 1) ** 2 + V + N)
    for name, actual in blocked(rounded, rows).items():
        assert actual.dtype == (np.float64 if name == "loss" else np.float32)
        assert np.abs(actual - expected[name]).max() <= bound, name


def test_forgetting_what_the_blocks_before_gave_would_be_seen(monkeypatch):
    case = case_of(12, 5, 7, seed=1)
    right = plain(case)
    monkeypatch.setattr(Decoder, "_add_product", lambda self, dz, x, dweight: np.dot(dz.T, x, out=dweight))
    assert relative_error(blocked(case, rows=12)["weight"], right["weight"]) < 1e-14
    assert relative_error(blocked(case, rows=6)["weight"], right["weight"]) > 0.1


def test_a_window_gives_the_same_bits_whatever_was_computed_before(monkeypatch):
    monkeypatch.setattr(decoder, "BLOCK", 4 * 7)
    decoding = Decoder(5, 7, np.dtype(np.float32))

    def gradients(N: int, decoding: Decoder) -> np.ndarray:
        case = case_of(N, 5, 7, seed=N).astype(np.float32)
        dx, dweight, dbias = (np.empty_like(array) for array in (case.x, case.weight, case.bias))
        decoding.loss_and_gradients(case.x, case.weight, case.bias, case.targets, N, dx, dweight, dbias)
        return np.concatenate([dx.ravel(), dweight.ravel(), dbias])

    for N in (3, 12, 1, 5, 4, 13):
        fresh = Decoder(5, 7, np.dtype(np.float32))
        np.testing.assert_array_equal(gradients(N, decoding), gradients(N, fresh), err_msg=str(N))


@pytest.mark.row("BW28")
def test_memory_is_one_block_and_not_all_logits(monkeypatch):
    N, H, V, rows = 80, 3, 500, 5
    monkeypatch.setattr(decoder, "BLOCK", rows * V)
    case = case_of(N, H, V, seed=2).astype(np.float32)
    dx, dweight, dbias = (np.empty_like(array) for array in (case.x, case.weight, case.bias))
    arguments = (case.x, case.weight, case.bias, case.targets)
    Decoder(H, V, np.dtype(np.float32)).loss_and_gradients(*arguments, N, dx, dweight, dbias)  # compiled before we look
    tracemalloc.start()
    decoding = Decoder(H, V, np.dtype(np.float32))
    decoding.loss_and_gradients(*arguments, N, dx, dweight, dbias)
    decoding.loss(*arguments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    block, logits = rows * V * 4, N * V * 4
    assert block <= peak <= 3 * block < logits / 4  # the strip and the bias's gradient count here too


def block_sizes(decoding: Decoder, N: int) -> list[int]:
    return [len(z) for _, z in decoding._blocks(N)]


def test_a_block_holds_64_megabytes_and_blocks_share_the_rows_evenly():
    """504 rows of 33,278 logits are 64 MB of float32: a window of 1,400 takes three blocks."""
    assert block_sizes(Decoder(1, 33_278, np.dtype(np.float32)), 1_400) == [467, 467, 466]


def test_a_row_that_is_longer_than_a_block_is_a_block(monkeypatch):
    monkeypatch.setattr(decoder, "BLOCK", 6)
    assert block_sizes(Decoder(3, 7, np.dtype(np.float32)), 4) == [1, 1, 1, 1]


def test_a_smaller_window_takes_the_block_that_is_there():
    decoding = Decoder(3, 7, np.dtype(np.float32))
    block_sizes(decoding, 9)
    before = decoding.block
    block_sizes(decoding, 4)
    assert decoding.block is before

"""The random numbers: the published Philox vectors, the compiled form against the definition, and frozen values.

What is frozen here is a promise: a mask, an initial value or a sampled text that was made today must come out of every
later version too. So a golden value that no longer fits is never to be renewed.
"""

import hashlib
import itertools
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import RunConfig
from lstm_ref.core.draws import W0, W1, Draws, philox_block, philox_plain, stream_number, words_plain
from lstm_ref.core.masks import dropout_masks

seeds = st.integers(0, 2**64 - 1)
steps = st.integers(0, 2**32 - 1)
names = st.text(max_size=12)
shapes = st.lists(st.integers(0, 6), max_size=3).map(tuple)


def blocks_of(draws: Draws, stream: str, count: int) -> set[tuple[int, ...]]:
    """The 128-bit blocks behind `count` * 4 words. For one key Philox is a bijection from counters to blocks: two
    blocks are equal if and only if their counters are, by no accident."""
    return set(map(tuple, draws.words(stream, 4 * count).reshape(4, count).T.tolist()))


@pytest.mark.parametrize(
    ("counter", "key", "published"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_published_words(counter, key, published):
    counter_words = np.array([int(word, 16) for word in counter.split()], np.uint32)
    low, high = (int(word, 16) for word in key.split())
    words = philox_plain(counter_words, (low, high))
    assert words.dtype == np.uint32
    assert " ".join(f"{word:08x}" for word in words) == published


@given(seed=seeds, step=steps, n=st.integers(0, 300))
def test_compiled_words_equal_the_plain_definition(seed, step, n):
    words = Draws(seed, step).words("dropout/l0", n)
    assert words.dtype == np.uint32
    np.testing.assert_array_equal(words, words_plain(seed, step, stream_number("dropout/l0"), n), strict=True)


@given(seed=seeds, step=steps, stream=names, n=st.integers(1, 40))
def test_word_i_is_word_i_div_nb_of_block_i_mod_nb(seed, step, stream, n):
    i, blocks = np.arange(n), math.ceil(n / 4)
    counters = np.stack([i % blocks, 0 * i, np.full(n, step), np.full(n, stream_number(stream))], axis=1)
    expected = philox_plain(counters.astype(np.uint32), (seed % 2**32, seed // 2**32))[i, i // blocks]
    np.testing.assert_array_equal(Draws(seed, step).words(stream, n), expected, strict=True)


@pytest.mark.parametrize("key", [(0, 0), (2**32 - 1, 2**32 - 1), (2**32 - 1 - int(W0), 2**32 - 1 - int(W1))])
@pytest.mark.parametrize(("block", "step", "stream"), list(itertools.product([0, 2**32 - 1], repeat=3)))
def test_the_compiled_block_equals_the_plain_one_where_a_word_is_all_ones(block, step, stream, key):
    """No random word or sum ever is, and there a remainder by 2^32 - 1 differs from the low 32 bits."""
    arguments = (np.uint64(word) for word in (block, step, stream, *key))
    words = [int(word) for word in philox_block(*arguments)]
    assert words == philox_plain(np.array([block, 0, step, stream], np.uint32), key).tolist()


@given(name=names)
def test_a_streams_number_is_the_start_of_its_names_sha256(name):
    first_bytes = hashlib.sha256(name.encode()).hexdigest()[:8]
    assert f"{stream_number(name):08x}" == "".join(reversed([first_bytes[i : i + 2] for i in range(0, 8, 2)]))


@given(seed=seeds, step=st.integers(0, 2**32 - 2), stream=names)
def test_neighbouring_steps_share_no_block(seed, step, stream):
    one, next_one = (blocks_of(Draws(seed, s), stream, 300) for s in (step, step + 1))
    assert len(one) == len(next_one) == 300
    assert one.isdisjoint(next_one)


@given(seed=seeds, step=steps, streams=st.lists(names, min_size=2, max_size=2, unique_by=stream_number))
def test_two_streams_share_no_block(seed, step, streams):
    one, other = (blocks_of(Draws(seed, step), stream, 300) for stream in streams)
    assert one.isdisjoint(other)


def test_draws_are_those_of_step_0_unless_told_otherwise_and_cannot_be_changed():
    draws = Draws(7)
    assert draws == Draws(7, 0)
    with pytest.raises(AttributeError):
        draws.step = 1
    assert not hasattr(draws, "__dict__")


@given(seed=seeds, bit=st.integers(0, 63))
def test_every_bit_of_the_seed_changes_the_words(seed, bit):
    assert not np.array_equal(Draws(seed).words("sample", 8), Draws(seed ^ (1 << bit)).words("sample", 8))


@given(seed=seeds, step=steps, n=st.integers(1, 60), others=st.lists(st.tuples(names, st.integers(0, 9)), max_size=3))
def test_words_depend_on_seed_step_stream_and_block_count_alone(seed, step, n, others):
    draws = Draws(seed).at(step)
    assert draws == Draws(seed, step)
    full_blocks = draws.words("sample", 4 * math.ceil(n / 4))
    for stream, count in others:
        draws.words(stream, count)[:] = 0  # a caller's array is its own
        draws.keep_mask(stream, (count,), 0.5)
    np.testing.assert_array_equal(draws.words("sample", n), full_blocks[:n], strict=True)


@given(seed=seeds, step=steps, shape=shapes)
def test_a_float32_is_the_top_24_bits_of_its_word(seed, step, shape):
    draws, n = Draws(seed, step), math.prod(shape)
    u = draws.uniform("init/decoder.bias", shape, np.float32)
    assert u.dtype == np.float32
    assert u.shape == shape
    expected = [int(word) // 2**8 for word in draws.words("init/decoder.bias", n)]
    assert (u.reshape(-1).astype(np.float64) * 2**24).tolist() == expected


@given(seed=seeds, step=steps, shape=shapes)
def test_a_float64_is_27_bits_of_word_i_and_26_of_word_n_plus_i(seed, step, shape):
    draws, n = Draws(seed, step), math.prod(shape)
    u = draws.uniform("sample", shape)
    assert u.dtype == np.float64
    assert u.shape == shape
    words = [int(word) for word in draws.words("sample", 2 * n)]
    expected = [(words[i] // 2**5) * 2**26 + words[n + i] // 2**6 for i in range(n)]
    assert (u.reshape(-1) * 2**53).tolist() == expected


@pytest.mark.parametrize(("dtype", "largest"), [(np.float32, 1 - 2**-24), (np.float64, 1 - 2**-53)])
def test_uniform_numbers_reach_0_and_never_1(monkeypatch, dtype, largest):
    for word, expected in ((0, 0.0), (2**32 - 1, largest)):
        monkeypatch.setattr(Draws, "words", lambda self, stream, n, word=word: np.full(n, word, np.uint32))
        assert Draws(3).uniform("sample", (2,), dtype).tolist() == [expected, expected]


@given(seed=seeds, step=st.integers(0, 2**32 - 601))
def test_one_number_each_step_is_the_first_of_that_step(seed, step):
    draws = Draws(seed, step)
    each = list(itertools.islice(draws.one_each_step("sample"), 600))
    for k in (0, 1, 255, 256, 599):
        assert each[k] == draws.at(step + k).uniform("sample", (1,))[0]


def test_one_number_each_step_ends_with_the_steps_and_says_so():
    uniforms = Draws(1, 2**32 - 2).one_each_step("sample")
    assert len(list(itertools.islice(uniforms, 2))) == 2
    with pytest.raises(ValueError, match="step=4294967296"):
        next(uniforms)


@given(seed=seeds, step=steps, shape=shapes, p=st.floats(0, 1, exclude_max=True))
def test_a_mask_keeps_where_the_float32_u_reaches_p(seed, step, shape, p):
    draws = Draws(seed, step)
    mask = draws.keep_mask("dropout/l1", shape, p)
    assert mask.dtype == np.bool_
    u = draws.uniform("dropout/l1", shape, np.float32)
    np.testing.assert_array_equal(mask, u.astype(np.float64) >= p, strict=True)


@given(seed=seeds, step=steps, i=st.integers(0, 30))
def test_a_mask_is_exact_where_p_meets_a_u(seed, step, i):
    """A random p lies between two float32 u's; at a u, and one float64 beside it, a rounded threshold shows."""
    draws = Draws(seed, step)
    u = float(draws.uniform("dropout/l1", (31,), np.float32)[i])
    kept = [draws.keep_mask("dropout/l1", (31,), p)[i] for p in (np.nextafter(u, 0), u, np.nextafter(u, 1))]
    assert kept == [True, True, False]


@given(seed=seeds, step=steps, V=st.integers(1, 9))
def test_dropout_masks_are_the_same_for_every_precision(seed, step, V):
    def masks(precision: str) -> dict[str, np.ndarray]:
        config = RunConfig(embedding_size=5, hidden_sizes=(4, 3), dropout_input=0.2, precision=precision)
        return dropout_masks(config.language_model(V), Draws(seed, step), T=6, B=2)

    single, double = masks("float32"), masks("float64")
    assert {where: mask.shape for where, mask in single.items()} == {
        "input": (6, 2, 5),
        "l0": (6, 2, 4),
        "l1": (6, 2, 3),
    }
    for where, mask in single.items():
        np.testing.assert_array_equal(mask, double[where], strict=True)
        rate = 0.2 if where == "input" else 0.5
        np.testing.assert_array_equal(mask, Draws(seed, step).keep_mask(f"dropout/{where}", mask.shape, rate))


def test_everything_is_the_same_without_compilation():
    script = """if True:
        import json
        from lstm_ref.core.draws import Draws, fill_words
        draws = Draws(2**64 - 3, 2**32 - 2)
        print(json.dumps({
            "compiled": hasattr(fill_words, "py_func"),
            "words": draws.words("sample", 11).tolist(),
            "float32": draws.uniform("sample", (5,), "float32").tolist(),
            "float64": draws.uniform("sample", (5,)).tolist(),
            "mask": draws.keep_mask("dropout/l0", (2, 7), 0.3).tolist(),
        }))
    """
    environ = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-c", script]
    plain = json.loads(subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout)
    draws = Draws(2**64 - 3, 2**32 - 2)
    assert plain == {
        "compiled": False,
        "words": draws.words("sample", 11).tolist(),
        "float32": draws.uniform("sample", (5,), np.float32).tolist(),
        "float64": draws.uniform("sample", (5,)).tolist(),
        "mask": draws.keep_mask("dropout/l0", (2, 7), 0.3).tolist(),
    }


@pytest.mark.parametrize(("seed", "step"), [(-1, 0), (2**64, 0), (2**64 + 1, 0), (0, -1), (0, 2**32), (0, 2**32 + 1)])
def test_a_seed_or_step_out_of_range_is_refused(seed, step):
    with pytest.raises(ValueError, match=rf"seed={seed}, step={step}\): seed has 64 bits, step 32"):
        Draws(seed, step)


@pytest.mark.parametrize(
    ("seed", "step", "stream", "frozen"),
    [
        (0, 0, "sample", "60cf11b1 ef285792 b027eec9 2e993e24"),
        (20_240_229, 7, "dropout/l0", "25b18a7b a536dfc8 4b4f4b00 481b73f0 741acca2"),
        (0x0123456789ABCDEF, 139, "dropout/input", "9f41e776 74d298e4 05c07c58 e588394c 21e8a904 ff0cc5f9"),
        (2**64 - 1, 2**32 - 1, "init/decoder.weight", "7d8d5a92 539c03a5 04e864e1"),
    ],
)
def test_words_are_the_frozen_ones(seed, step, stream, frozen):
    expected = frozen.split()
    assert [f"{word:08x}" for word in Draws(seed, step).words(stream, len(expected))] == expected


def test_uniform_numbers_and_masks_are_the_frozen_ones():
    draws = Draws(2_718_281_828, 45)
    double = [float.fromhex(x) for x in ("0x1.0105e0b3215fap-1", "0x1.7f187711bb1f4p-2", "0x1.4863628f64408p-2")]
    single = [float.fromhex(x) for x in ("0x1.0105e0p-1", "0x1.486360p-2", "0x1.1bb1f0p-3")]
    assert draws.uniform("sample", (3,)).tolist() == double
    assert draws.uniform("sample", (3,), np.float32).tolist() == single
    mask = draws.keep_mask("dropout/l0", (4, 16), 0.3)
    assert ["".join("01"[kept] for kept in row) for row in mask.astype(int).tolist()] == [
        "0111011000011101",
        "1100110101000111",
        "0111100111010111",
        "1111010011111011",
    ]


# Of a sum of many independent terms; the seeds below are fixed, so that a test passes always or never.
FIVE_SIGMA = 5.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("seed", "stream"), [(0, "sample"), (1, "dropout/l0"), (2**40 + 17, "init/decoder.weight")])
def test_uniform_numbers_fill_the_unit_interval_evenly(seed, stream, dtype):
    n, cells = 1 << 18, 256
    u = Draws(seed, 9).uniform(stream, (n,), dtype).astype(np.float64)
    assert abs(u.mean() - 0.5) <= FIVE_SIGMA * math.sqrt(1 / 12 / n)
    cell_of = (u * cells).astype(np.int64)
    pair_of = (u[0::2] * 16).astype(np.int64) * 16 + (u[1::2] * 16).astype(np.int64)
    for found in (np.bincount(cell_of, minlength=cells), np.bincount(pair_of, minlength=cells)):
        expected = found.sum() / cells
        chi_square = ((found - expected) ** 2).sum() / expected
        assert abs(chi_square - (cells - 1)) <= FIVE_SIGMA * math.sqrt(2 * (cells - 1))


@pytest.mark.parametrize(("seed", "step"), [(0, 0), (0, 1), (2**63, 139)])
def test_every_bit_of_a_word_is_set_half_the_time(seed, step):
    n = 1 << 16
    words = Draws(seed, step).words("sample", n)
    ones = np.array([int((words >> np.uint32(bit) & np.uint32(1)).sum()) for bit in range(32)])
    assert np.abs(ones - n / 2).max() <= FIVE_SIGMA * math.sqrt(n / 4)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_a_mask_drops_the_share_that_was_asked_for(p):
    n = 1 << 16
    dropped = n - int(Draws(5, 3).keep_mask("dropout/l0", (n,), p).sum())
    assert abs(dropped - n * p) <= FIVE_SIGMA * math.sqrt(n * p * (1 - p))


@given(seed=seeds, step=st.integers(0, 2**32 - 1), shape=st.sampled_from([(), (1,), (7,), (3, 5)]))
def test_normal_numbers_are_box_and_mullers_of_the_streams_uniform_ones(seed, step, shape):
    draws = Draws(seed, step)
    u, v = draws.uniform("length", (2, *shape))
    numbers = draws.normal("length", shape)
    assert (numbers.shape, numbers.dtype) == (shape, np.float64)
    assert np.isfinite(numbers).all()
    expected = [math.sqrt(-2 * math.log1p(-a)) * math.cos(2 * math.pi * b) for a, b in zip(u.flat, v.flat)]
    # a logarithm near 0 and a cosine near its zero, each off by an ulp or two of 1
    np.testing.assert_allclose(numbers.reshape(-1), expected, rtol=1e-12, atol=1e-14)


def test_normal_numbers_are_normal():
    values = np.sort(Draws(5).normal("length", (20_000,)))
    distribution = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in values])
    steps = np.arange(len(values) + 1) / len(values)
    largest_gap = max(np.abs(distribution - steps[:-1]).max(), np.abs(distribution - steps[1:]).max())
    # Kolmogorov and Smirnov: a right sample stays below 2.23/sqrt(n) but for one in ten thousand; the seed is fixed.
    assert largest_gap <= 2.23 / math.sqrt(len(values))

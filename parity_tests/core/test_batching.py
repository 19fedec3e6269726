"""ids -> windows, against the original notebook's own generator and its printed arrays.

Most texts here are 0, 1, 2, ...: every token is its own position, so that a wrong one shows where it came from.
"""

import inspect
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.batching import Rows, Window, Windows, evaluation_segments, get_batches
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.errors import DataError, ShapeError
from lstm_ref.core.vocab import Vocabulary

last_targets = st.sampled_from(["next", "wrap"])
WINDOWS, ROWS = Windows(np.arange(26), 2, 4), Rows(np.arange(26), 2, np.array([0, 4, 8, 12]))  # three windows each

# `x[:10, :10]` and `y[:10, :10]` as the original notebook prints them, for 8 rows of 50 steps.
PRINTED_X = """
    51 39 16 17  1 27 54 53 44 29    69 56 64 53  1 39 16  1 53 16    27 64 42 53 56 54 53 16 53 68
    69 53  1 39 27 53  9 39 77 27    53 69 16 46 53 39 27 54 53  1     9 57 69 69 77 56 64 53 16 64
    53 49 64 64 16 53 39 16 42 53    58 21 36 56 64 69 60 48  6 53
"""
PRINTED_Y = """
    39 16 17  1 27 54 53 44 29 29    56 64 53  1 39 16  1 53 16  1    64 42 53 56 54 53 16 53 68 56
    53  1 39 27 53  9 39 77 27 68    69 16 46 53 39 27 54 53  1 27    57 69 69 77 56 64 53 16 64 42
    49 64 64 16 53 39 16 42 53 69    21 36 56 64 69 60 48  6 53 72
"""


def notebook_get_batches(arr: np.ndarray, batch_size: int, seq_length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The original notebook's, word for word but for its comments."""
    n_batches = len(arr) // (batch_size * seq_length)
    arr = arr[: batch_size * seq_length * n_batches]
    arr = arr.reshape((batch_size, -1))
    for n in range(0, arr.shape[1], seq_length):
        x = arr[:, n : n + seq_length]
        y = np.zeros_like(x)
        try:
            y[:, :-1], y[:, -1] = x[:, 1:], arr[:, n + seq_length]
        except IndexError:
            y[:, :-1], y[:, -1] = x[:, 1:], arr[:, 0]
        yield x, y


@st.composite
def window_counts(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """B rows, T steps, K windows, and how many tokens are left over, all there may be included."""
    B, T, K = draw(st.integers(1, 6)), draw(st.integers(1, 7)), draw(st.integers(1, 5))
    return B, T, K, draw(st.integers(0, B * T - 1))


def positions(B: int, T: int, K: int, left_over: int, last_target: str) -> np.ndarray:
    """A text of which exactly K windows of T x B can be made."""
    return np.arange(B * T * K + left_over + (last_target == "next"))


def all_windows(ids: np.ndarray, B: int, T: int, coverage: str, last_target: str) -> list[list[Window]]:
    return [list(segment) for segment in evaluation_segments(ids, B, T, coverage, last_target)]


@pytest.mark.row("C12", "C13", "C14", "C16")
@given(case=window_counts())
def test_wrap_gives_the_batches_of_the_original_notebook(case):
    B, T, K, left_over = case
    ids = positions(B, T, K, left_over, "wrap")
    ours, original = list(get_batches(ids, B, T, "wrap")), list(notebook_get_batches(ids, B, T))
    assert len(ours) == len(original) == K
    for pair, original_pair in zip(ours, original):
        for array, original_array in zip(pair, original_pair):
            np.testing.assert_array_equal(array, original_array, strict=True)


@pytest.mark.row("C12", "C13", "C14", "C16", "BC5")
@pytest.mark.parametrize(
    ("last_target", "last_y"),
    [("wrap", [[9, 10, 11, 0], [21, 22, 23, 12]]), ("next", [[9, 10, 11, 12], [21, 22, 23, 24]])],
)
def test_26_tokens_in_2_rows_of_4_give_three_batches_of_24_tokens(last_target, last_y):
    (x0, y0), (x1, y1), (x2, y2) = get_batches(np.arange(26), 2, 4, last_target)
    assert x0.tolist() == [[0, 1, 2, 3], [12, 13, 14, 15]]
    assert y0.tolist() == [[1, 2, 3, 4], [13, 14, 15, 16]]
    assert x1.tolist() == [[4, 5, 6, 7], [16, 17, 18, 19]]
    assert y1.tolist() == [[5, 6, 7, 8], [17, 18, 19, 20]]
    assert x2.tolist() == [[8, 9, 10, 11], [20, 21, 22, 23]]
    assert y2.tolist() == last_y
    assert x0.size + x1.size + x2.size == 24


@pytest.mark.row("C15")
def test_get_batches_is_a_generator_that_makes_one_batch_at_a_time(monkeypatch):
    made = []
    getitem = Windows.__getitem__
    monkeypatch.setattr(Windows, "__getitem__", lambda self, k: made.append(k) or getitem(self, k))
    batches = get_batches(np.arange(26), 2, 4)
    assert inspect.isgenerator(batches)
    assert made == []
    next(batches)
    assert set(made) == {0}
    assert len(list(batches)) == 2
    assert set(made) == {0, 1, 2}


@given(case=window_counts(), last_target=last_targets)
def test_a_batch_is_a_window_with_the_rows_first(case, last_target):
    B, T, K, left_over = case
    ids = positions(B, T, K, left_over, last_target)
    windows, batches = Windows(ids, B, T, last_target), list(get_batches(ids, B, T, last_target))
    assert len(windows) == len(batches) == K
    for window, (x, y) in zip(windows, batches):
        assert window.inputs.shape == window.targets.shape == (T, B)
        assert window.tokens == T * B
        np.testing.assert_array_equal(x, window.inputs.T, strict=True)
        np.testing.assert_array_equal(y, window.targets.T, strict=True)


@pytest.mark.row("C13")
@given(case=window_counts(), last_target=last_targets)
def test_row_r_reads_its_own_adjacent_stretch_of_the_text(case, last_target):
    B, T, K, left_over = case
    ids = positions(B, T, K, left_over, last_target)
    read = np.concatenate([window.inputs for window in Windows(ids, B, T, last_target)])
    np.testing.assert_array_equal(read.T, np.arange(B * T * K).reshape(B, T * K), strict=True)


@pytest.mark.row("C14")
@given(case=window_counts(), last_target=last_targets)
def test_every_window_goes_on_where_the_last_one_stopped(case, last_target):
    B, T, K, left_over = case
    windows = list(Windows(positions(B, T, K, left_over, last_target), B, T, last_target))
    for window in windows:
        np.testing.assert_array_equal(window.targets[:-1], window.inputs[1:])
    for window, following in pairwise(windows):
        np.testing.assert_array_equal(window.targets[-1], following.inputs[0])


@pytest.mark.row("BC5")
@given(case=window_counts())
def test_every_target_is_the_next_token_of_the_text(case):
    B, T, K, left_over = case
    for window in Windows(positions(B, T, K, left_over, "next"), B, T):
        np.testing.assert_array_equal(window.targets, window.inputs + 1, strict=True)


@pytest.mark.row("C16", "BC5")
@given(case=window_counts())
def test_wrap_has_exactly_one_wrong_target_a_row_and_epoch(case):
    B, T, K, left_over = case
    wrong = []
    for k, window in enumerate(Windows(positions(B, T, K, left_over, "wrap"), B, T, "wrap")):
        steps, rows = np.nonzero(window.targets != window.inputs + 1)
        wrong += [(k, t, row, window.targets[t, row]) for t, row in zip(steps.tolist(), rows.tolist())]
    assert wrong == [(K - 1, T - 1, row, row * K * T) for row in range(B)]


def test_wrap_is_wrong_in_the_last_of_a_thousand_windows_only():
    wrong = [
        k
        for k, window in enumerate(Windows(np.arange(3_000), 1, 3, "wrap"))
        if (window.targets != window.inputs + 1).any()
    ]
    assert wrong == [999]


@pytest.mark.parametrize("fresh", [None, np.array([True, False, True])])
def test_a_part_of_a_window_is_some_of_its_rows_contiguous(fresh):
    window = Window(np.arange(12).reshape(4, 3), np.arange(12, 24).reshape(4, 3), fresh)
    part = window.part(slice(1, 3))
    np.testing.assert_array_equal(part.inputs, [[1, 2], [4, 5], [7, 8], [10, 11]])
    np.testing.assert_array_equal(part.targets, part.inputs + 12)
    assert part.inputs.flags.c_contiguous
    assert part.targets.flags.c_contiguous
    if fresh is None:
        assert part.fresh is None
    else:
        np.testing.assert_array_equal(part.fresh, [False, True])


@pytest.mark.parametrize("made", [Window(np.zeros((1, 1)), np.zeros((1, 1))), WINDOWS, ROWS], ids=type)
def test_windows_cannot_be_changed(made):
    for name in made.__slots__:
        with pytest.raises(AttributeError):
            setattr(made, name, None)
    assert not hasattr(made, "__dict__")


@pytest.mark.row("BC7")
@given(case=window_counts(), last_target=last_targets)
def test_inputs_and_targets_are_int64(case, last_target):
    B, T, K, left_over = case
    for window in Windows(positions(B, T, K, left_over, last_target), B, T, last_target):
        assert window.inputs.dtype == window.targets.dtype == np.int64


@pytest.mark.row("BC7")
@pytest.mark.parametrize(
    ("ids", "arrived"),
    [
        (np.arange(26, dtype=np.int32), r"int32 \[26\]"),
        (np.arange(26, dtype=np.uint8), r"uint8 \[26\]"),
        (np.arange(26.0), r"float64 \[26\]"),
        (np.arange(26).reshape(2, 13), r"int64 \[2, 13\]"),
        (np.array(3), r"int64 \[\]"),
    ],
)
def test_ids_that_are_not_a_row_of_int64_are_refused(ids, arrived):
    message = rf"ids are {arrived}, expected int64 \[n\]: use Vocabulary.encode"
    with pytest.raises(ShapeError, match=message):
        Windows(ids, 2, 4)
    with pytest.raises(ShapeError, match=message):
        next(evaluation_segments(ids, 2, 4, "full", "next"))


@pytest.mark.row("C12", "C17")
@pytest.mark.parametrize("last_target", ["next", "wrap"])
@pytest.mark.parametrize(
    ("tokens", "B", "T", "windows", "left_over"),
    [
        (1_786_700, 128, 100, 139, 7_500),  # anna's training part
        (198_523, 128, 100, 15, 6_523),  # and its validation part
        (1_985_223, 8, 50, 4_963, 23),  # all of it
        (26, 2, 4, 3, 2),
    ],
)
def test_full_windows_are_counted_and_the_rest_is_dropped(tokens, B, T, windows, left_over, last_target):
    cut = Windows(np.zeros(tokens, np.int64), B, T, last_target)
    assert len(cut) == windows
    assert tokens - sum(cut[k].tokens for k in range(len(cut))) == left_over


@given(case=window_counts(), last_target=last_targets, data=st.data())
def test_window_k_is_a_pure_function_of_k(case, last_target, data):
    B, T, K, left_over = case
    ids = positions(B, T, K, left_over, last_target)
    in_order = list(Windows(ids, B, T, last_target))
    windows = Windows(ids, B, T, last_target)
    for k in data.draw(st.lists(st.integers(0, K - 1), max_size=8)):
        window = windows[k]
        np.testing.assert_array_equal(window.inputs, in_order[k].inputs, strict=True)
        np.testing.assert_array_equal(window.targets, in_order[k].targets, strict=True)
        window.inputs[:] = window.targets[:] = -1  # a caller's arrays are its own
    np.testing.assert_array_equal(ids, np.arange(len(ids)))


@pytest.mark.parametrize("k", [-1, 3, 4, 2**40])
@pytest.mark.parametrize("epoch", [WINDOWS, ROWS], ids=type)
def test_there_is_no_window_outside_the_epoch(k, epoch):
    with pytest.raises(IndexError, match=f"window {k} of 3"):
        epoch[k]


@pytest.mark.row("BC15")
@pytest.mark.parametrize("last_target", ["next", "wrap"])
@pytest.mark.parametrize("tokens", [0, 1, 12, 20])
def test_a_text_too_short_is_an_error_that_names_the_numbers(tokens, last_target):
    needed = 21 + (last_target == "next")
    message = f"text too short: {tokens} tokens, .* batch_size=3 x seq_length=7 needs {needed}; .* or take more text"
    with pytest.raises(DataError, match=message) as caught:
        Windows(np.arange(tokens), 3, 7, last_target)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=message):
        next(get_batches(np.arange(tokens), 3, 7, last_target))
    with pytest.raises(DataError, match=message):
        next(evaluation_segments(np.arange(tokens), 3, 7, "windows", last_target))


@given(T=st.integers(1, 9), rows=st.integers(1, 5), more=st.integers(0, 8), last_target=last_targets)
def test_the_batch_size_that_the_error_advises_fits(T, rows, more, last_target):
    ids = np.arange(rows * T + 1 + min(more, T - 1))
    with pytest.raises(DataError, match=f"set batch_size to {rows} or less") as caught:
        Windows(ids, rows + 2, T, last_target)
    assert f"batch_size={rows + 2}" in str(caught.value)
    assert len(Windows(ids, rows, T, last_target)) >= 1


@pytest.mark.parametrize(("tokens", "B", "T"), [(0, 1, 1), (0, 3, 1), (1, 1, 1), (7, 3, 7)])
def test_the_error_advises_no_batch_size_where_not_one_row_fits(tokens, B, T):
    with pytest.raises(DataError, match=r"; set a shorter seq_length, or take more text"):
        Windows(np.arange(tokens), B, T)


@pytest.mark.parametrize(("B", "T"), [(0, 4), (2, 0), (-1, 4)])
def test_no_rows_or_no_steps_are_refused(B, T):
    with pytest.raises(DataError, match=f"batch_size={B}, seq_length={T}: expected at least 1 each"):
        Windows(np.arange(26), B, T)


@pytest.mark.row("BC15")
@given(n=st.integers(2, 120), B=st.integers(1, 9), T=st.integers(1, 11), last_target=last_targets)
def test_full_coverage_scores_every_token_but_the_first_once(n, B, T, last_target):
    segments = all_windows(np.arange(n), B, T, "full", last_target)
    windows = [window for segment in segments for window in segment]
    for window in windows:
        np.testing.assert_array_equal(window.targets, window.inputs + 1, strict=True)
    scored = np.concatenate([window.targets.reshape(-1) for window in windows])
    assert sorted(scored.tolist()) == list(range(1, n))
    assert sum(window.tokens for window in windows) == n - 1


@pytest.mark.row("BC15")
@given(n=st.integers(2, 120), B=st.integers(1, 9), T=st.integers(1, 11))
def test_full_coverage_carries_the_state_inside_a_segment(n, B, T):
    segments = all_windows(np.arange(n), B, T, "full", "next")
    assert len(segments) == 1 + ((n - 1) % min(B, n - 1) > 0)
    assert all(window.inputs.shape[1] == min(B, n - 1) for window in segments[0])
    for rest in segments[1:]:
        assert all(window.inputs.shape[1] == 1 for window in rest)
        assert sum(window.tokens for window in rest) < B
    for segment in segments:
        *full, last = segment
        assert all(len(window.inputs) == T for window in full)
        assert 1 <= len(last.inputs) <= T
        for window, following in pairwise(segment):
            np.testing.assert_array_equal(window.targets[-1], following.inputs[0])


@pytest.mark.row("BC15", "BC16")
@given(case=window_counts(), last_target=last_targets)
def test_window_coverage_is_the_notebooks_and_leaves_the_end_unscored(case, last_target):
    B, T, K, left_over = case
    ids = positions(B, T, K, left_over, last_target)
    (segment,) = all_windows(ids, B, T, "windows", last_target)
    assert sum(window.tokens for window in segment) == B * T * K
    for window, (x, y) in zip(segment, get_batches(ids, B, T, last_target), strict=True):
        np.testing.assert_array_equal(window.inputs, x.T, strict=True)
        np.testing.assert_array_equal(window.targets, y.T, strict=True)


@pytest.mark.row("BC15", "BC16")
@pytest.mark.parametrize(
    ("coverage", "last_target", "scored", "wrong"),
    [
        ("windows", "wrap", 192_000, 128),
        ("windows", "next", 192_000, 0),
        ("full", "wrap", 198_522, 0),
        ("full", "next", 198_522, 0),
    ],
)
def test_annas_validation_part_is_scored_as_far_as_said(coverage, last_target, scored, wrong):
    segments = all_windows(np.arange(198_523), 128, 100, coverage, last_target)
    windows = [window for segment in segments for window in segment]
    assert sum(window.tokens for window in windows) == scored
    assert sum(int((window.targets != window.inputs + 1).sum()) for window in windows) == wrong


@pytest.mark.row("BC15")
@pytest.mark.parametrize("tokens", [0, 1])
def test_nothing_to_score_is_an_error(tokens):
    with pytest.raises(DataError, match=f"nothing to score: {tokens} tokens"):
        next(evaluation_segments(np.arange(tokens), 2, 4, "full", "next"))


@pytest.mark.row("C14", "C17")
def test_the_notebooks_printed_batch_is_ours_up_to_a_bijection(data_dir):
    text = load_corpus("anna", data_dir).text
    x, y = next(get_batches(Vocabulary.build(text).encode(text), 8, 50))
    assert x.shape == y.shape == (8, 50)
    ours = [*x[:10, :10].flat, *y[:10, :10].flat]
    printed = [int(word) for word in (PRINTED_X + PRINTED_Y).split()]
    assert len(ours) == len(printed) == 160
    assert len(set(zip(ours, printed))) == len(set(ours)) == len(set(printed))

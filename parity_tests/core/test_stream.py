"""The training text, epoch by epoch: the order of its articles, its rows, its windows and their drawn lengths.

Most texts here are 0, 1, 2, ...: every token is its own position, so that a wrong one shows where it came from.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.articles import Articles
from lstm_ref.core.batching import Window, Windows
from lstm_ref.core.config import RunConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import DataError
from lstm_ref.core.stream import LONGER, SHORTEST, ArticleStream, mixture, training_stream

seeds = st.integers(0, 2**64 - 1)
epochs = st.integers(0, 2**32 - 1)

FROZEN_LENGTHS = [72, 68, 37, 72, 66, 34, 73, 72, 70, 72, 63, 67]  # 12 of seed 11, epoch 0, seq_length 70
# The last windows of a row of so many steps, seed 11, epoch 0, seq_length 6.
FROZEN_ENDS = {600: [5, 11, 5, 13, 5, 7, 11, 11, 5, 5, 5, 10], 605: [11, 5, 13, 5, 7, 11, 11, 5, 5, 7, 9, 4]}
FROZEN_ORDER = [5, 2, 6, 9, 3, 10, 8, 1, 11, 0, 4, 7]  # of 12 articles, seed 11, epoch 0


def positions(lengths: list[int], **options: object) -> ArticleStream:
    """Articles of these lengths."""
    articles = Articles(np.arange(sum(lengths)), np.cumsum([0, *lengths]))
    return ArticleStream(articles, **{"batch_size": 2, "seq_length": 5} | options)


def windows_of(stream: ArticleStream, e: int) -> list[Window]:
    epoch = stream.epoch(e)
    return [epoch[k] for k in range(len(epoch))]


def read(stream: ArticleStream, e: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of an epoch, [B,R] each: what each row read from end to end."""
    windows = windows_of(stream, e)
    return tuple(np.concatenate([getattr(w, part) for w in windows]).T for part in ("inputs", "targets"))


@st.composite
def streams(draw: st.DrawFn, **fixed: object) -> ArticleStream:
    """Articles of any lengths, none included, that make at least one row of one step."""
    B = draw(st.integers(1, 6))
    lengths = draw(st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda lengths: sum(lengths) > B))
    options = {
        "seq_length": draw(st.integers(1, 9)),
        "seed": draw(seeds),
        "article_order": draw(st.sampled_from(["fixed", "shuffled"])),
        "window_lengths": draw(st.sampled_from(["fixed", "mixture"])),
        "reset_at_article": draw(st.booleans()),
    }
    return positions(lengths, batch_size=B, **options | fixed)


@pytest.mark.row("W18", "W19")
def test_23_tokens_in_4_rows_are_the_word_seeds_arrays():
    """Its loader's, for np.arange(23) and batch_size 4, as one window."""
    (window,) = windows_of(positions([23], batch_size=4, seq_length=70), 0)
    assert window.inputs.tolist() == [[0, 5, 10, 15], [1, 6, 11, 16], [2, 7, 12, 17], [3, 8, 13, 18], [4, 9, 14, 19]]
    np.testing.assert_array_equal(window.targets, window.inputs + 1, strict=True)
    assert window.targets[-1, -1] == 20


def word_seed_arrays(ids: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The word seed's loader, after its shuffle, word for word."""
    size = batch_size * (len(ids) // batch_size)
    true_data = ids[: size + 1]
    return true_data[:-1].reshape((batch_size, -1)).T, true_data[1:].reshape((batch_size, -1)).T


@pytest.mark.row("W18", "W19", "BW9")
@given(B=st.integers(1, 9), more=st.integers(1, 100))
def test_rows_are_the_word_seeds_wherever_its_loader_does_not_crash(B, more):
    n = B + more
    ids = np.arange(n)
    ours = read(positions([n], batch_size=B, seq_length=7), 0)
    if n % B == 0 and B > 1:
        with pytest.raises(ValueError, match="cannot reshape"):
            word_seed_arrays(ids, B)
        assert ours[0].shape == (B, n // B - 1)  # one step fewer, so that the last target exists
        return
    for array, original in zip(ours, word_seed_arrays(ids, B), strict=True):
        np.testing.assert_array_equal(array, original.T, strict=True)


@pytest.mark.row("W18", "BW9")
def test_40_tokens_in_20_rows_are_one_step_each():
    stream = positions([40], batch_size=20, seq_length=70)
    (window,) = windows_of(stream, 0)
    assert window.inputs.tolist() == [list(range(20))]


@pytest.mark.row("W20")
@given(stream=streams(article_order="fixed"))
def test_every_target_is_the_next_token_also_where_a_row_ends(stream):
    inputs, targets = read(stream, 0)
    np.testing.assert_array_equal(targets, inputs + 1, strict=True)
    np.testing.assert_array_equal(targets[:-1, -1], inputs[1:, 0], strict=True)


@pytest.mark.row("W22")
@given(stream=streams(), e=epochs)
def test_every_step_of_every_row_is_read_once_and_the_last_window_may_be_short(stream, e):
    ids = np.concatenate([stream.articles[i] for i in stream.order(e)])
    inputs, targets = read(stream, e)
    B, R = stream.batch_size, (len(ids) - 1) // stream.batch_size
    np.testing.assert_array_equal(inputs, ids[: B * R].reshape(B, R), strict=True)
    np.testing.assert_array_equal(targets, ids[1 : B * R + 1].reshape(B, R), strict=True)
    *full, last = [len(window.inputs) for window in windows_of(stream, e)]
    if stream.window_lengths == "fixed":
        assert all(length == stream.seq_length for length in full)
        assert 1 <= last <= stream.seq_length
    else:
        assert all(SHORTEST <= length <= stream.seq_length + LONGER for length in full)
        assert 1 <= last <= stream.seq_length + LONGER


@pytest.mark.row("W19", "W14", "BW20")
@given(stream=streams(), e=epochs)
def test_windows_are_int64_time_first_and_each_goes_on_where_the_last_one_stopped(stream, e):
    windows = windows_of(stream, e)
    for window in windows:
        for array in (window.inputs, window.targets):
            assert array.dtype == np.int64
            assert array.shape == (len(window.inputs), stream.batch_size)
            assert array.flags.c_contiguous
        assert window.tokens == window.targets.size
        np.testing.assert_array_equal(window.targets[:-1], window.inputs[1:])
    for window, following in pairwise(windows):
        np.testing.assert_array_equal(window.targets[-1], following.inputs[0])


@pytest.mark.row("W17")
@given(stream=streams(article_order="shuffled"), e=epochs)
def test_shuffled_articles_keep_their_tokens_and_their_inner_order(stream, e):
    order = stream.order(e)
    assert sorted(order.tolist()) == list(range(len(stream.articles)))
    ids = stream.epoch(e).ids
    assert sorted(ids.tolist()) == stream.ids.tolist()
    start = 0
    for i in order:
        article = stream.articles[i]
        np.testing.assert_array_equal(ids[start : start + len(article)], article)
        start += len(article)


@pytest.mark.row("W17", "BW30")
def test_the_order_of_articles_differs_from_epoch_to_epoch_and_from_seed_to_seed():
    def orders(seed: int) -> list[tuple[int, ...]]:
        stream = positions([10] * 20, seed=seed, article_order="shuffled")
        return [tuple(stream.order(e).tolist()) for e in range(6)]

    assert len({*orders(1), *orders(2)}) == 12
    assert orders(1) == orders(1)


@pytest.mark.row("BW30")
def test_the_order_of_articles_is_frozen():
    """As every run was trained that goes on from a checkpoint."""
    stream = positions([9] * 12, seed=11, article_order="shuffled")
    assert stream.order(0).tolist() == FROZEN_ORDER


@pytest.mark.row("W17")
def test_every_article_comes_first_about_equally_often():
    stream = positions([1] * 6, batch_size=1, article_order="shuffled")
    firsts = np.bincount([stream.order(e)[0] for e in range(6000)], minlength=6)
    # 1000 each, with a standard deviation of 29; the draws are fixed
    assert np.abs(firsts - 1000).max() < 4 * 29


def test_articles_in_fixed_order_are_the_text():
    stream = positions([20, 0, 30])
    for e in (0, 7):
        np.testing.assert_array_equal(stream.epoch(e).ids, np.arange(50))


@given(stream=streams(), e=epochs, data=st.data())
def test_window_k_of_epoch_e_is_a_pure_function_of_seed_e_and_k(stream, e, data):
    in_order = windows_of(stream, e)
    assert len(in_order) == len(stream.epoch(e)) == stream.epoch_length(e)
    epoch = stream.epoch(e)
    for k in data.draw(st.lists(st.integers(0, len(in_order) - 1), max_size=6)):
        for part in ("inputs", "targets", "fresh"):
            np.testing.assert_array_equal(getattr(epoch[k], part), getattr(in_order[k], part))
        epoch[k].inputs[:] = -1  # a caller's arrays are its own
    np.testing.assert_array_equal(stream.ids, np.arange(len(stream.ids)))


@pytest.mark.row("W13", "W15")
@given(stream=streams(), e=epochs)
def test_an_epoch_is_a_sequence_of_windows(stream, e):
    """len(epoch), epoch[k] and `for window in epoch`: as a data set and as a loader."""
    epoch = stream.epoch(e)
    assert len(list(epoch)) == len(epoch)
    for k in (-1, len(epoch)):
        with pytest.raises(IndexError, match=f"window {k} of {len(epoch)}"):
            epoch[k]


# ---- drawn lengths ----------------------------------------------------------------------------------------------


@pytest.mark.row("W21", "BW13")
@pytest.mark.parametrize("T", [70, 71])
def test_lengths_are_a_mixture_of_two_normal_distributions_and_not_their_weighted_sum(T):
    lengths = mixture(Draws(0), T, 200_000)
    means = T - 0.5, T / 2 - 0.5  # of whole steps: the rest is cut off
    # a weighted sum would have a deviation of 4.8
    assert lengths.mean() == pytest.approx(0.95 * means[0] + 0.05 * means[1], abs=0.1)
    assert lengths.std() == pytest.approx(9.1, abs=0.15)
    assert (lengths < 52).mean() == pytest.approx(0.05, abs=0.002)
    of_each = lengths[lengths >= 52], lengths[lengths < 52]
    for part, mean in zip(of_each, means, strict=True):
        assert part.mean() == pytest.approx(mean, abs=0.2)
        assert part.std() == pytest.approx(5, abs=0.15)


@pytest.mark.row("BW12", "W60")
@given(seed=seeds, e=epochs, seq_length=st.integers(1, 500))
def test_a_length_is_never_below_5_nor_more_than_20_above_seq_length(seed, e, seq_length):
    lengths = mixture(Draws(seed, e), seq_length, 2000)
    assert lengths.dtype == np.int64
    assert lengths.min() >= 5
    assert lengths.max() <= seq_length + 20


def test_the_longest_window_is_20_steps_above_seq_length():
    """Of 40 normal numbers of this seed one is 23 above."""
    assert mixture(Draws(831), 70, 40).max() == 90


@pytest.mark.row("BW12")
def test_lengths_below_5_would_come_and_do_not():
    """For a seq_length of 10, half the normal numbers of one mean are below 5."""
    assert (mixture(Draws(1), 10, 4000) == 5).mean() > 0.1


@pytest.mark.row("W21", "BW10", "BW30")
def test_lengths_are_frozen_and_differ_between_epochs():
    assert mixture(Draws(11, 0), 70, 12).tolist() == FROZEN_LENGTHS
    assert mixture(Draws(11, 1), 70, 12).tolist() != FROZEN_LENGTHS


@pytest.mark.parametrize("row_length", FROZEN_ENDS)
def test_the_windows_of_an_epoch_are_frozen(row_length):
    """As many lengths are drawn as there can be windows of 5 steps. Were it another number, others would come."""
    stream = positions([2 * row_length + 1], seq_length=6, seed=11, window_lengths="mixture")
    assert [len(window.inputs) for window in windows_of(stream, 0)][-12:] == FROZEN_ENDS[row_length]


def test_epochs_of_drawn_lengths_have_different_numbers_of_windows():
    stream = positions([4001], seq_length=20, window_lengths="mixture")
    assert len({stream.epoch_length(e) for e in range(20)}) > 3


# ---- articles that end ------------------------------------------------------------------------------------------


@pytest.mark.row("BW25")
@given(stream=streams(reset_at_article=True), e=epochs)
def test_a_row_is_fresh_in_the_window_after_one_that_read_the_end_of_an_article(stream, e):
    last_tokens = {int(article[-1]) for article in stream.articles if len(article)}
    windows = windows_of(stream, e)
    assert windows[0].fresh is None
    for before, window in pairwise(windows):
        expected = [bool(last_tokens & set(before.inputs[:, b].tolist())) for b in range(stream.batch_size)]
        assert window.fresh.tolist() == expected


@pytest.mark.row("BW25")
@given(stream=streams(reset_at_article=False), e=epochs)
def test_no_row_is_fresh_where_that_is_not_asked_for(stream, e):
    assert all(window.fresh is None for window in windows_of(stream, e))


# ---- what is asked for, and what cannot be ----------------------------------------------------------------------


def test_a_stream_is_of_seed_0_in_the_texts_own_order_and_windows_and_resets_nothing_unless_told_to():
    stream = positions([40, 41])
    assert (stream.seed, stream.article_order, stream.window_lengths) == (0, "fixed", "fixed")
    assert stream.reset_at_article is False


def test_a_stream_cannot_be_changed():
    stream = positions([40])
    for name in stream.__slots__:
        with pytest.raises(AttributeError):
            setattr(stream, name, None)
    assert not hasattr(stream, "__dict__")


def test_characters_are_read_as_full_windows_and_words_as_whole_rows():
    articles = Articles(np.arange(100), np.array([0, 60, 100]))
    of_characters = training_stream(RunConfig(batch_size=3, seq_length=7), articles)
    assert of_characters == Windows(of_characters.ids, 3, 7, "next")
    assert [of_characters.epoch_length(e) for e in (0, 5)] == [4, 4]
    assert of_characters.epoch(0) is of_characters.epoch(5)
    of_words = training_stream(RunConfig(vocabulary="word", batch_size=3, seq_length=7), articles)
    assert isinstance(of_words, ArticleStream)
    assert of_words.epoch_length(0) == 5


@pytest.mark.parametrize(
    "change", [{"article_order": "shuffled"}, {"window_lengths": "mixture"}, {"reset_at_article": True}]
)
def test_characters_too_may_be_read_in_another_way(change):
    config = RunConfig(batch_size=3, seq_length=7, seed=5, **change)
    stream = training_stream(config, Articles(np.arange(100), np.array([0, 60, 100])))
    for field in ("batch_size", "seq_length", "seed", "article_order", "window_lengths", "reset_at_article"):
        assert getattr(stream, field) == getattr(config, field)


@pytest.mark.parametrize(("tokens", "fitting"), [(0, 1), (1, 1), (2, 1), (6, 5), (7, 6)])
def test_a_text_too_short_for_its_rows_is_an_error_that_says_what_fits(tokens, fitting):
    message = f"text too short: {tokens} tokens, and batch_size=7 rows of one step need 8; set batch_size to {fitting} "
    with pytest.raises(DataError, match=message):
        positions([tokens], batch_size=7)


@pytest.mark.row("W14")
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint32", "int64"])
def test_windows_are_int64_whatever_whole_numbers_the_ids_were(dtype):
    stream = ArticleStream(Articles(np.arange(23, dtype=dtype), np.array([0, 23])), batch_size=4, seq_length=70)
    (window,) = windows_of(stream, 0)
    assert window.inputs.dtype == window.targets.dtype == np.int64
    assert window.targets[-1].tolist() == [5, 10, 15, 20]

"""Dropout: the compiled form against the plain one, its mean, and where masks fall."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.masks import dropout_masks, dropout_rates, masks_of_rows
from lstm_ref.kernels.dropout import dropout, dropout_in_place, dropout_plain, dropout_words
from lstm_ref.kernels.embedding import gather_plain
from parity_tests.cases import seeds, values

RATES = st.sampled_from([0.1, 0.3, 0.5, 0.9])


@given(n=st.integers(0, 50), p=RATES, seed=seeds, dtype=st.sampled_from([np.float32, np.float64]))
def test_compiled_dropout_equals_the_plain_form(n, p, seed, dtype):
    draws = Draws(seed)
    x, mask = values(draws, "x", n).astype(dtype), draws.keep_mask("mask", (n,), p)
    out = np.full(n, np.nan, dtype)
    dropout(x[None], mask, dtype(1 / (1 - p)), out[None])
    expected = dropout_plain(x, mask, p)
    # a product by the reciprocal against a quotient: one rounding each
    np.testing.assert_allclose(out, expected, rtol=2 * np.finfo(dtype).eps, atol=0)
    np.testing.assert_array_equal(out == 0, ~mask)
    dropout_in_place(x[None], mask, dtype(1 / (1 - p)))
    np.testing.assert_array_equal(x, out)


@pytest.mark.row("W37")
@given(T=st.integers(1, 6), B=st.integers(1, 5), H=st.integers(1, 7), p=RATES, seed=seeds)
def test_a_locked_mask_is_the_same_at_every_step_as_in_the_plain_form(T, B, H, p, seed):
    x, mask = values(Draws(seed), "x", T, B, H), Draws(seed).keep_mask("mask", (1, B, H), p)
    out = np.full_like(x, np.nan)
    dropout(x.reshape(T, -1), mask.reshape(-1), 1 / (1 - p), out.reshape(T, -1))
    np.testing.assert_allclose(out, dropout_plain(x, mask, p), rtol=4 * np.finfo(float).eps, atol=0)
    assert all(np.array_equal(step == 0, ~mask[0]) for step in out)


@pytest.mark.row("W38")
@given(V=st.integers(1, 6), E=st.integers(1, 5), N=st.integers(1, 20), p=RATES, seed=seeds)
def test_a_dropped_word_is_zero_wherever_it_stands_and_the_rest_is_scaled(V, E, N, p, seed):
    draws = Draws(seed)
    weight, mask = values(draws, "w", V, E), draws.keep_mask("mask", (V,), p)
    ids = (draws.uniform("ids", (N,)) * V).astype(np.int64)
    out = gather_plain(weight, ids)
    dropout_words(out, ids, mask, 1 / (1 - p))
    expected = gather_plain(dropout_plain(weight, mask[:, None], p), ids)
    np.testing.assert_allclose(out, expected, rtol=4 * np.finfo(float).eps, atol=0)
    np.testing.assert_array_equal(out.any(axis=1), mask[ids])


def test_what_is_dropped_is_zero_even_where_it_was_not_finite():
    out = np.empty((1, 3))
    dropout(np.array([[np.inf, np.nan, 1.0]]), np.array([False, False, True]), 2.0, out)
    np.testing.assert_array_equal(out, [[0, 0, 2]])
    x = np.array([[np.inf, np.nan, 1.0]])
    dropout_in_place(x, np.array([False, False, True]), 2.0)
    np.testing.assert_array_equal(x, out)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_mean(p):
    n = 200_000
    kept = dropout_plain(np.ones(n), Draws(3).keep_mask("mean", (n,), p), p)
    assert abs(kept.mean() - 1) <= 4 * np.sqrt(p / (1 - p) / n)  # four standard errors


@pytest.mark.row("C21")
def test_dropout_falls_between_layers_and_on_the_top_output_and_nowhere_else():
    config = LanguageModelConfig(vocab_size=7, hidden_sizes=(3, 4, 5), dropout_between=0.25, dropout_output=0.5)
    assert dropout_rates(config) == {"l0": 0.25, "l1": 0.25, "l2": 0.5}
    masks = dropout_masks(config, Draws(1), T=6, B=2)
    assert {where: mask.shape for where, mask in masks.items()} == {"l0": (6, 2, 3), "l1": (6, 2, 4), "l2": (6, 2, 5)}


@pytest.mark.row("W37", "W38", "BW21")
def test_every_place_has_its_own_rate_and_masks_the_shape_of_what_they_drop():
    rates = {"dropout_embedding": 0.1, "dropout_input": 0.65, "dropout_between": 0.3, "dropout_output": 0.4}
    config = LanguageModelConfig(
        vocab_size=9, embedding_size=5, hidden_sizes=(3, 4), dropout_locked=True, weight_drop=0.5, **rates
    )
    places = {"embedding": 0.1, "input": 0.65, "l0": 0.3, "l1": 0.4, "weight_hh_l0": 0.5, "weight_hh_l1": 0.5}
    assert dropout_rates(config) == places
    masks = dropout_masks(config, Draws(1), T=6, B=2)
    assert {where: mask.shape for where, mask in masks.items()} == {
        "embedding": (9,),
        "input": (1, 2, 5),
        "l0": (1, 2, 3),
        "l1": (1, 2, 4),
        "weight_hh_l0": (12, 3),
        "weight_hh_l1": (16, 4),
    }


@pytest.mark.row("W37")
def test_a_locked_mask_differs_between_batch_rows():
    config = LanguageModelConfig(vocab_size=7, hidden_sizes=(64,), dropout_locked=True)
    (mask,) = dropout_masks(config, Draws(1), T=5, B=3)["l0"]
    assert not np.array_equal(mask[0], mask[1])
    assert not np.array_equal(mask[1], mask[2])


def test_masks_differ_by_place_step_and_seed_and_by_nothing_else():
    config = LanguageModelConfig(vocab_size=7, hidden_sizes=(64, 64))
    masks = dropout_masks(config, Draws(1, 2), T=5, B=3)
    again = dropout_masks(config, Draws(1, 2), T=5, B=3)
    np.testing.assert_array_equal(masks["l0"], again["l0"])
    assert not np.array_equal(masks["l0"], masks["l1"])
    assert not np.array_equal(masks["l0"], dropout_masks(config, Draws(1, 3), 5, 3)["l0"])
    assert not np.array_equal(masks["l0"], dropout_masks(config, Draws(2, 2), 5, 3)["l0"])
    assert not np.array_equal(masks["l0"][0], masks["l0"][1])  # drawn anew for every time step


def test_without_draws_or_with_rate_zero_there_is_no_mask():
    config = LanguageModelConfig(vocab_size=7, hidden_sizes=(3, 4), dropout_between=0.0, dropout_output=0.5)
    assert dropout_masks(config, None, 5, 3) == {}
    assert dropout_masks(config, Draws(1), 5, 3).keys() == {"l1"}


def test_the_masks_of_some_rows_are_theirs_and_those_of_words_and_weights_are_everybodys():
    draws = Draws(3)
    shapes = {"l0": (4, 5, 7), "locked": (1, 5, 7), "embedding": (9,), "weight_hh_l0": (8, 2)}
    masks = {where: draws.keep_mask(where, shape, 0.5) for where, shape in shapes.items()}
    found = masks_of_rows(masks, slice(1, 3))
    for where, mask in masks.items():
        np.testing.assert_array_equal(found[where], mask[:, 1:3] if mask.ndim == 3 else mask)
        assert found[where].flags.c_contiguous

"""Dropout: the compiled form against the plain one, its mean, and where masks fall."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.masks import dropout_masks, dropout_rates
from lstm_ref.kernels.dropout import dropout, dropout_plain
from parity_tests.cases import seeds, values

RATES = st.sampled_from([0.1, 0.3, 0.5, 0.9])


@given(n=st.integers(0, 50), p=RATES, seed=seeds, dtype=st.sampled_from([np.float32, np.float64]))
def test_compiled_dropout_equals_the_plain_form(n, p, seed, dtype):
    draws = Draws(seed)
    x, mask = values(draws, "x", n).astype(dtype), draws.keep_mask("mask", (n,), p)
    out = np.full(n, np.nan, dtype)
    dropout(x, mask, dtype(1 / (1 - p)), out)
    expected = dropout_plain(x, mask, p)
    # a product by the reciprocal against a quotient: one rounding each
    np.testing.assert_allclose(out, expected, rtol=2 * np.finfo(dtype).eps, atol=0)
    np.testing.assert_array_equal(out == 0, ~mask)


def test_what_is_dropped_is_zero_even_where_it_was_not_finite():
    out = np.empty(3)
    dropout(np.array([np.inf, np.nan, 1.0]), np.array([False, False, True]), 2.0, out)
    np.testing.assert_array_equal(out, [0, 0, 2])


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

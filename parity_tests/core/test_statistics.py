"""The numbers that a text's counts alone give: by hand for small texts, and the known ones of the novel."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.statistics import Split, bigram_entropy, split_facts, unigram_entropy
from lstm_ref.core.vocab import Vocabulary

# Sums of at most some ten terms of order 1, each with a few roundings.
FEW_ROUNDINGS = 64 * np.finfo(np.float64).eps

texts = st.lists(st.integers(0, 6), min_size=2, max_size=60).map(lambda ids: np.array(ids, np.int64))


@pytest.mark.parametrize(
    ("ids", "nats"),
    [
        ([3, 3, 3], 0.0),
        ([0, 1], math.log(2)),
        ([4, 0, 2, 1, 3], math.log(5)),
        ([0, 0, 0, 5], 0.75 * math.log(4 / 3) + 0.25 * math.log(4)),
        ([2, 1, 1, 2, 9, 9, 9, 9], 2 * 0.25 * math.log(4) + 0.5 * math.log(2)),
    ],
)
def test_unigram_entropy_is_the_one_counted_by_hand(ids, nats):
    assert unigram_entropy(np.array(ids)) == pytest.approx(nats, rel=FEW_ROUNDINGS, abs=FEW_ROUNDINGS)


@pytest.mark.parametrize(
    ("ids", "nats"),
    [
        ([0, 1, 0, 1, 0, 1], 0.0),  # the next one is certain
        ([0, 1, 2, 3], 0.0),
        ([0, 0, 1], math.log(2)),  # after 0 comes 0 or 1
        ([0, 0, 1, 1, 0], math.log(2)),  # after either comes either
        # after 0 (three times) come 1, 1 and 2; after 1 (twice) come 0 and 2; after 2 comes 0
        ([0, 1, 0, 1, 2, 0, 2], 3 / 6 * (2 / 3 * math.log(3 / 2) + 1 / 3 * math.log(3)) + 2 / 6 * math.log(2)),
    ],
)
def test_bigram_entropy_is_the_one_counted_by_hand(ids, nats):
    assert bigram_entropy(np.array(ids), 3 + max(ids)) == pytest.approx(nats, rel=FEW_ROUNDINGS, abs=FEW_ROUNDINGS)


@given(ids=texts)
def test_entropies_are_ordered(ids):
    """0 <= H(next | this) <= H(next) <= ln of the number of symbols."""
    bigram, unigram = bigram_entropy(ids, 7), unigram_entropy(ids[1:])
    assert -FEW_ROUNDINGS <= bigram <= unigram + FEW_ROUNDINGS
    assert unigram <= math.log(len(np.unique(ids[1:]))) + FEW_ROUNDINGS


@given(ids=texts, data=st.data())
def test_unigram_entropy_does_not_see_order_or_names(ids, data):
    renamed = np.array(data.draw(st.permutations(range(7))), np.int64)[ids]
    shuffled = np.array(data.draw(st.permutations(renamed.tolist())), np.int64)
    assert unigram_entropy(shuffled) == pytest.approx(unigram_entropy(ids), rel=FEW_ROUNDINGS, abs=FEW_ROUNDINGS)


@pytest.mark.row("BC2")
@given(train=st.text("abcdef", min_size=1), validation=st.text("abcdefgh", min_size=1))
def test_symbols_that_training_never_sees_are_reported(train, validation):
    vocabulary = Vocabulary.build(train + validation, order="seen")
    facts = split_facts(vocabulary.encode(train + validation), len(train), vocabulary)
    assert (facts.train_tokens, facts.validation_tokens) == (len(train), len(validation))
    assert set(facts.only_in_validation) == set(validation) - set(train)
    assert len(facts.only_in_validation) == len(set(facts.only_in_validation))


def test_a_split_is_its_two_lengths_and_the_unseen_symbols():
    vocabulary = Vocabulary.build("abacadcb")
    assert split_facts(vocabulary.encode("abacadcb"), 3, vocabulary) == Split(3, 5, ("c", "d"))


@pytest.mark.row("C41", "BC2")
def test_anna_has_the_known_entropies_and_six_symbols_only_in_validation(data_dir):
    text = load_corpus("anna", data_dir).text
    vocabulary = Vocabulary.build(text)
    ids = vocabulary.encode(text)
    # The known numbers have four decimals.
    assert unigram_entropy(ids) == pytest.approx(3.1043, abs=5e-5)
    assert unigram_entropy(ids) / math.log(2) == pytest.approx(4.4786, abs=5e-5)
    assert bigram_entropy(ids, len(vocabulary)) == pytest.approx(2.4385, abs=5e-5)
    facts = split_facts(ids, RunConfig().split(len(ids)), vocabulary)
    assert facts == Split(1_786_700, 198_523, ("$", "%", "&", "*", "/", "@"))

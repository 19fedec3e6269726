"""Word vocabularies: which words are in one, in which order, what becomes of others, and hostile files."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lstm_ref.core import vocab
from lstm_ref.core.errors import CheckpointError, DataError
from lstm_ref.core.vocab import Vocabulary, WordVocabulary
from lstm_ref.core.words import EOS, UNK, Preparation, split_words

any_words = st.text(st.characters(exclude_categories=["Z", "Cc", "Cs"]), min_size=1, max_size=4).filter(
    lambda word: word.split() == [word]
)
texts = st.lists(st.one_of(any_words, st.sampled_from(["the", "cat", "\n", ".", UNK])), min_size=1).map(" ".join)
orders = st.sampled_from(["sorted", "seen"])
PREPARED = Preparation(normalize=True, lower=True)


@pytest.mark.row("W4", "W6")
@given(text=texts, order=orders)
def test_decoding_a_text_and_encoding_it_again_gives_the_same_ids(text, order):
    vocabulary = Vocabulary.build(text, "word", order)
    ids = vocabulary.encode(text)
    assert [vocabulary.tokens[i] for i in ids] == list(split_words(text))
    assert vocabulary.encode(vocabulary.decode(ids)).tolist() == ids.tolist()
    assert ids.dtype == np.int64


@pytest.mark.row("W6", "BW3", "BW6")
@given(text=texts)
def test_ids_are_contiguous_and_in_code_point_order_or_as_first_seen(text):
    words = [*split_words(text), EOS]  # <eos> is in every vocabulary
    assert Vocabulary.build(text, "word").tokens == tuple(sorted(set(words)))
    assert Vocabulary.build(text, "word", "seen").tokens == tuple(dict.fromkeys(words))


@given(text=texts, min_count=st.integers(1, 3), order=orders)
def test_words_that_are_rarer_than_asked_for_become_unk(text, min_count, order):
    counts = Counter(split_words(text))
    vocabulary = WordVocabulary.of_counts(counts, order, min_count=min_count)
    kept = {word for word, count in counts.items() if count >= min_count} | {EOS}
    rare = set(counts) - kept
    assert set(vocabulary.tokens) == kept | ({UNK} if rare else set())
    ids = vocabulary.encode(text, unknown="unk")
    assert [vocabulary.tokens[i] for i in ids] == [word if word in kept else UNK for word in split_words(text)]


@pytest.mark.row("BW6")
def test_unknown_words_are_an_error_that_names_them_or_skipped_or_unk():
    vocabulary = WordVocabulary(("<unk>", "cat", "the"))
    with pytest.raises(DataError, match=r"3 words are not among the model's 3: 'dog' 'saw'; remove them"):
        vocabulary.encode("the dog saw the dog")
    assert vocabulary.encode("the dog saw the cat", unknown="skip").tolist() == [2, 2, 1]
    assert vocabulary.encode("the dog saw the cat", unknown="unk").tolist() == [2, 0, 0, 2, 1]


def test_unk_is_no_way_out_where_the_vocabulary_has_none():
    for vocabulary in (WordVocabulary(("cat", "the")), Vocabulary.build("the cat")):
        with pytest.raises(DataError, match="not among the model's"):
            vocabulary.encode("the dog", unknown="unk")


@given(strange=st.lists(st.text(st.characters(min_codepoint=1), min_size=1, max_size=60), min_size=1, max_size=30))
def test_the_error_for_unknown_words_is_one_short_line_that_moves_no_cursor(strange):
    text = " ".join(strange)
    vocabulary = WordVocabulary((EOS, "known"))
    assume(not set(split_words(text)) <= {EOS, "known"})
    with pytest.raises(DataError) as caught:
        vocabulary.encode(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 5_000


@pytest.mark.row("W58")
def test_decoded_words_read_as_text():
    vocabulary = Vocabulary.build("= Title =\n\nA cat , a dog .\n", "word")
    assert vocabulary.decode(vocabulary.encode(" = Title = \n \n A cat . \n")) == "= Title =\n\nA cat .\n"
    assert vocabulary.decode([]) == ""


@pytest.mark.row("W5")
def test_a_prime_is_prepared_as_the_text_was():
    vocabulary = WordVocabulary.of_counts(Counter(split_words(PREPARED("Hi,you!"))), preparation=PREPARED)
    assert [vocabulary.tokens[i] for i in vocabulary.encode("YOU, Hi?!", unknown="skip")] == ["you", "hi", "!"]


@given(text=texts, order=orders, preparation=st.sampled_from([Preparation(), PREPARED]))
def test_a_word_vocabulary_survives_json(text, order, preparation):
    vocabulary = WordVocabulary.of_counts(Counter(split_words(text)), order, preparation)
    restored = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert restored == vocabulary
    assert restored.sha256 == vocabulary.sha256
    other = WordVocabulary.of_counts(Counter(split_words(text)), order, Preparation(blank_lines=False))
    assert other.sha256 != vocabulary.sha256


GOOD = {"kind": "word", "tokens": "<eos> cat", "preparation": {}}


@pytest.mark.parametrize(
    "damage",
    [
        {"tokens": ""},
        {"tokens": "cat cat"},
        {"tokens": "cat  dog"},
        {"tokens": "cat\tdog"},
        {"tokens": "cat\u2028dog"},
        {"tokens": ["cat"]},
        {"tokens": 3},
        {"preparation": None},
        {"preparation": {"lower": "maybe"}},
        {"preparation": {"unheard": "of"}},
        {"kind": "words"},
        {"tokens": "\x1b[2J \nx"},
    ],
)
def test_a_damaged_word_vocabulary_is_refused_in_one_line(damage):
    with pytest.raises(CheckpointError, match="damaged vocabulary") as caught:
        Vocabulary.from_dict(GOOD | damage)
    assert str(caught.value).isprintable()


def test_a_vocabulary_of_too_many_words_is_refused_before_they_are_looked_at(monkeypatch):
    monkeypatch.setattr(vocab, "MAX_TOKENS", 1000)
    with pytest.raises(CheckpointError, match="a vocabulary of 1001 tokens; expected 1 to 1000"):
        Vocabulary.from_dict(GOOD | {"tokens": " " * 1_000_000})

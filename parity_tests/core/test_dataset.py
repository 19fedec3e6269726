"""Datasets: which part of a corpus decides the vocabulary, where validation begins, and WikiText-2 as it is known."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus, load_corpus
from lstm_ref.core.dataset import Dataset, build_vocabulary, encode_corpus
from lstm_ref.core.errors import DataError
from lstm_ref.core.vocab import Vocabulary
from lstm_ref.core.words import EOS, UNK, Preparation, split_words

SPLIT = RunConfig().split  # the last tenth
WITHOUT_BLANK_LINES = Preparation(blank_lines=False)
words = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", ".", "\n"]), min_size=1)


def corpus_of(text: str, **held_out: str) -> Corpus:
    return Corpus("text", text, "0" * 64, "text.txt", held_out=held_out)


def dataset_of(corpus: Corpus, kind: str = "word", **options: object) -> Dataset:
    vocabulary = build_vocabulary(corpus, kind, split=SPLIT, **options)
    return encode_corpus(corpus, vocabulary, split=SPLIT)


def tokens(dataset: Dataset, part: str) -> list[str]:
    return [dataset.vocabulary.tokens[i] for i in dataset[part].ids]


@pytest.mark.row("W4")
@given(text=words.map(" ".join), min_count=st.integers(1, 2))
def test_a_text_of_words_is_split_at_the_same_token_whatever_the_vocabulary(text, min_count):
    dataset, expected = dataset_of(corpus_of(text), min_count=min_count), list(split_words(text))
    border = SPLIT(len(expected))
    known = Counter(expected[:border])
    shown = [word if known[word] >= min_count or word == EOS else UNK for word in expected]
    assert tokens(dataset, "train") == shown[:border]
    assert tokens(dataset, "validation") == shown[border:]
    assert set(dataset.vocabulary.tokens) == {*shown, EOS}


def test_a_word_that_only_validation_has_is_unk_and_so_known_not_to_be_known():
    dataset = dataset_of(corpus_of("the cat sat on the mat , the mat", validation="the dog sat\n"))
    assert tokens(dataset, "validation") == ["the", UNK, "sat", EOS]
    assert UNK not in tokens(dataset, "train")
    assert "dog" not in dataset.vocabulary.tokens


def test_there_is_no_unk_where_every_word_of_every_part_is_in_training():
    dataset = dataset_of(corpus_of("the cat sat\n", validation="sat the cat", test="cat\n"))
    assert dataset.vocabulary.tokens == (EOS, "cat", "sat", "the")
    assert tokens(dataset, "test") == ["cat", EOS]


def test_a_corpus_with_a_test_part_alone_has_validation_split_off():
    dataset = dataset_of(corpus_of("the cat " * 10, test="the\n"))
    assert [(part, articles.ids.size) for part, articles in dataset.parts.items()] == [
        ("train", 18),
        ("validation", 2),
        ("test", 2),
    ]


@given(text=st.text(min_size=2), kind=st.sampled_from(["char", "byte"]))
def test_characters_and_bytes_are_split_where_the_run_config_says(text, kind):
    dataset = dataset_of(corpus_of(text), kind)
    ids = Vocabulary.build(text, kind).encode(text)
    assert dataset.ids.tolist() == ids.tolist()
    assert dataset["train"].ids.tolist() == ids[: SPLIT(len(ids))].tolist()


def test_the_symbols_of_all_parts_are_in_a_character_vocabulary():
    dataset = dataset_of(corpus_of("ab", validation="bc", test="d"), "char")
    assert dataset.vocabulary.tokens == ("a", "b", "c", "d")
    assert dataset.ids.tolist() == [0, 1, 1, 2, 3]


def test_all_unknown_words_of_a_text_are_named_not_those_of_its_first_article():
    article = " \n = {} = \n \n words \n"
    corpus = corpus_of(article.format("One") + article.format("Two"))
    with pytest.raises(DataError, match=r"2 words .* 'One' 'Two'"):
        encode_corpus(corpus, Vocabulary.build(" \n = = \n words", "word"), split=SPLIT)


@pytest.mark.row("BW1")
def test_a_text_that_is_split_into_words_already_is_not_normalised():
    corpus = corpus_of("the <unk> sat on 3 @-@ 4 mats\n")
    with pytest.raises(DataError, match=r"text\.txt is split into words already, it has <unk>"):
        dataset_of(corpus, preparation=Preparation(normalize=True))
    assert tokens(dataset_of(corpus), "train")[:6] == ["the", "<unk>", "sat", "on", "3", "@-@"]


@pytest.mark.row("W16")
@pytest.mark.parametrize("part", ["test", "valid", "", "training"])
def test_a_part_that_is_not_there_is_an_error_that_names_those_that_are(part):
    with pytest.raises(DataError, match=rf"text\.txt has no part '{part}', only train, validation"):
        dataset_of(corpus_of("the cat sat"))[part]


@pytest.fixture(scope="module")
def wikitext(data_dir) -> Dataset:
    return dataset_of(load_corpus("wikitext-2", data_dir))


@pytest.fixture(scope="module")
def without_blank_lines(data_dir) -> Dataset:
    return dataset_of(load_corpus("wikitext-2", data_dir), preparation=WITHOUT_BLANK_LINES)


@pytest.mark.row("W8", "W12")
def test_wikitext_has_33278_words_and_the_public_number_of_tokens(wikitext):
    assert len(wikitext.vocabulary) == 33_278
    assert {part: articles.ids.size for part, articles in wikitext.parts.items()} == {
        "train": 2_088_628,
        "validation": 217_646,
        "test": 245_569,
    }
    assert np.unique(wikitext["train"].ids).size == 33_278
    assert {EOS, UNK} <= set(wikitext.vocabulary.tokens)


@pytest.mark.row("W11", "BW6")
def test_the_first_line_of_wikitext_has_the_ids_that_the_original_notebook_prints(wikitext):
    line = "= Valkyria Chronicles III =\n"
    assert wikitext.vocabulary.encode(line).tolist() == [1420, 13859, 3714, 7036, 1420, 1417]
    assert wikitext.vocabulary.tokens[1417] == EOS


@pytest.mark.row("W9", "W10", "W11")
def test_the_first_of_600_articles_has_3803_words_where_blank_lines_are_dropped(without_blank_lines):
    train = without_blank_lines["train"]
    assert len(train) == 600
    assert train[0].size == 3_803
    assert train[0][:6].tolist() == [1420, 13859, 3714, 7036, 1420, 1417]
    assert train.ids.size == 2_075_677


def test_wikitext_reads_as_it_is_written_but_for_spaces(wikitext, data_dir):
    text = load_corpus("wikitext-2", data_dir).held_out["validation"]
    decoded = wikitext.vocabulary.decode(wikitext["validation"].ids)
    assert decoded.split("\n") == [line.strip() for line in text.split("\n")]

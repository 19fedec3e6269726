"""Articles: where a text falls into them, that nothing is lost, and the flat arrays of their ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.articles import Articles, split_articles
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.errors import DataError

ARTICLE = " \n = Title = \n \n A sentence . \n \n = = Section = = \n \n Another one . \n \n"
lines = st.sampled_from(
    [" \n", "\n", " = Title = \n", " = = Section = = \n", " words here \n", " = half = ", "", "= x =\n"]
)
lists_of_ids = st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=6)


def articles_of(lists: list[list[int]]) -> Articles:
    return Articles.of([np.array(each, np.int64) for each in lists])


@given(pieces=st.lists(lines))
def test_articles_joined_are_the_text(pieces):
    text = "".join(pieces)
    assert "".join(split_articles(text)) == text


@given(count=st.integers(1, 5))
def test_an_article_begins_with_the_blank_line_before_its_title(count):
    assert split_articles(ARTICLE * count) == [ARTICLE] * count


@pytest.mark.parametrize(
    "text",
    [
        "no title at all\n",
        " = Title = \n \n words \n",  # no blank line before
        " \n = Title = \n words \n",  # none after
        " \n = = Section = = \n \n",
        " \n = Title == \n \n",
        " \n= Title =\n\n",  # WikiText's titles stand between spaces
        "",
    ],
)
def test_a_text_without_a_title_between_blank_lines_is_one_article(text):
    assert split_articles(text) == [text]


def test_what_stands_before_the_first_title_is_a_piece_of_its_own():
    assert split_articles("Preface\n" + ARTICLE) == ["Preface\n", ARTICLE]


@pytest.mark.row("W10")
def test_wikitext_has_600_articles_for_training_and_60_each_to_validate_and_test(data_dir):
    corpus = load_corpus("wikitext-2", data_dir)
    for text, count in zip((corpus.text, *corpus.held_out.values()), (600, 60, 60)):
        articles = split_articles(text)
        assert len(articles) == count
        assert "".join(articles) == text
        assert all(article.startswith(" \n = ") for article in articles)
    look_like_a_title = [line for line in corpus.text.split("\n") if line[:3] == " = " and line[3:4] != "="]
    assert len([line for line in look_like_a_title if line[-3:] == " = " and line[-4:-3] != "="]) == 629


@pytest.mark.row("W9", "W13", "W14", "BW7")
@given(lists=lists_of_ids, dtype=st.sampled_from(["int8", "uint16", "int32", "int64"]))
def test_articles_are_read_back_one_by_one_as_int64_whatever_came(lists, dtype):
    arrays = [np.array(each, dtype) for each in lists]
    articles = Articles.of(arrays)
    assert len(articles) == len(lists)
    assert [articles[i].tolist() for i in range(len(articles))] == [article.tolist() for article in articles] == lists
    assert articles[-1].tolist() == lists[-1]
    assert {articles.ids.dtype, articles.offsets.dtype, articles[0].dtype} == {np.dtype(np.int64)}
    with pytest.raises(IndexError):
        articles[len(lists)]


@given(lists=lists_of_ids, data=st.data())
def test_a_cut_loses_no_id_and_no_border_between_articles(lists, data):
    articles = articles_of(lists)
    border = data.draw(st.integers(0, articles.ids.size))
    before, after = articles.cut(border)
    assert np.concatenate([before.ids, after.ids]).tolist() == articles.ids.tolist()
    assert before.ids.size == border
    borders = {0, *articles.offsets.tolist(), border}
    assert {*before.offsets.tolist(), *(after.offsets + border).tolist()} == borders


@pytest.mark.parametrize(
    ("ids", "offsets", "problem"),
    [
        ([1, 2, 3], [0, 2], "from 0 to 3"),
        ([1, 2, 3], [1, 3], "from 0 to 3"),
        ([1, 2, 3], [0, 4, 3], "never back"),
        ([1, 2, 3], [0, -1, 3], "never back"),
        ([1, 2, 3], [], "expected whole numbers"),
        ([1.0, 2.0], [0, 2], r"ids are float64 \[2\]"),
        ([[1, 2]], [0, 2], r"ids are int64 \[1, 2\]"),
        ([1, 2], [[0, 2]], r"offsets are int64 \[1, 2\]"),
        ([True], [0, 1], "ids are bool"),
        ([{}], [0, 1], "ids are object"),
    ],
)
def test_arrays_that_are_no_articles_are_refused(ids, offsets, problem):
    with pytest.raises(DataError, match=problem):
        Articles(np.array(ids), np.array(offsets))

"""Words: how a line falls into them, the original notebook's normaliser, and what a text is prepared by."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.errors import DataError
from lstm_ref.core.words import AS_IT_IS, EOS, Preparation, join_words, normalize, split_words

texts = st.text(st.one_of(st.sampled_from(" \t\n\n.,!?'ab1\u00a0\u2028<eos>"), st.characters()))
preparations = st.builds(Preparation, normalize=st.booleans(), lower=st.booleans(), blank_lines=st.booleans())


def words_of(text: str) -> list[str]:
    return list(split_words(text))


@pytest.mark.row("W6", "BC20", "BW4")
@given(text=texts)
def test_a_text_falls_into_the_words_of_its_lines_and_one_eos_a_line_end(text):
    expected = []
    for line in text.split("\n"):
        expected += [*line.split(), EOS]
    assert words_of(text) == expected[:-1]
    assert "" not in words_of(text)


@given(text=texts, more=texts)
def test_words_of_two_texts_joined_at_a_line_end_are_the_words_of_both(text, more):
    assert words_of(text + "\n" + more) == [*words_of(text), EOS, *words_of(more)]


@pytest.mark.row("W58")
@given(text=texts)
def test_joined_words_are_the_text_with_single_spaces(text):
    joined = "".join(join_words(split_words(text)))
    assert words_of(joined) == words_of(text)
    lines = [" ".join(line.split()) for line in text.replace(EOS, "\n").split("\n")]
    assert joined == "\n".join(lines)


@pytest.mark.row("W5")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Hi,you!", "Hi you !"),
        ("Hi, you! ", "Hi you ! "),
        ("What?No.", "What ?No ."),
        ("in 1984 , 2 @-@ 3", "in "),
        ("<unk>", " unk "),
        ("naïve", "na ve"),
        ("", ""),
    ],
)
def test_the_normaliser_is_the_original_notebooks(line, expected):
    assert normalize(line) == expected


@pytest.mark.row("W5", "BW1")
@given(line=st.text(), lower=st.booleans(), strip=st.booleans())
def test_a_normalised_line_has_letters_and_full_stops_only_and_what_its_flags_promise(line, lower, strip):
    result = normalize(line, lower=lower, strip=strip)
    assert re.fullmatch(r"[a-zA-Z.!? ]*", result)
    assert not re.search(r"[^ ][.!?]|  ", result)  # each . ! ? is a word
    assert not lower or result == result.lower()
    assert not strip or result == result.strip()


@pytest.mark.row("BW1")
@given(text=texts)
def test_a_text_is_left_as_it_is_unless_something_else_is_asked_for(text):
    assert AS_IT_IS(text) == text


@given(text=texts)
def test_dropping_blank_lines_drops_the_eos_of_blank_lines_and_nothing_else(text):
    *lines, last = text.split("\n")
    expected = [word for line in lines if line.split() for word in (*line.split(), EOS)] + last.split()
    assert words_of(Preparation(blank_lines=False)(text)) == expected


@pytest.mark.row("W4", "BW2")
@given(lines=st.lists(st.text(st.characters(exclude_characters="\n")), min_size=1))
def test_normalising_keeps_every_line_end(lines):
    text = "\n".join(lines)
    prepared = Preparation(normalize=True, lower=True)(text)
    assert prepared.split("\n") == [normalize(line).lower() for line in lines]


@given(preparation=preparations)
def test_a_preparation_survives_a_file(preparation):
    assert Preparation.from_dict(preparation.to_dict()) == preparation


@pytest.mark.parametrize("damaged", [{"lower": "x"}, {"stem": True}, {"lower": None}, [], "lower", None])
def test_a_damaged_preparation_is_refused_in_one_line(damaged):
    with pytest.raises(DataError, match="preparation of words that cannot be") as caught:
        Preparation.from_dict(damaged)
    assert "\n" not in str(caught.value)

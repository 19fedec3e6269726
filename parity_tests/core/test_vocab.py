"""Vocabularies: text -> ids -> text, the order of the ids in every process, and what a hostile file may not do."""

import json
import os
import string
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.errors import CheckpointError, DataError
from lstm_ref.core.vocab import BYTES, ByteVocabulary, CharVocabulary, Vocabulary

any_characters = st.text(st.characters())  # surrogates too: a str may hold them
texts = st.text(st.characters(), min_size=1)
orders = st.sampled_from(["sorted", "seen"])

SEED_SYMBOLS = "\n !\"$%&'()*,-./:;?@_`" + string.digits + string.ascii_letters

# `encoded[:100]` as the original notebook prints it. Its ids come from a `set`: another order in every process.
PRINTED_IDS = """
    51 39 16 17  1 27 54 53 44 29 29 29  5 16 17 17 48 53 68 16 52 77 36 77 27 69 53 16 54 27 53 16 36 36 53 16 36 77 60
    27 76 53 27 67 27 54 48 53 57 64 39 16 17 17 48 53 68 16 52 77 36 48 53 77 69 53 57 64 39 16 17 17 48 53 77 64 53 77
     1 69 53 56 46 64 29 46 16 48  6 29 29 24 67 27 54 48  1 39 77 64
"""


@pytest.fixture(scope="module")
def anna(data_dir) -> str:
    return load_corpus("anna", data_dir).text


@pytest.mark.row("C6", "C8")
@given(text=texts, order=orders, data=st.data())
def test_decoding_undoes_encoding_for_characters(text, order, data):
    vocabulary = Vocabulary.build(text, order=order)
    other = data.draw(st.text(st.sampled_from(vocabulary.tokens)))
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.decode(vocabulary.encode(other)) == other


@pytest.mark.row("C6")
@given(text=st.text())
def test_decoding_undoes_encoding_for_bytes(text):
    vocabulary = Vocabulary.build("", "byte")
    ids = vocabulary.encode(text)
    assert ids.tolist() == list(text.encode())
    assert vocabulary.decode(ids) == text


@pytest.mark.row("C8")
@given(text=texts, order=orders)
def test_ids_and_symbols_are_in_bijection(text, order):
    vocabulary = Vocabulary.build(text, order=order)
    assert set(vocabulary.tokens) == set(text)
    assert vocabulary.encode("".join(vocabulary.tokens)).tolist() == list(range(len(set(text))))
    assert [vocabulary.decode([i]) for i in range(len(vocabulary))] == list(vocabulary.tokens)


@pytest.mark.row("C9", "BC7")
@given(text=any_characters, kind=st.sampled_from(["char", "byte"]))
def test_ids_are_int64_whatever_the_text(text, kind):
    ids = Vocabulary.build(text + "a", kind).encode(text)
    assert ids.dtype == np.int64
    assert ids.ndim == 1


@pytest.mark.row("BC1")
@given(data=st.data(), text=texts)
def test_sorted_ids_follow_the_code_points_and_not_the_text(data, text):
    vocabulary = Vocabulary.build(text)
    code_points = [ord(token) for token in vocabulary.tokens]
    assert code_points == sorted({ord(symbol) for symbol in text})
    shuffled = "".join(data.draw(st.permutations(text)))
    assert Vocabulary.build(shuffled) == vocabulary


@pytest.mark.row("BC1")
@given(text=texts)
def test_seen_ids_follow_the_first_appearance(text):
    first_places = [text.index(token) for token in Vocabulary.build(text, order="seen").tokens]
    assert first_places == sorted(first_places)
    assert len(first_places) == len(set(text))


@pytest.mark.row("BC1")
def test_ids_do_not_depend_on_the_hash_seed_of_the_process():
    script = """if True:
        from lstm_ref.core.vocab import Vocabulary
        text = "Happy families are all alike; \u00e9\u4e16\U0001f600"
        print(*(Vocabulary.build(text, order=order).sha256 for order in ("sorted", "seen")), tuple(set(text)))
    """
    outputs = []
    for hash_seed in ("1", "2"):
        environ = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-W", "error", "-c", script]
        done = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", check=True)
        outputs.append(done.stdout.split(" ", 2))
    (*first, first_set), (*second, second_set) = outputs
    assert first_set != second_set  # so the two processes do differ where the original notebook looks
    assert first == second
    assert first[0] != first[1]


@given(text=texts, other=any_characters)
def test_unknown_symbols_are_skipped_where_that_is_asked_for(text, other):
    vocabulary = Vocabulary.build(text)
    expected = [vocabulary.tokens.index(symbol) for symbol in other if symbol in text]
    assert vocabulary.encode(other, unknown="skip").tolist() == expected


@given(
    text=st.text("abcdef", min_size=1),
    strange=st.text(st.characters(exclude_characters="abcdef"), min_size=1),
    data=st.data(),
)
def test_unknown_symbols_are_an_error_that_names_them(text, strange, data):
    mixed = "".join(data.draw(st.permutations(text + strange)))
    with pytest.raises(DataError) as caught:
        Vocabulary.build(text).encode(mixed)
    message = str(caught.value)
    assert message.isprintable()  # one line, and nothing in it that moves a cursor
    assert message.startswith(f"{len(strange)} characters are not among the model's {len(set(text))} symbols: ")
    assert " ".join(map(ascii, sorted(set(strange))[:10])) in message


def test_the_error_for_unknown_symbols_ends_after_ten():
    with pytest.raises(DataError, match=r"12 characters .* symbols: 'b' 'c' .* 'k' \.\.\.; remove them"):
        Vocabulary.build("a").encode("bcdefghijklm")


@pytest.mark.parametrize("code_point", [0, 0xD800, 0xDFFF, 0xFFFF, 0x10FFFF])
def test_code_points_at_the_borders_have_ids_like_any_other(code_point):
    symbol = chr(code_point)
    vocabulary = Vocabulary.build("a" + symbol)
    assert vocabulary.decode(vocabulary.encode(symbol + "a")) == symbol + "a"
    assert Vocabulary.build("a").encode(symbol + "a", unknown="skip").tolist() == [0]


def test_bytes_that_are_no_utf8_decode_to_replacement_characters():
    vocabulary = Vocabulary.build("", "byte")
    assert vocabulary.decode([0x61, 0xFF, 0xC3]) == "a\ufffd\ufffd"
    assert vocabulary.decode(vocabulary.encode("\ud800")) == "\ufffd\ufffd\ufffd"


@pytest.mark.row("BC2")
@given(text=any_characters)
def test_a_byte_vocabulary_knows_every_text_and_takes_nothing_from_it(text):
    vocabulary = Vocabulary.build(text, "byte")
    assert vocabulary == ByteVocabulary(BYTES)
    assert len(vocabulary) == 256
    assert vocabulary.encode(text).size == len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.row("BC1")
@given(text=texts, order=orders, kind=st.sampled_from(["char", "byte"]))
def test_a_vocabulary_survives_json(text, order, kind):
    vocabulary = Vocabulary.build(text, kind, order)
    restored = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert restored == vocabulary
    assert restored.sha256 == vocabulary.sha256


@pytest.mark.row("BC1")
@given(text=st.text("ab\u00e9", min_size=1, max_size=4), other=st.text("ab\u00e9", min_size=1, max_size=4))
def test_two_vocabularies_share_a_hash_only_if_they_are_equal(text, other):
    one, two = Vocabulary.build(text, order="seen"), Vocabulary.build(other, order="seen")
    assert (one.sha256 == two.sha256) == (one.tokens == two.tokens)
    assert one.sha256 != Vocabulary.build(text, "byte").sha256


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"kind": "char"},
        {"kind": "char", "tokens": ""},
        {"kind": "char", "tokens": "abca"},
        {"kind": "char", "tokens": ["a", "b"]},
        {"kind": "char", "tokens": 3},
        {"kind": "byte", "tokens": "ab"},
        {"kind": "word", "tokens": "ab"},
        {"kind": "word\nsecond line", "tokens": None},
        {"kind": ["char"], "tokens": "ab"},
        {"tokens": "ab"},
    ],
)
def test_a_damaged_vocabulary_is_refused_in_one_line(damaged):
    with pytest.raises(CheckpointError, match="damaged vocabulary") as caught:
        Vocabulary.from_dict(damaged)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        (CharVocabulary, ()),
        (CharVocabulary, ("a", "a")),
        (CharVocabulary, ("a", "bc")),
        (CharVocabulary, ("",)),
        (ByteVocabulary, ("a",)),
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused(kind, tokens):
    with pytest.raises(DataError, match="vocabulary"):
        kind(tokens)


def test_an_empty_text_makes_no_vocabulary():
    with pytest.raises(DataError, match="is the text empty"):
        Vocabulary.build("")


@pytest.mark.row("C7", "C9")
def test_anna_has_the_seeds_83_symbols(anna):
    vocabulary = Vocabulary.build(anna)
    assert len(vocabulary) == 83
    assert set(vocabulary.tokens) == set(SEED_SYMBOLS)
    ids = vocabulary.encode(anna)
    assert (ids.dtype, ids.shape) == (np.int64, (1_985_223,))
    assert vocabulary.decode(ids) == anna


@pytest.mark.row("C8", "C9")
@pytest.mark.parametrize("order", ["sorted", "seen"])
def test_the_notebooks_printed_ids_are_ours_up_to_a_bijection(anna, order):
    printed = [int(word) for word in PRINTED_IDS.split()]
    ours = Vocabulary.build(anna, order=order).encode(anna)[:100].tolist()
    assert len(printed) == 100
    pairs = set(zip(ours, printed))
    assert len(pairs) == len(set(ours)) == len(set(printed))

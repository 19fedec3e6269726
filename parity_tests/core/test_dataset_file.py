"""The file of ids and offsets: what is written comes back, and nothing that was tampered with does."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from lstm_ref.core.articles import Articles
from lstm_ref.core.dataset import Dataset
from lstm_ref.core.dataset_file import SEAL, read_dataset, write_dataset
from lstm_ref.core.errors import DataError
from lstm_ref.core.vocab import Vocabulary

VOCABULARY = Vocabulary.build("the cat sat on a mat .\n", "word")
SHA256 = hashlib.sha256(b"text").hexdigest()
articles = st.lists(st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=9), min_size=1, max_size=4)


def dataset_of(train: list[list[int]], *others: list[list[int]]) -> Dataset:
    parts = {
        part: Articles.of([np.array(ids, np.int64) for ids in lists]) for part, lists in zip(PARTS, (train, *others))
    }
    return Dataset(VOCABULARY, parts, SHA256, "text.txt")


PARTS = ("train", "validation", "test")
SMALL = dataset_of([[0, 1, 2], [], [3]], [[4, 5]])


@pytest.fixture
def file(tmp_path) -> Path:
    write_dataset(tmp_path / "small.safetensors", SMALL)
    return tmp_path / "small.safetensors"


def rewrite(path: Path, header: dict[str, object], arrays: dict[str, np.ndarray | None]) -> None:
    """Other content, with a digest that fits it."""
    tensors = load_file(path) | arrays
    tensors = {name: value for name, value in tensors.items() if value is not None}
    values = {"schema": 1, "vocabulary": VOCABULARY.to_dict(), "corpus_sha256": SHA256} | header
    SEAL.write(path, values, tensors)


@pytest.mark.row("W9", "BW8", "BW26")
@given(train=articles, validation=articles, test=articles, has_test=st.booleans())
def test_a_dataset_survives_a_file(tmp_path_factory, train, validation, test, has_test):
    path = tmp_path_factory.mktemp("dataset") / "any.safetensors"
    dataset = dataset_of(train, validation, *([test] if has_test else []))
    write_dataset(path, dataset)
    restored = read_dataset(path)
    assert (restored.vocabulary, restored.corpus_sha256, restored.source) == (VOCABULARY, SHA256, str(path))
    assert list(restored.parts) == list(dataset.parts)
    for part, expected in dataset.parts.items():
        assert [article.tolist() for article in restored[part]] == [article.tolist() for article in expected]
        assert restored[part].ids.dtype == restored[part].offsets.dtype == np.int64


@pytest.mark.row("BW8")
def test_every_byte_of_the_file_counts(file):
    raw = file.read_bytes()
    for place in range(len(raw)):
        file.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(DataError) as caught:
            read_dataset(file)
        assert "\n" not in str(caught.value)


def test_a_file_cut_anywhere_is_refused(file):
    raw = file.read_bytes()
    for length in range(len(raw)):
        file.write_bytes(raw[:length])
        with pytest.raises(DataError):
            read_dataset(file)


WRONG = {
    "offsets that go back": ({}, {"train.offsets": np.array([0, 3, 2, 4])}, "train: offsets go from"),
    "offsets beyond the ids": ({}, {"train.offsets": np.array([0, 9])}, "expected from 0 to 4"),
    "no offsets": ({}, {"train.offsets": None}, "expected ids and offsets"),
    "ids of halves": ({}, {"train.ids": np.array([0.5, 1, 1, 1])}, "train: ids are float64"),
    "ids in two axes": ({}, {"train.ids": np.zeros((2, 2), np.int32)}, r"train: ids are int32 \[2, 2\]"),
    "an id beyond the vocabulary": ({}, {"train.ids": np.array([0, 1, 2, 8], np.int32)}, "expected 0 to 7"),
    "an id below zero": ({}, {"train.ids": np.array([0, -1, 2, 3], np.int32)}, "from -1 to 3"),
    "no training part": ({}, {"train.ids": None, "train.offsets": None}, "expected ids and offsets of train"),
    "another tensor": ({}, {"more": np.zeros(1)}, "expected ids and offsets"),
    "a later schema": ({"schema": 2}, {}, "this version reads 1; update lstm-parity"),
    "a hash that is none": ({"corpus_sha256": "../" * 22}, {}, "no SHA-256"),
    "a vocabulary of twins": ({"vocabulary": {"kind": "word", "tokens": "a a", "preparation": {}}}, {}, "distinct"),
    "no vocabulary": ({"vocabulary": None}, {}, "does not fit itself"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_does_not_fit_itself_is_refused_in_one_line(file, case):
    header, arrays, problem = WRONG[case]
    rewrite(file, header, arrays)
    with pytest.raises(DataError, match=problem) as caught:
        read_dataset(file)
    assert "\n" not in str(caught.value)


def test_a_rewritten_file_that_fits_is_read(file):
    rewrite(file, {}, {"train.ids": np.array([3, 2, 1, 0])})
    assert read_dataset(file)["train"].ids.tolist() == [3, 2, 1, 0]


def test_files_of_other_programs_are_told_from_ours(tmp_path):
    save_file({"x": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=r"is no dataset: .* `lstm data encode`"):
        read_dataset(tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match=r"cannot read dataset .*: No such file"):
        read_dataset(tmp_path / "nowhere.safetensors")

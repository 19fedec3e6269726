"""The original notebook's .npy files: plain arrays are read, arrays of Python objects are not opened."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from lstm_ref.core.errors import DataError
from lstm_ref.core.notebook_arrays import read_articles, read_notebook_folder, read_vocabulary

WORDS = ["<eos>", "<unk>", "cat", "the"]


def ragged(*lists: list[int]) -> np.ndarray:
    articles = np.empty(len(lists), object)
    articles[:] = [np.array(each) for each in lists]
    return articles


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.row("W8")
def test_a_vocabulary_is_an_array_of_strings(tmp_path):
    assert read_vocabulary(save(tmp_path / "vocab.npy", np.array(WORDS))).tokens == tuple(WORDS)


@pytest.mark.row("W9", "BW8")
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16"])
def test_articles_of_one_length_or_all_in_one_row_are_read(tmp_path, dtype):
    square = save(tmp_path / "square.npy", np.array([[1, 2, 3], [3, 2, 1]], dtype))
    row = save(tmp_path / "row.npy", np.array([1, 2, 3, 3, 2, 1], dtype))
    assert [article.tolist() for article in read_articles(square)] == [[1, 2, 3], [3, 2, 1]]
    assert [article.tolist() for article in read_articles(row)] == [[1, 2, 3, 3, 2, 1]]
    save(tmp_path / "row.offsets.npy", np.array([0, 2, 6]))
    assert [article.tolist() for article in read_articles(row)] == [[1, 2], [3, 3, 2, 1]]
    assert read_articles(row).ids.dtype == np.int64


@pytest.mark.row("W9", "BW8")
def test_articles_of_python_objects_are_refused_with_the_way_to_plain_ones(tmp_path):
    articles = ragged([1, 2, 3], [3])
    path = save(tmp_path / "wiki.train.npy", articles)
    with pytest.raises(DataError) as caught:
        read_articles(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "holds Python objects, and opening them could run code" in message
    advice = "np.concatenate(a) as wiki.train.npy and np.cumsum([0, *map(len, a)]) as wiki.train.offsets.npy"
    assert advice in message
    save(tmp_path / "wiki.train.npy", np.concatenate(articles))  # what the message says
    save(tmp_path / "wiki.train.offsets.npy", np.cumsum([0, *map(len, articles)]))
    assert [article.tolist() for article in read_articles(path)] == [[1, 2, 3], [3]]


@pytest.mark.row("BW8")
@pytest.mark.parametrize("read", [read_vocabulary, read_articles])
def test_nothing_in_a_file_is_ever_run(tmp_path, read):
    bomb = Bomb(tmp_path / "exploded")
    array = np.empty(1, object)
    array[0] = bomb
    in_array, bare = save(tmp_path / "array.npy", array), tmp_path / "bare.npy"
    bare.write_bytes(pickle.dumps(bomb))
    for path in (in_array, bare):
        with pytest.raises(DataError):
            read(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "array",
    [np.array([1.5]), np.array(["1"]), np.array(3), np.zeros((1, 1, 1), int), np.array([True]), np.array([b"x"])],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_other_arrays_are_no_articles(tmp_path, array):
    with pytest.raises(DataError, match=r"expected whole numbers \[articles, length\] or \[n\]"):
        read_articles(save(tmp_path / "x.npy", array))


@pytest.mark.parametrize(
    "array",
    [np.arange(3), np.array([["a"]]), np.array(["a", "a"]), np.array(["a b"]), np.array([""]), np.array([b"a"])],
)
def test_other_arrays_are_no_vocabulary(tmp_path, array):
    with pytest.raises(DataError, match=r"x\.npy"):
        read_vocabulary(save(tmp_path / "x.npy", array))


def test_a_header_that_promises_more_than_the_file_has_costs_nothing(tmp_path):
    path = save(tmp_path / "x.npy", np.arange(100))
    path.write_bytes(path.read_bytes().replace(b"(100,)", b"(1" + b"0" * 15 + b",)").replace(b" " * 12 + b"\n", b"\n"))
    with pytest.raises(DataError):
        read_articles(path)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = save(tmp_path / "x.npy", np.arange(3))
    raw = path.read_bytes()
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(DataError) as caught:
            read_articles(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"cannot read .*nowhere"):
        read_articles(tmp_path / "nowhere.npy")


@pytest.fixture
def folder(tmp_path) -> Path:
    save(tmp_path / "vocab.npy", np.array(WORDS))
    save(tmp_path / "wiki.train.npy", np.array([[3, 2, 0], [3, 1, 0]]))
    save(tmp_path / "wiki.valid.npy", np.array([3, 2]))
    return tmp_path


@pytest.mark.row("W8", "W9", "W16")
def test_a_folder_of_the_notebooks_files_is_a_dataset(folder):
    dataset = read_notebook_folder(folder)
    assert [dataset.vocabulary.decode(article) for article in dataset["train"]] == ["the cat\n", "the <unk>\n"]
    assert dataset["validation"].ids.tolist() == [3, 2]
    assert [*dataset.parts] == ["train", "validation"]
    save(folder / "wiki.test.npy", np.array([2]))
    assert read_notebook_folder(folder)["test"].ids.tolist() == [2]
    assert read_notebook_folder(folder).corpus_sha256 != dataset.corpus_sha256


def test_ids_of_another_vocabulary_are_refused(folder):
    save(folder / "wiki.valid.npy", np.array([3, 4]))
    with pytest.raises(DataError, match="ids of validation from 3 to 4, expected 0 to 3"):
        read_notebook_folder(folder)

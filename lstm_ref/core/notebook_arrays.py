"""The word seed's own files: `vocab.npy`, an array of strings, and `wiki.train.npy`, `wiki.valid.npy`, of articles.

Its articles are arrays of Python objects, because they differ in length. Those are not opened: NumPy would have to
unpickle them, and a pickle runs what code it likes. What stands in them is taken as plain arrays instead: articles of
one length [articles, length]; or all ids in one row [n], with `wiki.train.offsets.npy` [articles + 1] beside it if
there are several articles.
"""

import hashlib
from pathlib import Path

import numpy as np

from lstm_ref.core.articles import Articles
from lstm_ref.core.dataset import Dataset
from lstm_ref.core.errors import DataError
from lstm_ref.core.vocab import WordVocabulary

VOCABULARY = "vocab.npy"
FILES = {"train": "wiki.train.npy", "validation": "wiki.valid.npy", "test": "wiki.test.npy"}


def read_notebook_folder(folder: Path) -> Dataset:
    """A folder of vocab.npy, wiki.train.npy, wiki.valid.npy and, if there is one, wiki.test.npy."""
    vocabulary = read_vocabulary(folder / VOCABULARY)
    files = {part: folder / file for part, file in FILES.items() if part != "test" or (folder / file).exists()}
    parts = {part: read_articles(file) for part, file in files.items()}
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files.values())).hexdigest()
    return Dataset(vocabulary, parts, digest, str(folder))


def read_vocabulary(path: Path) -> WordVocabulary:
    words = _read(path)
    if words.dtype.kind != "U" or words.ndim != 1:
        raise DataError(f"{path} holds {words.dtype} {list(words.shape)}, expected strings [V]")
    try:
        return WordVocabulary(tuple(words.tolist()))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def read_articles(path: Path) -> Articles:
    ids = _read(path)
    if ids.dtype.kind not in "iu" or ids.ndim not in (1, 2):
        raise DataError(f"{path} holds {ids.dtype} {list(ids.shape)}, expected whole numbers [articles, length] or [n]")
    beside = path.with_suffix(".offsets.npy")
    try:
        if ids.ndim == 1:
            return Articles(ids, _read(beside) if beside.exists() else np.array([0, ids.size]))
        return Articles.of(list(ids.astype(np.int64)))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _read(path: Path) -> np.ndarray:
    """A plain array, mapped and not copied, so that a header that promises too much costs nothing."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        if "Python objects" in str(error):
            raise DataError(
                f"{path} holds Python objects, and opening them could run code: where you trust it, save "
                f"np.concatenate(a) as {path.name} and np.cumsum([0, *map(len, a)]) as "
                f"{path.with_suffix('.offsets.npy').name} instead"
            ) from None
        raise DataError(f"{path} is no whole .npy file: {' '.join(str(error).split())}") from None

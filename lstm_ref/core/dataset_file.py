"""A dataset in one safetensors file, so that a text need not be split into words again, here or in another program.

Tensors: `<part>.ids` int32 [n] and `<part>.offsets` int64 [articles + 1] for the parts train, validation and test.
JSON: schema, vocabulary, the text's SHA-256. See core.sealed for the file. It takes the place of the word seed's arrays
of Python objects, which only unpickling could read.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lstm_ref.core.articles import Articles
from lstm_ref.core.dataset import Dataset
from lstm_ref.core.errors import DataError, LstmError
from lstm_ref.core.published import Part
from lstm_ref.core.sealed import Seal
from lstm_ref.core.vocab import Vocabulary

SCHEMA = 1
SEAL = Seal(
    kind="dataset",
    key="lstm-parity-dataset",
    error=DataError,
    if_damaged="write it again",
    if_foreign="write one with `lstm data encode`",
)
SUFFIX = ".safetensors"


def write_dataset(path: Path, dataset: Dataset) -> None:
    """The whole file or nothing. Raises DataError where the disk does not take it."""
    header = {
        "schema": SCHEMA,
        "vocabulary": dataset.vocabulary.to_dict(),
        "corpus_sha256": dataset.corpus_sha256,
    }
    tensors = {}
    for part, articles in dataset.parts.items():
        tensors[f"{part}.ids"] = articles.ids.astype(np.int32)  # a vocabulary has at most 2^20 tokens
        tensors[f"{part}.offsets"] = articles.offsets
    try:
        SEAL.write(path, header, tensors)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def read_dataset(path: Path) -> Dataset:
    """Raises DataError for a file that is missing, damaged, foreign, too new, or does not fit itself."""
    header, tensors = SEAL.read(path)
    try:
        return _from_parts(json.loads(header), tensors, path)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, LstmError) as error:
        raise DataError(f"{path} does not fit itself: {error}") from None


def _from_parts(values: dict[str, Any], tensors: Mapping[str, np.ndarray], path: Path) -> Dataset:
    if values["schema"] != SCHEMA:
        raise DataError(f"its schema is {values['schema']!r}, this version reads {SCHEMA}; update lstm-parity")
    digest = values["corpus_sha256"]
    if not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)):
        raise DataError("its corpus_sha256 is no SHA-256")
    names = [part for part in get_args(Part) if part != "test" or "test.ids" in tensors]
    if set(tensors) != {f"{part}.{array}" for part in names for array in ("ids", "offsets")}:
        raise DataError(f"its tensors are {sorted(tensors)}, expected ids and offsets of train, validation and test")
    parts = {part: _articles(tensors, part) for part in names}
    return Dataset(Vocabulary.from_dict(values["vocabulary"]), parts, digest, str(path))


def _articles(tensors: Mapping[str, np.ndarray], part: Part) -> Articles:
    try:
        return Articles(tensors[f"{part}.ids"], tensors[f"{part}.offsets"])
    except DataError as error:
        raise DataError(f"{part}: {error}") from None

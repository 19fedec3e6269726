"""A dataset in one safetensors file, so that a text need not be split into words again, here or in another program.

Tensors: `<part>.ids` int32 [n] and `<part>.offsets` int64 [articles + 1] for the parts train, validation and test.
Metadata: `lstm-parity-dataset`, one canonical JSON (schema, vocabulary, the text's SHA-256), and `sha256`
over that JSON and every tensor. It takes the place of the word seed's arrays of Python objects, which only unpickling
could read.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from lstm_ref.core.articles import Articles
from lstm_ref.core.dataset import Dataset
from lstm_ref.core.errors import DataError, LstmError
from lstm_ref.core.published import Part
from lstm_ref.core.vocab import Vocabulary

SCHEMA = 1
METADATA_KEY = "lstm-parity-dataset"
SUFFIX = ".safetensors"


def write_dataset(path: Path, dataset: Dataset) -> None:
    """The whole file or nothing. Raises DataError where the disk does not take it."""
    from lstm_ref.core.checkpoint import write_atomically  # here: it brings Numba, and only writing needs it

    header = json.dumps(
        {
            "schema": SCHEMA,
            "vocabulary": dataset.vocabulary.to_dict(),
            "corpus_sha256": dataset.corpus_sha256,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    tensors = {}
    for part, articles in dataset.parts.items():
        tensors[f"{part}.ids"] = articles.ids.astype(np.int32)  # a vocabulary has at most 2^20 tokens
        tensors[f"{part}.offsets"] = articles.offsets
    metadata = {METADATA_KEY: header, "sha256": _digest(header, tensors)}
    try:
        write_atomically(path, to_safetensors(tensors, metadata))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def read_dataset(path: Path) -> Dataset:
    """Raises DataError for a file that is missing, damaged, foreign, too new, or does not fit itself."""
    metadata, tensors = _read(path)
    header = metadata[METADATA_KEY]
    if metadata.get("sha256") != _digest(header, tensors):
        raise DataError(f"{path} is damaged: its content does not match its SHA-256; write it again")
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


def _read(path: Path) -> tuple[Mapping[str, str], dict[str, np.ndarray]]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if METADATA_KEY not in metadata:
                raise DataError(
                    f"{path} is no dataset: no {METADATA_KEY!r} in its metadata; write one with `lstm data encode`"
                )
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise DataError(f"cannot read dataset {path}: {error.strerror or error}") from None
    except (TypeError, AttributeError) as error:
        raise DataError(f"{path} has tensors of a dtype that is not NumPy's: {error}") from None
    except SafetensorError as error:
        raise DataError(f"{path} is no whole safetensors file: {error}; write it again") from None


def _digest(header: str, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\0{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()

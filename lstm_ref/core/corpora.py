"""Text in: what ships with Python, a named text, any UTF-8 file, or a folder of train.txt, valid.txt and test.txt."""

import hashlib
import os
import pydoc_data.topics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lstm_ref.core.errors import DataError
from lstm_ref.core.published import AS_PUBLISHED, CORPORA, Part, PublishedFile, data_folders, git_blob_id

MAX_BYTES = 1 << 32
FILES: dict[Part, str] = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}  # of a folder


@dataclass(frozen=True, slots=True)
class Corpus:
    """A text as it is trained on, and where it came from.

    held_out: the texts of `validation` and `test`, where it comes with them. Where it has no validation text, the last
    part of `text` is split off. sha256 is of the bytes as stored; of several files, of their SHA-256s in order.
    """

    name: str
    text: str
    sha256: str
    source: str
    carriage_returns: int = 0  # line ends that were translated to \n
    byte_order_mark: bool = False
    held_out: Mapping[Part, str] = field(default_factory=dict)
    edition: str = ""  # of a named text: what its files are


def load_corpus(name: str, data_dir: Path | None = None, environ: Mapping[str, str] = os.environ) -> Corpus:
    """`pydoc`, a name from CORPORA, or the path of a file or folder. Raises DataError that says what to do."""
    if Path(name).suffix == ".safetensors":  # such bytes may be UTF-8 by chance
        raise DataError(f"{name} is no text: expected a UTF-8 file; of ids made by `lstm data encode`, give their text")
    if name == "pydoc":
        return _pydoc()
    if name in CORPORA:
        return _named(name, data_folders(data_dir, environ))
    if Path(name).is_dir():
        return _folder(Path(name))
    return read_text(Path(name), name)


def _named(name: str, folders: list[Path]) -> Corpus:
    entry = CORPORA[name]
    folder = entry.find(folders)
    if folder is None:
        files = ", ".join(file.path for file in entry.files.values())
        searched = " or ".join(str(folder) for folder in folders)
        raise DataError(
            f"corpus {name!r}: no {files} in {searched}; run `lstm data get {name}`, or set LSTM_DATA to its folder"
        )
    texts = {part: read_text(folder / file.path, name, file) for part, file in entry.files.items()}
    return _joined(name, str(folder / entry.place), texts)


def _folder(path: Path) -> Corpus:
    texts = {part: read_text(path / file, str(path)) for part, file in FILES.items() if (path / file).is_file()}
    if "train" not in texts:
        raise DataError(
            f"cannot read text {str(path)!r}: Is a directory without {FILES['train']}; expected a UTF-8 file, or a "
            f"folder of {FILES['train']} and, if there are, {FILES['validation']} and {FILES['test']}"
        )
    return _joined(str(path), str(path), texts)


def _joined(name: str, source: str, texts: Mapping[Part, Corpus]) -> Corpus:
    """One corpus of several texts; of one alone, that text."""
    train = texts["train"]
    if len(texts) == 1:
        return train
    others = [f"{part}: {text.edition}" for part, text in texts.items() if text.edition not in ("", AS_PUBLISHED)]
    return Corpus(
        name,
        train.text,
        hashlib.sha256("".join(text.sha256 for text in texts.values()).encode()).hexdigest(),
        source,
        sum(text.carriage_returns for text in texts.values()),
        any(text.byte_order_mark for text in texts.values()),
        {part: text.text for part, text in texts.items() if part != "train"},
        "; ".join(others) or train.edition,
    )


def read_text(path: Path, name: str, published: PublishedFile | None = None) -> Corpus:
    """Strict UTF-8; CRLF and CR become LF and a byte order mark is dropped, both recorded."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes, expected at most {MAX_BYTES:,}: take a part")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read text {str(path)!r}: {reason}; named texts: pydoc, {', '.join(CORPORA)}") from None
    edition = "" if published is None else _edition(published, raw, path, name)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}; convert it, for instance "
            f"`iconv -f latin1 -t utf-8`"
        ) from None
    marked = text.startswith("\ufeff")
    text = text.removeprefix("\ufeff")
    carriage_returns = text.count("\r")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise DataError(f"{path} is empty; a text needs at least two characters")
    digest = hashlib.sha256(raw).hexdigest()
    return Corpus(name, text, digest, str(path), carriage_returns, marked, edition=edition)


def _edition(published: PublishedFile, raw: bytes, path: Path, name: str) -> str:
    edition = published.edition(raw)
    if edition is None:
        expected = " or ".join(f"{blob_id[:12]}..." for blob_id in published.editions)
        raise DataError(
            f"{path} is not the published {name!r}: {len(raw):,} bytes with git blob id {git_blob_id(raw)[:12]}..., "
            f"expected {published.size:,} with {expected}; remove it and run `lstm data get {name}`"
        )
    return edition


def _pydoc() -> Corpus:
    """The help topics of the running Python: English and code, about 465,000 characters; another text in another
    Python release, so its hash is recorded and not asserted."""
    topics: dict[str, str] = pydoc_data.topics.topics
    text = "\n\n".join(topics[name] for name in sorted(topics))
    return Corpus("pydoc", text, hashlib.sha256(text.encode()).hexdigest(), f"pydoc_data.topics, {len(topics)} topics")

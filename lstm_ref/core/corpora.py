"""Text in: what ships with Python, a named download, or any UTF-8 file.

The network is touched by `fetch` alone, which only `lstm data get` calls. A named text is looked for in the folder
that `--data-dir` or LSTM_DATA names, then in the cache (LSTM_HOME, or the user's cache folder).
"""

import hashlib
import os
import pydoc_data.topics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from lstm_ref.core.errors import DataError, UsageError

MAX_BYTES = 1 << 32


@dataclass(frozen=True, slots=True)
class NamedCorpus:
    file: str
    bytes: int
    sha256: str
    urls: tuple[str, ...]
    about: str


CORPORA: dict[str, NamedCorpus] = {
    "anna": NamedCorpus(
        file="anna.txt",
        bytes=2_025_486,
        sha256="568bb39fc78aca98e9db91c4329dcd1aa5ec4c3df3aca2064ce5d6f023ae16c9",
        urls=(
            "https://raw.githubusercontent.com/udacity/deep-learning-v2-pytorch/"
            "c9404fc86181fc3f0906b368697268257f348535/recurrent-neural-networks/char-rnn/data/anna.txt",
        ),
        about="Anna Karenina, translated by Constance Garnett (public domain)",
    )
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """A text as it is trained on, and where it came from. sha256 is of the bytes as stored."""

    name: str
    text: str
    sha256: str
    source: str
    carriage_returns: int = 0  # line ends that were translated to \n
    byte_order_mark: bool = False


def data_folders(data_dir: Path | None = None, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where named texts are looked for, best first."""
    named = data_dir or (Path(environ["LSTM_DATA"]) if environ.get("LSTM_DATA") else None)
    return ([named] if named else []) + [cache_folder(environ)]


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get("LSTM_HOME") or platformdirs.user_cache_dir("lstm-parity")) / "data"


def load_corpus(name: str, data_dir: Path | None = None, environ: Mapping[str, str] = os.environ) -> Corpus:
    """`pydoc`, a name from CORPORA, or the path of a file. Raises DataError that says what to do."""
    if name == "pydoc":
        return _pydoc()
    if name not in CORPORA:
        return read_text(Path(name), name)
    folders = data_folders(data_dir, environ)
    entry = CORPORA[name]
    for folder in folders:
        if (folder / entry.file).is_file():
            return read_text(folder / entry.file, name, expected_sha256=entry.sha256)
    searched = " or ".join(str(folder) for folder in folders)
    raise DataError(
        f"corpus {name!r}: no {entry.file} in {searched}; run `lstm data get {name}`, or set LSTM_DATA to its folder"
    )


def read_text(path: Path, name: str, expected_sha256: str | None = None) -> Corpus:
    """Strict UTF-8; CRLF and CR become LF and a byte order mark is dropped, both recorded."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes, expected at most {MAX_BYTES:,}: take a part")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read text {str(path)!r}: {reason}; named texts: pydoc, {', '.join(CORPORA)}") from None
    digest = hashlib.sha256(raw).hexdigest()
    if expected_sha256 and digest != expected_sha256:
        raise DataError(
            f"{path} is not the published {name!r}: SHA-256 {digest[:12]}..., expected {expected_sha256[:12]}...; "
            f"remove it and run `lstm data get {name}`"
        )
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
    return Corpus(name, text, digest, str(path), carriage_returns, marked)


def _pydoc() -> Corpus:
    """The help topics of the running Python: English and code, about 465,000 characters; another text in another
    Python release, so its hash is recorded and not asserted."""
    topics: dict[str, str] = pydoc_data.topics.topics
    text = "\n\n".join(topics[name] for name in sorted(topics))
    return Corpus("pydoc", text, hashlib.sha256(text.encode()).hexdigest(), f"pydoc_data.topics, {len(topics)} topics")


def fetch(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Downloads a named text into the cache and checks it. Raises DataError without a network, or with LSTM_OFFLINE."""
    if name not in CORPORA:
        raise UsageError(f"unknown corpus {name!r}; to be had: {', '.join(CORPORA)} (pydoc ships with Python)")
    entry, folder = CORPORA[name], cache_folder(environ)
    if environ.get("LSTM_OFFLINE"):
        raise DataError(f"LSTM_OFFLINE is set, so {name!r} is not downloaded; put {entry.file} into {folder} yourself")
    try:
        import pooch
    except ModuleNotFoundError:
        raise UsageError("downloads need the 'data' extra: pip install 'lstm-parity[data]'") from None
    pooch.get_logger().setLevel("ERROR")
    problems = []
    for url in entry.urls:
        try:
            return Path(pooch.retrieve(url, known_hash=f"sha256:{entry.sha256}", fname=entry.file, path=folder))
        except ValueError:  # pooch's word for a wrong hash
            problems.append(f"{url}: not the published text, its SHA-256 differs")
        except OSError as error:  # the base of requests' errors too
            problems.append(f"{url}: {type(error).__name__}, is there a network?")
    raise DataError(f"could not download {name!r} ({'; '.join(problems)}); or put {entry.file} into {folder} yourself")

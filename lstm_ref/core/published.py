r"""The texts that have a name: where they are published, and the folders in which they are looked for.

The network is touched by `fetch` alone, which only `lstm data get` calls. A named text is looked for in the folder
that `--data-dir` or LSTM_DATA names, then in the cache (LSTM_HOME, or the user's cache folder).

A file is known by its git blob id, the SHA-1 of `blob <bytes>\0` and its bytes: under it the repositories that publish
these files keep them, and `git hash-object FILE` prints it.
"""

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from lstm_ref.core.atomic import write_atomically
from lstm_ref.core.errors import DataError, UsageError

Part = Literal["train", "validation", "test"]
AS_PUBLISHED = "as published"
UDACITY = (
    "https://raw.githubusercontent.com/udacity/deep-learning-v2-pytorch/"
    "c9404fc86181fc3f0906b368697268257f348535/recurrent-neural-networks/char-rnn/data/"
)
PYTORCH = (
    "https://raw.githubusercontent.com/pytorch/examples/"
    "77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data/"
)


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """path: below the folder of texts; size: in bytes; editions: git blob id -> what the file of that id is."""

    path: str
    size: int
    editions: Mapping[str, str]
    urls: tuple[str, ...]

    def edition(self, raw: bytes) -> str | None:
        """What these bytes are, or None if they are no known form of the file."""
        return self.editions.get(git_blob_id(raw))


@dataclass(frozen=True, slots=True)
class NamedCorpus:
    """files: by part; a text without a validation part of its own is all `train`. tokens: what it is mostly read as."""

    about: str
    files: Mapping[Part, PublishedFile]
    tokens: Literal["char", "word"] = "char"

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    @property
    def place(self) -> str:
        """Its file, or the folder of its files, below the folder of texts."""
        return os.path.commonpath([file.path for file in self.files.values()])

    def find(self, folders: list[Path]) -> Path | None:
        """The first folder that has all of its files."""
        here = (folder for folder in folders if all((folder / file.path).is_file() for file in self.files.values()))
        return next(here, None)


CORPORA: dict[str, NamedCorpus] = {
    "anna": NamedCorpus(
        about="Anna Karenina, translated by Constance Garnett (public domain)",
        files={
            "train": PublishedFile(
                path="anna.txt",
                size=2_025_486,
                editions={"42165aa6196242a9474b361c2580c2d9e486cdd2": AS_PUBLISHED},
                urls=(UDACITY + "anna.txt",),
            )
        },
    ),
    "wikitext-2": NamedCorpus(
        about="WikiText-2, 720 articles of Wikipedia split into words (Merity et al. 2016, CC BY-SA)",
        tokens="word",
        files={
            "train": PublishedFile(
                path="wikitext-2/train.txt",
                size=10_797_148,
                editions={
                    "2d84b35af79e411d73ea7cae83c73964c6ac83b4": AS_PUBLISHED,
                    "de3934f9f675a3e8e72eaa57311240568103ca78": "articles 539 to 600 in another order",
                },
                urls=(PYTORCH + "wikitext-2/train.txt",),
            ),
            "validation": PublishedFile(
                path="wikitext-2/valid.txt",
                size=1_121_681,
                editions={"eec944eb2d9e46061cd34a6913528797db6842fc": AS_PUBLISHED},
                urls=(PYTORCH + "wikitext-2/valid.txt",),
            ),
            "test": PublishedFile(
                path="wikitext-2/test.txt",
                size=1_256_449,
                editions={"6f3fc88e4cd88456ea892971f9f12243e8428624": AS_PUBLISHED},
                urls=(PYTORCH + "wikitext-2/test.txt",),
            ),
        },
    ),
}


def git_blob_id(raw: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


def data_folders(data_dir: Path | None = None, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where named texts are looked for, best first."""
    named = data_dir or (Path(environ["LSTM_DATA"]) if environ.get("LSTM_DATA") else None)
    return ([named] if named else []) + [cache_folder(environ)]


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get("LSTM_HOME") or platformdirs.user_cache_dir("lstm-parity")) / "data"


def fetch(
    name: str, environ: Mapping[str, str] = os.environ, on_bytes: Callable[[int], None] = lambda count: None
) -> Path:
    """Downloads a named text into the cache and checks it; files that are there already stay. on_bytes: told of every
    few bytes that came. Raises DataError without a network, or with LSTM_OFFLINE."""
    if name not in CORPORA:
        raise UsageError(f"unknown corpus {name!r}; to be had: {', '.join(CORPORA)} (pydoc ships with Python)")
    entry, folder = CORPORA[name], cache_folder(environ)
    missing = [file for file in entry.files.values() if not _is_here(folder / file.path, file)]
    if missing and environ.get("LSTM_OFFLINE"):
        paths = ", ".join(file.path for file in missing)
        raise DataError(f"LSTM_OFFLINE is set, so {name!r} is not downloaded; put {paths} into {folder} yourself")
    for file in missing:
        _download(name, file, folder, on_bytes)
    return folder / entry.place


def _is_here(path: Path, file: PublishedFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and file.edition(path.read_bytes()) is not None


def _download(name: str, file: PublishedFile, folder: Path, on_bytes: Callable[[int], None]) -> None:
    try:
        import pooch
    except ModuleNotFoundError:
        raise UsageError("downloads need the 'data' extra: pip install 'lstm-parity[data]'") from None
    problems = []
    for url in file.urls:
        content = _Arriving(file.size, on_bytes)
        try:
            pooch.HTTPDownloader(chunk_size=1 << 16)(url, content, None)
        except OSError as error:  # the base of requests' errors too
            problems.append(f"{url}: {type(error).__name__}, is there a network?")
            continue
        if file.edition(raw := content.getvalue()) is None:
            problems.append(f"{url}: not the published text, its git blob id is {git_blob_id(raw)[:12]}...")
            continue
        try:
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / file.path, raw)
        except OSError as error:
            raise DataError(f"cannot write {folder / file.path}: {error.strerror or error}; set LSTM_HOME") from None
        return
    raise DataError(f"could not download {name!r} ({'; '.join(problems)}); or put {file.path} into {folder} yourself")


class _Arriving(io.BytesIO):
    """Takes a download as it comes, and one byte more than there should be at most: a server may never stop."""

    def __init__(self, size: int, on_bytes: Callable[[int], None]):
        super().__init__()
        self._size, self._on_bytes = size, on_bytes

    def write(self, chunk: Any) -> int:
        if self.tell() + len(chunk) > self._size:
            raise OSError(f"more than {self._size} bytes")
        self._on_bytes(len(chunk))
        return super().write(chunk)

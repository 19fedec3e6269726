"""Vocabularies: text <-> ids.

A character vocabulary holds the symbols of one text, in code-point order unless told otherwise. (Python's `set` gives
another order in every process: ids made from it fit no other run's weights.) A byte vocabulary is always the 256
bytes of UTF-8: it needs no text, so nothing of the validation part can leak into it. A word vocabulary holds the words
of a training text, in code-point order too: this is how the word seed's data have it, where its text speaks of a
"pre-defined order" and its code takes them as first seen.
"""

import codecs
import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np

from lstm_ref.core.errors import CheckpointError, DataError
from lstm_ref.core.words import AS_IT_IS, EOS, UNK, Preparation, join_words, split_words

MAX_TOKENS = 1 << 20
Kind = Literal["char", "byte", "word"]
Order = Literal["sorted", "seen"]
Unknown = Literal["error", "skip", "unk"]  # what to do with a token that the vocabulary has not
BYTES = tuple(chr(byte) for byte in range(256))


@dataclass(frozen=True)
class Vocabulary(ABC):
    """tokens[id] is the text of an id; what a token is, each kind says."""

    tokens: tuple[str, ...]
    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        if not 1 <= len(self.tokens) <= MAX_TOKENS:
            raise DataError(
                f"a vocabulary of {len(self.tokens)} tokens; expected 1 to {MAX_TOKENS}: is the text empty?"
            )
        if len(set(self.tokens)) != len(self.tokens):
            raise DataError(f"a {self.kind} vocabulary needs distinct tokens")

    @staticmethod
    def build(text: str, kind: Kind = "char", order: Order = "sorted") -> "Vocabulary":
        """All tokens of a text. For words of a training part, with rare ones left out, see core.dataset."""
        if kind == "byte":
            return ByteVocabulary()
        if kind == "char":
            return CharVocabulary(_in_order(dict.fromkeys(text), order))
        return WordVocabulary.of_counts(Counter(split_words(text)), order)

    def __len__(self) -> int:
        return len(self.tokens)

    @abstractmethod
    def encode(self, text: str, *, unknown: Unknown = "error") -> np.ndarray:
        """int64 [number of tokens]. Raises DataError that names the tokens that are not in the vocabulary, or leaves
        them out (`skip`), or takes `<unk>` for each (`unk`: words only)."""

    @abstractmethod
    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        """The text of ids, piece by piece as they come."""

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of ids. Raises DataError for an id out of range."""
        if any(not 0 <= int(i) < len(self.tokens) for i in ids):
            raise DataError(f"ids from {min(ids)} to {max(ids)} do not fit {len(self.tokens)} tokens")
        return "".join(self.stream(int(i) for i in ids))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @abstractmethod
    def to_dict(self) -> dict[str, object]: ...

    @staticmethod
    def from_dict(values: Mapping[str, object]) -> "Vocabulary":
        """Takes what `to_dict` gave, from a file that may be hostile."""
        kind, tokens, preparation = (values.get(name) for name in ("kind", "tokens", "preparation"))
        try:
            if kind == "byte" and tokens is None:
                return ByteVocabulary()
            if kind == "char" and isinstance(tokens, str):
                return CharVocabulary(tuple(tokens))
            if kind == "word" and isinstance(tokens, str) and isinstance(preparation, dict):
                words = tokens.split(" ", MAX_TOKENS)  # one more than allowed is enough to be refused
                return WordVocabulary(tuple(words), Preparation.from_dict(preparation))
        except DataError as error:
            raise CheckpointError(f"damaged vocabulary: {error}") from None
        raise CheckpointError(f"damaged vocabulary: kind={kind!r} with tokens of type {type(tokens).__name__}")


@dataclass(frozen=True)
class CharVocabulary(Vocabulary):
    kind: ClassVar[Kind] = "char"

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(len(token) != 1 for token in self.tokens):
            raise DataError("a char vocabulary needs single characters")

    @cached_property
    def _id_of_code_point(self) -> np.ndarray:
        """int64 [largest code point + 2]: the id, or -1 where there is none. The last entry stays -1."""
        code_points = [ord(token) for token in self.tokens]
        table = np.full(max(code_points) + 2, -1, np.int64)
        table[code_points] = np.arange(len(code_points))
        return table

    def encode(self, text: str, *, unknown: Unknown = "error") -> np.ndarray:
        code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        table = self._id_of_code_point
        ids = table[np.minimum(code_points, len(table) - 1)]
        missing = ids < 0
        if not missing.any():
            return ids
        if unknown == "skip":
            return ids[~missing]
        symbols = sorted({chr(code_point) for code_point in code_points[missing]})
        raise DataError(
            f"{int(missing.sum())} characters are not among the model's {len(self)} symbols: "
            f"{_first_ten(ascii(symbol) for symbol in symbols)}; remove them"
        )

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        return (self.tokens[i] for i in ids)

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "tokens": "".join(self.tokens)}


@dataclass(frozen=True)
class ByteVocabulary(Vocabulary):
    """An id is the byte's value; its token is written as the character U+00XX."""

    tokens: tuple[str, ...] = BYTES
    kind: ClassVar[Kind] = "byte"

    def __post_init__(self) -> None:
        if self.tokens != BYTES:
            raise DataError("a byte vocabulary is always the 256 bytes in order")

    def encode(self, text: str, *, unknown: Unknown = "error") -> np.ndarray:
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64)

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        """A character's bytes come one at a time. What is not UTF-8 becomes U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        yield from (decoder.decode(bytes([i])) for i in ids)
        yield decoder.decode(b"", final=True)

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "tokens": None}


@dataclass(frozen=True)
class WordVocabulary(Vocabulary):
    """Words as core.words splits them, from a text that was prepared as `preparation` says."""

    preparation: Preparation = AS_IT_IS
    kind: ClassVar[Kind] = "word"

    def __post_init__(self) -> None:
        super().__post_init__()
        if broken := [token for token in self.tokens if token.split() != [token]]:
            raise DataError(f"a word vocabulary needs words without whitespace, not {broken[0][:40]!r}")

    @classmethod
    def of_counts(
        cls,
        counts: Mapping[str, int],
        order: Order = "sorted",
        preparation: Preparation = AS_IT_IS,
        min_count: int = 1,
        unknown_words: bool = False,
    ) -> Self:
        """The words that came at least `min_count` times, first seen first, and `<eos>`. `<unk>` joins them where one
        was rarer, or if unknown words are to come."""
        words = {word: None for word, count in counts.items() if count >= min_count or word == EOS}
        rare = len(words) < len(counts)
        extra = [EOS, UNK] if rare or unknown_words else [EOS]
        return cls(_in_order(words | dict.fromkeys(extra), order), preparation)

    @cached_property
    def id_of(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.tokens)}

    def encode(self, text: str, *, unknown: Unknown = "error") -> np.ndarray:
        text, id_of = self.preparation(text), self.id_of
        missing = id_of.get(UNK, -1) if unknown == "unk" else -1
        ids = np.fromiter((id_of.get(word, missing) for word in split_words(text)), np.int64)
        if unknown == "skip":
            return ids[ids >= 0]
        if (ids < 0).any():
            strange = dict.fromkeys(word for word in split_words(text) if word not in id_of)
            raise DataError(
                f"{int((ids < 0).sum())} words are not among the model's {len(self)}: "
                f"{_first_ten(repr(word[:40]) for word in strange)}; remove them"
            )
        return ids

    def stream(self, ids: Iterable[int]) -> Iterator[str]:
        return join_words(self.tokens[i] for i in ids)

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "tokens": " ".join(self.tokens), "preparation": self.preparation.to_dict()}


def _in_order(tokens: Iterable[str], order: Order) -> tuple[str, ...]:
    return tuple(sorted(tokens) if order == "sorted" else tokens)


def _first_ten(shown: Iterable[str]) -> str:
    shown = list(shown)
    return " ".join(shown[:10]) + (" ..." if len(shown) > 10 else "")

"""Vocabularies: text <-> ids.

A character vocabulary holds the symbols of one text, in code-point order unless told otherwise. (Python's `set` gives
another order in every process: ids made from it fit no other run's weights.) A byte vocabulary is always the 256
bytes of UTF-8: it needs no text, so nothing of the validation part can leak into it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np

from lstm_ref.core.errors import CheckpointError, DataError

MAX_TOKENS = 1 << 20
Kind = Literal["char", "byte"]
BYTES = tuple(chr(byte) for byte in range(256))


@dataclass(frozen=True)
class Vocabulary:
    """tokens[id] is the text of an id. kind "byte": id is the byte's value, written as the character U+00XX."""

    kind: Kind
    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.tokens) <= MAX_TOKENS:
            raise DataError(
                f"a vocabulary of {len(self.tokens)} tokens; expected 1 to {MAX_TOKENS}: is the text empty?"
            )
        if len(set(self.tokens)) != len(self.tokens) or any(len(token) != 1 for token in self.tokens):
            raise DataError(f"a {self.kind} vocabulary needs distinct single characters")
        if self.kind == "byte" and self.tokens != BYTES:
            raise DataError("a byte vocabulary is always the 256 bytes in order")

    @classmethod
    def build(
        cls, text: str, kind: Literal["char", "byte"] = "char", order: Literal["sorted", "seen"] = "sorted"
    ) -> Self:
        if kind == "byte":
            return cls("byte", BYTES)
        symbols = dict.fromkeys(text)
        return cls("char", tuple(sorted(symbols) if order == "sorted" else symbols))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _id_of_code_point(self) -> np.ndarray:
        """int64 [largest code point + 2]: the id, or -1 where there is none. The last entry stays -1."""
        code_points = [ord(token) for token in self.tokens]
        table = np.full(max(code_points) + 2, -1, np.int64)
        table[code_points] = np.arange(len(code_points))
        return table

    def encode(self, text: str, *, unknown: Literal["error", "skip"] = "error") -> np.ndarray:
        """int64 [number of tokens]. Raises DataError that names the symbols that are not in the vocabulary."""
        if self.kind == "byte":
            return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64)
        code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        table = self._id_of_code_point
        ids = table[np.minimum(code_points, len(table) - 1)]
        missing = ids < 0
        if not missing.any():
            return ids
        if unknown == "skip":
            return ids[~missing]
        symbols = sorted({chr(code_point) for code_point in code_points[missing]})
        shown = " ".join(ascii(symbol) for symbol in symbols[:10]) + (" ..." if len(symbols) > 10 else "")
        raise DataError(
            f"{int(missing.sum())} characters are not among the model's {len(self)} symbols: {shown}; remove them"
        )

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of ids. Bytes that are not UTF-8 become U+FFFD. Raises DataError for an id out of range."""
        if any(not 0 <= int(i) < len(self.tokens) for i in ids):
            raise DataError(f"ids from {min(ids)} to {max(ids)} do not fit {len(self.tokens)} tokens")
        if self.kind == "byte":
            return bytes(int(i) for i in ids).decode("utf-8", "replace")
        return "".join(self.tokens[int(i)] for i in ids)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "tokens": "".join(self.tokens) if self.kind == "char" else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Takes what `to_dict` gave, from a file that may be hostile."""
        kind, tokens = values.get("kind"), values.get("tokens")
        if kind == "byte" and tokens is None:
            return cls("byte", BYTES)
        if kind == "char" and isinstance(tokens, str):
            try:
                return cls("char", tuple(tokens))
            except DataError as error:
                raise CheckpointError(f"damaged vocabulary: {error}") from None
        raise CheckpointError(f"damaged vocabulary: kind={kind!r} with tokens of type {type(tokens).__name__}")

r"""How a text becomes words, and words become a text again.

A line is split at whitespace, and every line end is a word of its own, `<eos>`:

    "Hi you !\nBye"   <->   Hi you ! <eos> Bye

A last line without a line end has no `<eos>`, so the prime of a sample goes on where it stops. A text that holds the
word `<eos>` itself means a line end by it.

WikiText comes split, and nothing may be done to it. Other texts may be prepared first: see `Preparation`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Self

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lstm_ref.core.errors import DataError

EOS, UNK = "<eos>", "<unk>"  # the end of a line; any word that the vocabulary has not


def split_words(text: str) -> Iterator[str]:
    *lines, last = text.split("\n")
    for line in lines:
        yield from line.split()
        yield EOS
    yield from last.split()


def join_words(words: Iterable[str]) -> Iterator[str]:
    """The text of the words, a piece for each as it comes: spaces between words, a line end for `<eos>`."""
    at_line_start = True
    for word in words:
        if word == EOS:
            yield "\n"
        else:
            yield word if at_line_start else f" {word}"
        at_line_start = word == EOS


def normalize(line: str, *, lower: bool = False, strip: bool = False) -> str:
    """The word seed's `normalize_string`: "Hi,you!" -> "Hi you !". Every run of other characters than ASCII letters
    and . ! ? becomes a space, digits too; each of . ! ? becomes a word. Its comment promises `lower` and `strip`, and
    its code does neither."""
    if lower:
        line = line.lower()
    line = re.sub(r"([.!?])", r" \1", line)
    line = re.sub(r"[^a-zA-Z.!?]+", " ", line)
    return line.strip() if strip else line


@dataclass(config=ConfigDict(extra="forbid"), frozen=True, slots=True, kw_only=True)
class Preparation:
    """What is done to a text before it is split into words. A vocabulary keeps it: a prime is prepared alike.

    Parameters
    ----------
    normalize
        Keep ASCII letters and . ! ? only, as the original notebook does.
    lower
        Lower case.
    blank_lines
        Keep blank lines, each as a line end.
    """

    normalize: bool = False
    lower: bool = False
    blank_lines: bool = True

    def __call__(self, text: str) -> str:
        if self.normalize:
            text = "\n".join(normalize(line) for line in text.split("\n"))
        if self.lower:
            text = text.lower()
        if not self.blank_lines:
            text = re.sub(r"^\s*\n", "", text, flags=re.MULTILINE)
        return text

    def to_dict(self) -> dict[str, bool]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Takes what `to_dict` gave, from a file that may be hostile. Raises DataError."""
        try:
            return _ADAPTER.validate_python(values)  # type: ignore[return-value]
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise DataError(f"a preparation of words that cannot be: {where!r}: {first['msg']}") from None


AS_IT_IS = Preparation()
_ADAPTER = TypeAdapter(Preparation)

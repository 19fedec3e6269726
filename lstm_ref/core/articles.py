r"""Articles: a text in pieces that may be put into another order, and their ids as one array with offsets.

WikiText has its articles one after the other, and a title stands between two blank lines:

    ...\n \n = Robert Boulter = \n \n Robert Boulter is an English film ...

An article begins with the blank line before its title. So read, the training part of WikiText-2 has 600 articles. The
original notebook says 579, and not how it split; 629 lines look like a title where the blank lines are not asked for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lstm_ref.core.errors import DataError

# ` = Title = `, and not ` = = Section = = `; [^\S\n] is whitespace inside a line.
_BLANK_LINE_AND_TITLE = re.compile(r"^[^\S\n]*\n = (?!=).*(?<!=) = \n(?=[^\S\n]*$)", re.MULTILINE)


def split_articles(text: str) -> list[str]:
    """In order; joined, they are the text. What stands before the first title is a piece of its own, and so is a text
    without titles."""
    starts = [match.start() for match in _BLANK_LINE_AND_TITLE.finditer(text)]
    if starts[:1] != [0]:
        starts.insert(0, 0)
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


@dataclass(frozen=True, slots=True, eq=False)
class Articles:
    """Article i is ids[offsets[i]:offsets[i + 1]]. ids: int64 [n]; offsets: int64 [articles + 1], from 0 to n.

    Articles of any lengths in two flat arrays: nothing in them has to be trusted, as an array of Python objects would.
    """

    ids: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        for name in ("ids", "offsets"):
            array = np.asarray(getattr(self, name))
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise DataError(f"{name} are {array.dtype} {list(array.shape)}, expected whole numbers [n]")
            object.__setattr__(self, name, array.astype(np.int64, copy=False))
        ends = self.offsets[[0, -1]].tolist() if self.offsets.size else []
        if ends != [0, self.ids.size] or (np.diff(self.offsets) < 0).any():
            raise DataError(f"offsets go from {ends}, expected from 0 to {self.ids.size} and never back")

    @classmethod
    def of(cls, articles: Sequence[np.ndarray]) -> "Articles":
        lengths = [len(article) for article in articles]
        return cls(np.concatenate([np.empty(0, np.int64), *articles]), np.cumsum([0, *lengths]))

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, i: int) -> np.ndarray:
        i = range(len(self))[i]  # from the end if negative; IndexError beyond
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    def cut(self, border: int) -> tuple["Articles", "Articles"]:
        """The first `border` ids and the rest; an article that spans the border falls into two."""
        before = np.append(self.offsets[self.offsets < border], border)
        after = np.append(border, self.offsets[self.offsets > border]) - border
        return Articles(self.ids[:border], before), Articles(self.ids[border:], after)

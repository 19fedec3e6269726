"""ids -> windows. Every window is a pure function of its number, so nothing has to be saved to resume but a step.

Two ways to cut a text: `Windows`, all alike, as the character seed has them, and `Rows`, which leave nothing of a row
unread. Either is what a training epoch reads: windows by number, and how many there are.

The text is cut into B rows that are read side by side; a window is T steps of all rows, and the next window goes on
where the last one stopped, so state can be carried:

    text  a b c d e f g h i j k l m      B = 2 rows, T = 3 steps
    row 0 [a b c] [d e f]                targets [b c d] [e f g]    window 0, window 1
    row 1 [g h i] [j k l]                targets [h i j] [k l m]    what does not fill a window is dropped

A target is the next token of the text. In the last window the character seed takes the row's own first token instead
of its successor (`last_target="wrap"`): B wrong targets an epoch, kept for comparison.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from lstm_ref.core.errors import DataError, ShapeError

LastTarget = Literal["next", "wrap"]


@dataclass(frozen=True, slots=True)
class Window:
    """inputs, targets: int64 [T,B]. fresh: bool [B], the rows whose state is zero when the window begins, whatever the
    window before left; None: no row's."""

    inputs: np.ndarray
    targets: np.ndarray
    fresh: np.ndarray | None = None

    @property
    def tokens(self) -> int:
        return self.targets.size

    def part(self, rows: slice) -> "Window":
        """Some rows of it, contiguous."""
        inputs, targets = (np.ascontiguousarray(ids[:, rows]) for ids in (self.inputs, self.targets))
        return Window(inputs, targets, None if self.fresh is None else self.fresh[rows])


class Epoch(Protocol):
    """The windows that one pass over a text takes, in order."""

    def __len__(self) -> int: ...

    def __getitem__(self, k: int) -> Window: ...


@dataclass(frozen=True, slots=True)
class Windows:
    """The full [T,B] windows of a text, by number.

    ids: int64 [n]; batch_size: B rows; seq_length: T steps. Raises DataError if not one window fits.
    """

    ids: np.ndarray
    batch_size: int
    seq_length: int
    last_target: LastTarget = "next"

    def __post_init__(self) -> None:
        _check_ids(self.ids)
        if self.batch_size < 1 or self.seq_length < 1:
            raise DataError(f"batch_size={self.batch_size}, seq_length={self.seq_length}: expected at least 1 each")
        if len(self) == 0:
            need = self.batch_size * self.seq_length + (self.last_target == "next")
            fitting = max(0, len(self.ids) - 1) // self.seq_length
            advice = f"set batch_size to {fitting} or less" if fitting else "set a shorter seq_length"
            raise DataError(
                f"text too short: {len(self.ids)} tokens, and one window of batch_size={self.batch_size} x "
                f"seq_length={self.seq_length} needs {need}; {advice}, or take more text"
            )

    def __len__(self) -> int:
        """Windows an epoch. With true next tokens as targets the very last one needs a successor too."""
        usable = max(0, len(self.ids) - (self.last_target == "next"))
        return usable // (self.batch_size * self.seq_length)

    def __getitem__(self, k: int) -> Window:
        if not 0 <= k < len(self):
            raise IndexError(f"window {k} of {len(self)}")
        T, B, row_length = self.seq_length, self.batch_size, len(self) * self.seq_length
        first = np.arange(B) * row_length + k * T  # [B]
        inputs = self.ids[first + np.arange(T)[:, None]]  # [T,B]
        if self.last_target == "wrap" and k == len(self) - 1:
            last = self.ids[np.arange(B) * row_length]
        else:
            last = self.ids[first + T]
        return Window(inputs, np.concatenate([inputs[1:], last[None]]))

    def epoch_length(self, e: int) -> int:
        return len(self)

    def epoch(self, e: int) -> "Windows":
        """Every epoch is this one."""
        return self


@dataclass(frozen=True, slots=True)
class Rows:
    """B adjacent rows of R steps, cut at `borders` and wholly read, by number. Every target is the text's next token,
    so a row's last one is the first input of the row below:

        text  a b c d e f g h i     B = 2 rows of R = 4 steps, borders 0 3 4
        row 0 [a b c] [d]           targets [b c d] [e]
        row 1 [e f g] [h]           targets [f g h] [i]

    ids: int64 [n], n > B*R; borders: int64 [windows + 1], rising from 0 to R. article_ends: int64, rising, one past the
    last place of each article in `ids`; a row is then fresh in the window after one that read the end of an article.
    """

    ids: np.ndarray
    batch_size: int
    borders: np.ndarray
    article_ends: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.borders) - 1

    def __getitem__(self, k: int) -> Window:
        if not 0 <= k < len(self):
            raise IndexError(f"window {k} of {len(self)}")
        first = np.arange(self.batch_size) * self.borders[-1]  # [B]
        places = first + np.arange(self.borders[k], self.borders[k + 1])[:, None]  # [T,B]
        return Window(self.ids[places], self.ids[places + 1], self._fresh(first, k))

    def _fresh(self, first: np.ndarray, k: int) -> np.ndarray | None:
        if self.article_ends is None or k == 0:
            return None
        before, now = (
            np.searchsorted(self.article_ends, first + border, side="right") for border in self.borders[k - 1 : k + 1]
        )
        return now > before  # articles that ended by then


def get_batches(
    ids: np.ndarray, batch_size: int, seq_length: int, last_target: LastTarget = "next"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The character seed's generator: (inputs, targets) batch-first, int64 [B,T] each, one epoch.

    last_target: "next" is the text's next token everywhere; "wrap" is the seed's, see above.
    """
    windows = Windows(ids, batch_size, seq_length, last_target)
    for k in range(len(windows)):
        yield windows[k].inputs.T, windows[k].targets.T


def evaluation_segments(
    ids: np.ndarray, batch_size: int, seq_length: int, coverage: Literal["full", "windows"], last_target: LastTarget
) -> Iterator[Iterator[Window]]:
    """What to score, in segments that each start from the zero state.

    "windows": one segment of full windows, as the seed does; up to B*T - 1 tokens at the end go unscored.
    "full": every token but the first of the text is scored once: B rows whose last window may be shorter, then the
    fewer than B tokens that are left as a segment of one row. A text shorter than that takes fewer rows.
    """
    if coverage == "windows":
        yield _windows_of(Windows(ids, batch_size, seq_length, last_target))
        return
    _check_ids(ids)
    if len(ids) < 2:
        raise DataError(f"nothing to score: {len(ids)} tokens, and scoring needs a token and its successor")
    targets_in_all = len(ids) - 1
    rows = min(batch_size, targets_in_all)
    row_length = targets_in_all // rows
    yield _windows_of(Rows(ids, rows, equal_borders(row_length, seq_length)))
    if rest := targets_in_all - rows * row_length:
        yield _windows_of(Rows(ids[rows * row_length :], 1, equal_borders(rest, seq_length)))


def equal_borders(row_length: int, seq_length: int) -> np.ndarray:
    """Windows of `seq_length` steps, the last as short as it has to be."""
    return np.append(np.arange(0, row_length, seq_length), row_length)


def _windows_of(epoch: Epoch) -> Iterator[Window]:
    return (epoch[k] for k in range(len(epoch)))


def _check_ids(ids: np.ndarray) -> None:
    if ids.ndim != 1 or ids.dtype != np.int64:
        raise ShapeError(f"ids are {ids.dtype} {list(ids.shape)}, expected int64 [n]: use Vocabulary.encode")

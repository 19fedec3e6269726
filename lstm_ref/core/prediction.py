"""How well one word is predicted after a few others: the word seed's `prediction`, and the file that it is tested on.

A fixture holds rows of words and the word that follows each: `inp` int64 [rows,T], `out` int64 [rows]. Each row starts
from the zero state and only the word after it counts, so its mean is no text's perplexity: the first words of an
article cost most, and here every row has T words to go by.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.errors import DataError
from lstm_ref.core.language_model import LanguageModel
from lstm_ref.core.vocab import Vocabulary

ROWS_AT_ONCE = 128


@dataclass(frozen=True, slots=True, eq=False)
class Fixture:
    """inp: int64 [rows,T]; out: int64 [rows]; vocabulary_sha256: of the vocabulary of these ids, '' if not known."""

    inp: np.ndarray
    out: np.ndarray
    vocabulary_sha256: str = ""

    @classmethod
    def of_text(cls, ids: np.ndarray, rows: int | None, length: int, vocabulary: Vocabulary) -> "Fixture":
        """Rows at equal distances over all of the text, none of which overlap. ids: int64 [n]; rows: None is as many
        as there are. Words differ much in what they cost: 1,024 rows leave a mean uncertain by a tenth of a nat."""
        if rows is None:
            rows = max(1, len(ids) // (length + 1))
        if rows < 1 or length < 1 or rows * (length + 1) > len(ids):
            raise DataError(
                f"{rows} rows of {length} words and the one after need {rows * (length + 1):,} words, and the text has "
                f"{len(ids):,}: take fewer rows"
            )
        first = np.arange(rows) * len(ids) // rows
        return cls(ids[first[:, None] + np.arange(length)], ids[first + length], vocabulary.sha256)

    def save(self, path: Path) -> None:
        try:
            with path.open("wb") as file:
                np.savez(file, inp=self.inp, out=self.out, vocabulary_sha256=np.array(self.vocabulary_sha256))
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from None

    @classmethod
    def load(cls, path: Path, vocabulary: Vocabulary) -> "Fixture":
        """Raises DataError unless it is a fixture of ids of this vocabulary. Nothing in it is unpickled."""
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                inp, out = arrays["inp"], arrays["out"]
                digest = str(arrays["vocabulary_sha256"]) if "vocabulary_sha256" in arrays else ""
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, TypeError) as error:
            raise DataError(f"{path} is no fixture: {error}; expected an .npz file of inp and out") from None
        if inp.ndim != 2 or out.shape != inp.shape[:1] or not inp.size or {inp.dtype.kind, out.dtype.kind} - set("iu"):
            arrived = f"inp {inp.dtype} {list(inp.shape)}, out {out.dtype} {list(out.shape)}"
            raise DataError(f"{path} has {arrived}; expected ids [rows,T] and [rows]")
        largest = max(inp.max(), out.max())
        if digest not in ("", vocabulary.sha256) or min(inp.min(), out.min()) < 0 or largest >= len(vocabulary):
            raise DataError(
                f"{path} has ids up to {largest} of another vocabulary than the checkpoint's {len(vocabulary)} tokens: "
                f"make one with `lstm data fixture`"
            )
        return cls(inp.astype(np.int64), out.astype(np.int64), digest)


def prediction(model: LanguageModel, inp: np.ndarray) -> np.ndarray:
    """The scores of every word after each row of inp, int64 [rows,T] -> logits [rows,V], from the zero state."""
    read, last = inp[:, :-1].T, inp[:, -1:].T
    state = model.zero_state(len(inp))
    if len(read):  # `evaluate` never holds the logits of all steps, and nobody asked for them
        state = model.evaluate(Window(read, inp[:, 1:].T), state).state
    return model.logits(last, state)[0][-1]


def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """Shifted by the maximum, so that nothing overflows."""
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def nll_of_fixture(
    model: LanguageModel, fixture: Fixture, on_rows: Callable[[int], None] = lambda count: None
) -> np.ndarray:
    """float64 [rows]: the negative log-likelihood of each word that follows, in nats. on_rows: told of rows done."""
    nll = np.empty(len(fixture.out))
    for start in range(0, len(nll), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        logp = log_softmax(prediction(model, fixture.inp[part]).astype(np.float64), axis=1)
        nll[part] = -logp[np.arange(len(logp)), fixture.out[part]]
        on_rows(len(logp))
    return nll

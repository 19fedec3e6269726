"""Asks an implementation, and takes nothing on trust: what comes back is looked at before it is compared."""

import numpy as np

from parity_tests.suite.adapter import Adapter
from parity_tests.suite.files import NotWritten
from parity_tests.suite.question import Answer, Question


class BadAnswer(Exception):
    """No answer that could be compared: one line that says what came instead."""


class Unasked(Exception):
    """A question that came up in a dialogue, put to answers that were written down before."""


class Witness:
    """`ask(question)` gives the answer's arrays, by name, in the expected shapes and dtypes, or raises BadAnswer."""

    def __init__(self, adapter: Adapter):
        self.adapter = adapter
        self.asked = 0

    def ask(self, question: Question, expected: Answer) -> Answer:
        """`expected` gives the names and shapes; reals have the question's dtype, ids are integers."""
        self.asked += 1
        handed = question.astype(question.dtype)  # copies: the next question must not feel what was done to this one
        try:
            with np.errstate(all="ignore"):  # what is not finite is judged, not warned about
                answer = self.adapter.answer(handed)
        except NotWritten as error:
            raise Unasked(str(error)) from error
        except Exception as error:  # whatever somebody's code raises is a verdict about that code
            raise BadAnswer(f"{question.op} raised {type(error).__name__}: {_one_line(error)}") from error
        if handed.digest != question.digest:
            changed = [n for n, a in question.arrays.items() if not _same_bits(a, handed.arrays[n])]
            raise BadAnswer(f"{question.op} changed its input {', '.join(changed)}")
        if not isinstance(answer, dict):
            raise BadAnswer(f"{question.op} gave a {type(answer).__name__}, expected arrays by name")
        return {name: self._array(name, answer, like, handed) for name, like in expected.items()}

    def _array(self, name: str, answer: Answer, like: np.ndarray, handed: Question) -> np.ndarray:
        if name not in answer:
            raise BadAnswer(f"{handed.op} gave no {name}; it gave {', '.join(map(str, answer)) or 'nothing'}")
        try:
            array = np.asarray(answer[name])
        except Exception as error:
            raise BadAnswer(f"{name} is no array: {_one_line(error)}") from error
        if array.shape != like.shape:
            raise BadAnswer(f"{name} has shape {array.shape}, expected {like.shape}")
        if like.dtype.kind in "iu":
            if array.dtype.kind not in "iu":
                raise BadAnswer(f"{name} has dtype {array.dtype}, expected integers")
        elif array.ndim and array.dtype != handed.dtype:  # a loss or a norm may be summed and returned in float64
            raise BadAnswer(f"{name} has dtype {array.dtype}, expected {handed.dtype}")
        for other, given in handed.arrays.items():
            if np.may_share_memory(array, given) and np.shares_memory(array, given):
                raise BadAnswer(f"{name} shares memory with the input {other}: one would change with the other")
        return array


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()

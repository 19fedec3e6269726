"""From a question that shows a fault to one that shows it with as few nonzero numbers as can be.

Hypothesis makes a question small; this makes it empty. First whole arrays go to zero, then single numbers, then what is
left goes to 1, each step kept if the fault is still there.
"""

from collections.abc import Callable, Iterator

import numpy as np

from parity_tests.suite.judging import Judgement
from parity_tests.suite.question import Question

Fault = tuple[bool, Judgement | None, str]
MOST_TRIES = 600


def fewest_nonzero(question: Question, fault_of: Callable[[Question], Fault]) -> tuple[Question, Judgement | None, str]:
    """The smallest question found, with its judgement, or with the one-line fault of an answer that was none."""
    found = fault_of(question)
    tries, shrunk = 0, True
    while shrunk and tries < MOST_TRIES:
        shrunk = False
        for candidate in _smaller(question):
            tries += 1
            outcome = fault_of(candidate)
            if outcome[0]:
                question, found, shrunk = candidate, outcome, True
                break
            if tries >= MOST_TRIES:
                break
    return question, found[1], found[2]


def _smaller(question: Question) -> Iterator[Question]:
    reals = {name: array for name, array in question.arrays.items() if array.dtype.kind == "f" and name != "lr"}
    for name, array in reals.items():
        if np.count_nonzero(array) > 1:
            yield question.with_arrays(**{name: np.zeros_like(array)})
    for name, array in reals.items():
        for at in np.flatnonzero(array):
            yield question.with_arrays(**{name: _set(array, at, 0)})
    for name, array in reals.items():
        for at in np.flatnonzero((array != 0) & (array != 1)):
            yield question.with_arrays(**{name: _set(array, at, 1)})


def _set(array: np.ndarray, at: np.intp, value: float) -> np.ndarray:
    changed = array.copy()
    changed.reshape(-1)[at] = value
    return changed


def nonzero(question: Question) -> int:
    """How many real numbers of the question are not zero."""
    return sum(int(np.count_nonzero(a)) for n, a in question.arrays.items() if a.dtype.kind == "f" and n != "lr")

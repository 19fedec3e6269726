"""From a question that shows a fault to one that shows it with as few nonzero numbers as can be.

Hypothesis makes a question small; this makes it empty. First whole arrays go to zero, then single numbers, then what is
left goes to 1, each step kept if the fault is still there.
"""

import functools
import time
from collections.abc import Callable, Iterator

import numpy as np

from parity_tests.suite.judging import Judgement
from parity_tests.suite.question import Question

Fault = tuple[bool, Judgement | None, str]
Change = Callable[[Question], Question | None]
MOST_SECONDS = 5.0


def fewest_nonzero(question: Question, fault_of: Callable[[Question], Fault]) -> tuple[Question, Judgement | None, str]:
    """The smallest question found, with its judgement, or with the one-line fault of an answer that was none."""
    found, until, smaller = fault_of(question), time.perf_counter() + MOST_SECONDS, True
    while smaller:
        smaller = False
        for change in _changes(question):
            candidate = change(question)
            if candidate is None:  # an earlier change has done it
                continue
            if time.perf_counter() > until:
                return question, found[1], found[2]
            outcome = fault_of(candidate)
            if outcome[0]:
                question, found, smaller = candidate, outcome, True
    return question, found[1], found[2]


def _changes(question: Question) -> Iterator[Change]:
    reals = {name: array for name, array in question.arrays.items() if array.dtype.kind == "f" and name != "lr"}
    for name, array in reals.items():
        if np.count_nonzero(array) > 1:
            yield functools.partial(_zeroed, name)
    for name, array in reals.items():
        for at in np.flatnonzero(array):
            yield functools.partial(_with, name, at, 0)
    for name, array in reals.items():
        for at in np.flatnonzero((array != 0) & (array != 1)):
            yield functools.partial(_with, name, at, 1)


def _zeroed(name: str, question: Question) -> Question | None:
    return question.with_arrays(**{name: np.zeros_like(question.arrays[name])})


def _with(name: str, at: np.intp, value: float, question: Question) -> Question | None:
    """None where the number is zero already, or what it is to be."""
    if question.arrays[name].reshape(-1)[at] in (0, value):
        return None
    return question.with_arrays(**{name: _set(question.arrays[name], at, value)})


def _set(array: np.ndarray, at: np.intp, value: float) -> np.ndarray:
    changed = array.copy()
    changed.reshape(-1)[at] = value
    return changed

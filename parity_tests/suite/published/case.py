"""One published test re-created as data: what is asked, what must come back, and what that suite calls equal.

Arrays are float64 and hold the numbers of the suite's own dtype (0.1 in float32 is 0.10000000149011612), so an
implementation in float64 meets the same inputs. `expected` holds only the outputs at which the suite looks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parity_tests.suite.question import Answer, Question

Accepts = Callable[[Answer, Answer], bool]  # (expected, got)


@dataclass(frozen=True)
class PublishedCase:
    """`windows` > 1: the question is asked again with the answer's h_n, c_n as h0, c0, and the last answer counts.
    Cases of one `seed` are one run of the suite; None where nothing is drawn."""

    name: str
    question: Question
    expected: Answer
    compare: Accepts
    windows: int = 1
    seed: int | None = None

    def ask(self, answer: Callable[[Question], Answer]) -> Answer:
        """What an implementation says, whatever it raises."""
        question = self.question
        for _ in range(self.windows):
            got = answer(question)
            if self.windows > 1:
                question = question.with_arrays(h0=got["h_n"], c0=got["c_n"])
        return got

    def accepts(self, got: Answer) -> bool:
        """False where an output is missing or has another shape, else the suite's own comparison."""
        if any(name not in got or got[name].shape != array.shape for name, array in self.expected.items()):
            return False
        return self.compare(self.expected, got)


@dataclass(frozen=True)
class PublishedSuite:
    """`tolerance` and `note` are sentences for the reader; `source` says where the figures are from."""

    name: str
    title: str
    source: str
    tolerance: str
    note: str
    cases: tuple[PublishedCase, ...]


def within(rtol: float, atol: float) -> Accepts:
    """|got - expected| <= atol + rtol |expected| for every number, as NumPy's and PyTorch's allclose. NaN fails."""

    def compare(expected: Answer, got: Answer) -> bool:
        return all(
            bool(np.all(np.abs(got[name] - array) <= atol + rtol * np.abs(array))) for name, array in expected.items()
        )

    return compare


def within_ulp(ulp: int, dtype: type[np.floating]) -> Accepts:
    """At most `ulp` representable numbers of `dtype` between the rounded answer and the expected one. NaN fails."""

    def place(array: np.ndarray) -> np.ndarray:
        """Neighbouring numbers of the dtype have neighbouring places; -0 and 0 share one."""
        rounded = array.astype(dtype)
        bits = np.abs(rounded).view(f"int{8 * rounded.itemsize}").astype(np.int64)
        return np.where(rounded < 0, -bits, bits)

    def compare(expected: Answer, got: Answer) -> bool:
        if any(bool(np.any(np.isnan(got[name]))) for name in expected):
            return False
        with np.errstate(over="ignore"):  # what overflows the dtype is infinite, and far
            return all(bool(np.all(np.abs(place(got[n]) - place(a)) <= ulp)) for n, a in expected.items())

    return compare


def single(value: float) -> float:
    """The float32 number next to `value`."""
    return float(np.float32(value))


def forward(x: np.ndarray, H: int, **arrays: np.ndarray) -> Question:
    """x [T,B,I]; `arrays` by PyTorch's names. Biases and states that are not given are zero; weight_ih_l0_reverse
    makes a second direction."""
    suffixes = [name.removeprefix("weight_ih") for name in arrays if name.startswith("weight_ih")]
    B = x.shape[1]
    absent = {name: np.zeros(4 * H) for s in suffixes for name in (f"bias_ih{s}", f"bias_hh{s}") if name not in arrays}
    states = {name: arrays.pop(name, np.zeros((len(suffixes), B, H))) for name in ("h0", "c0")}
    return Question("forward", {**arrays, **absent, "x": x, **states})

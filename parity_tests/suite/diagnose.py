"""What is wrong with it: the answers to fixed questions, compared with those of every known fault and every layout.

A fault that explains all answers, also those that are right, is the diagnosis. Where none does, the report's first
deviation has to do.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from parity_tests.suite.adapter import Adapter
from parity_tests.suite.battery import battery
from parity_tests.suite.judging import expected_of
from parity_tests.suite.question import Answer, Question, layer_names
from parity_tests.suite.referee import Referee
from parity_tests.suite.rounding import ratios, truth
from parity_tests.suite.witness import BadAnswer, Witness

TIMES = 8.0  # two implementations, each with rounding of its own, in an order of its own


class KnownFault(Protocol):
    """A mutant of the bank."""

    name: str
    line: str
    story: str
    case: str
    likely: bool

    def make(self) -> Adapter: ...


@dataclass(frozen=True)
class Candidate:
    """A fault and how many questions it explains. `telling`: how many of these a right LSTM answers otherwise."""

    name: str
    text: str
    explained: int
    telling: int
    asked: int
    likely: bool = False

    @property
    def complete(self) -> bool:
        return self.explained == self.asked and self.telling > 0

    def __str__(self) -> str:
        share = "every answer" if self.complete else f"{self.explained} of {self.asked} answers"
        return f"{self.name}: {self.text} (explains {share})"


def diagnose(adapter: Adapter, faults: Iterable[KnownFault], most: int = 5) -> list[Candidate]:
    """The candidates that explain most, best first; none for an implementation without a fault."""
    answers = [(q, _ask(adapter, q)) for q in battery(adapter.capabilities)]
    if not any(answer is not None and not _equal(q, answer, truth(q).exact) for q, answer in answers):
        return []
    found = [_candidate(fault, answers) for fault in faults]
    found += [_layout_candidate(name, text, reading, answers) for name, text, reading in readings()]
    found = [candidate for candidate in found if candidate is not None and candidate.telling]
    found.sort(key=lambda c: (not c.complete, -c.explained, -c.telling, not c.likely, len(c.text)))
    return found[:most]


def _ask(adapter: Adapter, question: Question) -> Answer | None:
    """None for an answer that could not be compared."""
    try:
        return Witness(adapter).ask(question, expected_of(question, adapter.capabilities))
    except BadAnswer:
        return None


def _equal(question: Question, answer: Answer, other: Answer) -> bool:
    """Within rounding, by the bounds of the question's truth."""
    bounds = truth(question).bounds(str(question.dtype))
    for name, array in answer.items():
        with np.errstate(all="ignore"):
            error = np.where(array == other[name], 0.0, np.abs(array - np.asarray(other[name], np.float64)))
            both_nan = np.isnan(array) & np.isnan(other[name]) if array.dtype.kind == "f" else False
            scale = np.maximum(bounds[name], 4 * np.finfo(question.dtype).eps * np.abs(other[name]))
        if array.dtype.kind in "iu":
            if not np.array_equal(array, other[name]):
                return False
        elif np.any(np.where(both_nan, 0.0, ratios(error, TIMES * scale)) > 1):
            return False
    return True


Answers = list[tuple[Question, Answer | None]]


def _candidate(fault: KnownFault, answers: Answers) -> Candidate | None:
    wrong = fault.make()
    explained = telling = 0
    for question, answer in answers:
        theirs = _fault_answer(wrong, question)
        same = theirs is None if answer is None else theirs is not None and _equal(question, answer, theirs)
        explained += same
        telling += same and answer is not None and not _equal(question, answer, truth(question).exact)
    case = f" [{fault.case}]" if fault.case else ""
    return Candidate(fault.name, f"{fault.line}{case}", explained, telling, len(answers), fault.likely)


def _fault_answer(wrong: Adapter, question: Question) -> Answer | None:
    try:
        with np.errstate(all="ignore"):
            return wrong.answer(question.astype(question.dtype))
    except (ArithmeticError, ValueError, IndexError, KeyError):  # a fault may well raise on what does not suit it
        return None


# ---- layouts: the same cell, fed otherwise ------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """How an implementation may take the weights of a layer other than in PyTorch's layout."""

    order: str = "ifgo"  # the gates that it takes the four blocks for
    biases: str = "both"  # both, ih, hh, none, twice
    swapped: bool = False  # (c, h) for (h, c)
    transposed: bool = False  # W_hh within each gate

    def apply(self, question: Question) -> Question:
        changed: dict[str, np.ndarray] = {}
        for suffix in layer_names(question.arrays):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                blocks = dict(zip(self.order, np.split(question.arrays[name + suffix], 4)))
                parts = [blocks[gate] for gate in "ifgo"]
                if name == "weight_hh" and self.transposed:
                    parts = [part.T for part in parts]
                changed[name + suffix] = np.concatenate(parts) * self._share(name)
        if self.swapped:
            changed |= {"h0": question.arrays["c0"], "c0": question.arrays["h0"]}
        return question.with_arrays(**changed)

    def _share(self, name: str) -> int:
        if not name.startswith("bias"):
            return 1
        return {"both": 1, "none": 0, "twice": 2}.get(self.biases, int(name == f"bias_{self.biases}"))

    def fits(self, question: Question) -> bool:
        square = all(a.shape[0] == 4 * a.shape[1] for n, a in question.arrays.items() if n.startswith("weight_hh"))
        same = question.arrays["h0"].shape == question.arrays["c0"].shape
        return (square or not self.transposed) and (same or not self.swapped)


def readings() -> list[tuple[str, str, Reading]]:
    """Every gate order with every use of the biases, then swapped states and a transposed W_hh with each order."""
    orders, found = ["".join(p) for p in itertools.permutations("ifgo")], []
    words = {
        "both": "",
        "ih": "bias_hh is dropped",
        "hh": "bias_ih is dropped",
        "none": "both biases are dropped",
        "twice": "both biases count twice",
    }
    for order, biases, swapped, transposed in itertools.product(orders, words, (False, True), (False, True)):
        reading = Reading(order, biases, swapped, transposed)
        if reading == Reading() or (swapped and transposed):
            continue
        parts = [f"the gates are read {','.join(order)}"] * (order != "ifgo") + [words[biases]] * (biases != "both")
        parts += ["h0 and c0 are swapped"] * swapped + ["W_hh is transposed"] * transposed
        found.append((f"layout-{order}-{biases}", "equal to ours if " + " and ".join(parts), reading))
    return found


def _layout_candidate(name: str, text: str, reading: Reading, answers: Answers) -> Candidate | None:
    """Forward only: gradients come back in the layout that was misread."""
    explained = telling = asked = 0
    for question, answer in answers:
        if question.op != "forward" or not reading.fits(question):
            continue
        asked += 1
        if answer is not None and _equal(question, answer, Referee().answer(reading.apply(question))):
            explained += 1
            telling += not _equal(question, answer, truth(question).exact)
        elif asked == 1:
            return None  # the first question is plain: what misses it is no reading of the weights
    return Candidate(name, text, explained, telling, asked)

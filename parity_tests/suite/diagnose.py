"""What is wrong with it: the answers to fixed questions, compared with those of every known fault and every layout.

A fault that explains all answers, also those that are right, is the diagnosis. Where none does, the report's first
deviation has to do.
"""

import functools
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
    operations: tuple[str, ...]  # in which it shows

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


class Diagnostician:
    """Knows the faults, and remembers how each answers."""

    def __init__(self, faults: Iterable[KnownFault]):
        self.faults = tuple(faults)
        self._answers: dict[tuple[str, str], Answer | None] = {}

    def diagnose(self, adapter: Adapter, most: int = 5) -> list[Candidate]:
        """The candidates that explain most, best first; none for an implementation without a fault."""
        evidence = [Evidence(question, _ask(adapter, question)) for question in battery(adapter.capabilities)]
        if all(item.right for item in evidence):
            return []
        found = [c for fault in self.faults if (c := self._candidate(fault, evidence, stop_early=True))]
        if not all(item.right for item in evidence if item.question.op == "forward"):
            found += [c for reading in readings() if (c := _layout_candidate(*reading, evidence))]
        if not any(candidate.complete for candidate in found):  # then what explains most
            found += [c for fault in self.faults if (c := self._candidate(fault, evidence, stop_early=False))]
        found = [candidate for candidate in found if candidate.telling]
        found.sort(key=lambda c: (not c.complete, -c.explained, -c.telling, not c.likely, len(c.text)))
        return found[:most]

    def _candidate(self, fault: KnownFault, evidence: "list[Evidence]", stop_early: bool) -> Candidate | None:
        """None if `stop_early` and an answer is not the fault's."""
        explained = telling = 0
        for item in sorted(evidence, key=lambda item: item.right):  # what is wrong tells soonest
            if item.question.op in fault.operations:
                theirs = self._answer(fault, item.question)
                same = _equal(item, theirs) if theirs is not None else item.answer is None
            else:
                same = item.right
            if stop_early and not same:
                return None
            explained += same
            telling += same and not item.right
        case = f" [{fault.case}]" if fault.case else ""
        return Candidate(fault.name, f"{fault.line}{case}", explained, telling, len(evidence), fault.likely)

    def _answer(self, fault: KnownFault, question: Question) -> Answer | None:
        key = (fault.name, question.digest)
        if key not in self._answers:
            self._answers[key] = _ask(fault.make(), question)
        return self._answers[key]


@dataclass(frozen=True)
class Evidence:
    """A question and what came back: None for an answer that could not be compared."""

    question: Question
    answer: Answer | None

    @functools.cached_property
    def bounds(self) -> Answer:
        return truth(self.question).bounds(str(self.question.dtype))

    @functools.cached_property
    def right(self) -> bool:
        return _equal(self, truth(self.question).exact)


def _ask(adapter: Adapter, question: Question) -> Answer | None:
    """None for an answer that could not be compared."""
    try:
        return Witness(adapter).ask(question, expected_of(question, adapter.capabilities))
    except BadAnswer:
        return None


def _equal(item: Evidence, other: Answer) -> bool:
    """Within rounding, by the bounds of the question's truth."""
    if item.answer is None:
        return False
    bounds, eps = item.bounds, np.finfo(item.question.dtype).eps
    for name, array in item.answer.items():
        if array.dtype.kind in "iu":
            if not np.array_equal(array, other[name]):
                return False
            continue
        with np.errstate(all="ignore"):
            alike = (array == other[name]) | (np.isnan(array) & np.isnan(other[name]))
            error = np.where(alike, 0.0, np.abs(array - np.asarray(other[name], np.float64)))
            bound = TIMES * np.maximum(bounds[name], 4 * eps * np.abs(other[name]))
        if np.any(ratios(error, bound) > 1):
            return False
    return True


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


@functools.lru_cache(maxsize=4096)
def _read(reading: Reading, question: Question) -> Answer:
    return Referee().answer(reading.apply(question))


def _layout_candidate(name: str, text: str, reading: Reading, evidence: list[Evidence]) -> Candidate | None:
    """Forward only: gradients come back in the layout that was misread. None if the first answer is not explained: it
    is of a plain layer, which every reading fits."""
    explained = telling = asked = 0
    for item in evidence:
        if item.question.op != "forward" or not reading.fits(item.question):
            continue
        asked += 1
        if _equal(item, _read(reading, item.question)):
            explained += 1
            telling += not item.right
        elif asked == 1:
            return None
    return Candidate(name, text, explained, telling, asked)

"""Who takes part in a scoring: a right LSTM, and the bank's wrong ones that a forward pass can show.

Three groups of wrong ones: the 23 wrong orders of the four gates; seventeen others that need no more than one layer and
one direction; and the rest, for most of which it takes two layers or directions, rows of different lengths, peepholes,
I = H, or large numbers. The rest grows with the bank.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from parity_tests.suite.question import Answer, Question

RIGHT, ORDER, OTHER, REST = "right", "gate order", "other", "rest"

SEVENTEEN = (
    "one-bias-for-all-gates",
    "bias-counted-twice",
    "bias-hh-dropped",
    "bias-ih-dropped",
    "forget-bias-added-again",
    "sigmoid-and-tanh-swapped",
    "candidate-by-sigmoid",
    "hard-sigmoid",
    "weight-hh-transposed",
    "recurrent-matrix-ignored",
    "coupled-forget-gate",
    "tanh-of-c-left-out",
    "h0-ignored",
    "c0-ignored",
    "h0-and-c0-swapped",
    "h-not-carried",
    "c-not-carried",
)


@dataclass(frozen=True)
class Implementation:
    """An LSTM of one of the groups. It answers forward questions; `forward` is the same without a Question."""

    name: str
    group: str
    answer: Callable[[Question], Answer]

    def forward(
        self, params: Mapping[str, np.ndarray], x: np.ndarray, h0: np.ndarray, c0: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """params: weight_ih_l0 [4H,I], weight_hh_l0 [4H,H], bias_ih_l0, bias_hh_l0 [4H]; x [T,B,I]; h0, c0 [1,B,H].
        Returns y [T,B,H], h_n, c_n [1,B,H]."""
        got = self.answer(Question("forward", {**params, "x": x, "h0": h0, "c0": c0}))
        return got["y"], got["h_n"], got["c_n"]


def participants() -> list[Implementation]:
    """The right one first, then the bank in its order."""
    from parity_tests.suite.mutants.bank import BANK  # here: the bank is not needed to read a published suite
    from parity_tests.suite.subject import Subject

    makers: dict[str, tuple[str, Callable[[], Subject]]] = {}
    for mutant in BANK:
        if "forward" in mutant.operations:
            group = ORDER if mutant.family == "gate-order" else OTHER if mutant.name in SEVENTEEN else REST
            makers[mutant.name] = group, mutant.make
    if absent := set(SEVENTEEN) - set(makers):
        raise LookupError(f"the bank has no {', '.join(sorted(absent))}: SEVENTEEN names wrong LSTMs by their names")
    wrong = [Implementation(name, group, _answers(make)) for name, (group, make) in makers.items()]
    return [Implementation("right", RIGHT, _answers(Subject)), *wrong]


def _answers(make: Callable) -> Callable[[Question], Answer]:
    """A new LSTM for each question. Where the question names the activations, as WebNN's do, the LSTM uses these, as
    somebody's would that has them as an argument: what is wrong in its own sigmoid or tanh is then not run."""
    from parity_tests.suite.subject_cell import SIGMOID, TANH, Activation

    relu = Activation(lambda a: np.maximum(a, 0), lambda value: (value > 0) * 1.0)
    known = {"sigmoid": SIGMOID, "tanh": TANH, "relu": relu}

    def answer(question: Question) -> Answer:
        lstm = make()
        if named := question.settings.get("activations"):
            lstm.gate_activation, lstm.candidate_activation, lstm.cell_activation = (known[name] for name in named)
        return lstm.answer(question)

    return answer

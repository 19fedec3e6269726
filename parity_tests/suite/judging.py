"""From an answer and the truth to a judgement: how far off, how far that may be, and where."""

from dataclasses import dataclass, replace

import numpy as np

from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import ON_NUMBERS, Answer, Question
from parity_tests.suite.rounding import Truth, ratios, truth
from parity_tests.suite.witness import Witness

FORMATS = ("float64", "float32", "TF32", "fp16", "bf16")
GATES = "ifgo"


@dataclass(frozen=True)
class Judgement:
    """Of one array in one question: the entry that is furthest beyond its bound. ratio = error / bound; <= 1 passes."""

    array: str
    where: str
    got: float
    expected: float
    error: float
    bound: float
    ratio: float
    ulps: float  # the error in units in the last place of the array's largest entry
    coarse_ratio: tuple[tuple[str, float], ...] = ()  # the same for coarser formats, where this one is exceeded
    unit: float = 0.0  # the unit roundoff that would leave errors of this size, where the bound is exceeded

    def explained_by(self, name: str, share: float = 1.0) -> bool:
        """Whether the error is within the bound of that format, or within a share of it."""
        return dict(self.coarse_ratio).get(name, self.ratio) <= share


def expected_of(question: Question, claims: Capabilities) -> Answer:
    """The exact answer, less what the implementation does not claim to have: gradients of biases."""
    exact = truth(question).exact
    if question.op != "backward" or claims.biases == 2:
        return exact
    missing = ("dbias_hh",) if claims.biases == 1 else ("dbias_",)
    return {name: array for name, array in exact.items() if not name.startswith(missing)}


def compare(witness: Witness, question: Question) -> list[Judgement]:
    """Every array of the answer against the truth."""
    expected = expected_of(question, witness.adapter.capabilities)
    answer = witness.ask(question, expected)
    return [judge(name, answer[name], expected[name], truth(question)) for name in expected]


def judge(name: str, got: np.ndarray, expected: np.ndarray, exact: Truth, times: float = 1.0) -> Judgement:
    """`times`: the bound is that many times the one for a single answer; 2 where two answers are compared."""
    own = str(exact.question.dtype)
    if expected.dtype.kind in "iu":
        bound = np.zeros(expected.shape)
    else:
        bound = times * exact.bounds(own)[name]
    first = _worst(name, got, expected, bound)
    if first.ratio <= 1 or expected.dtype.kind in "iu":
        return first
    last = FORMATS.index("float32") if exact.question.op in ON_NUMBERS else len(FORMATS)
    coarser = FORMATS[FORMATS.index(own) + 1 : last + 1]  # nobody takes a loss or an update in bf16
    found = []
    for unit_name in coarser:
        ratio = _worst(name, got, expected, times * exact.bounds(unit_name)[name]).ratio
        on_grid = np.array_equal(got, got.astype(np.float16).astype(got.dtype)) if unit_name == "fp16" else True
        found.append((unit_name, ratio if on_grid else np.inf))
    error = np.abs(got.astype(np.float64) - expected)
    return replace(first, coarse_ratio=tuple(found), unit=exact.effective_unit(name, error))


def _worst(name: str, got: np.ndarray, expected: np.ndarray, bound: np.ndarray) -> Judgement:
    with np.errstate(all="ignore"):
        error = np.where(got == expected, 0.0, np.abs(got.astype(np.float64) - expected))
    ratio = ratios(error, bound)
    if not ratio.size:
        return Judgement(name, "", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    beyond = np.flatnonzero(ratio > 1)
    # where it first goes wrong is where to look; later entries have inherited it
    at = int(beyond[0]) if beyond.size and name in ("y", "loss", "p") else int(np.argmax(ratio))
    largest = np.fmax(np.abs(expected), np.abs(got)).max()
    ulp = float(np.spacing(largest.astype(got.dtype if got.dtype.kind == "f" else np.float64)))
    entry = [float(array.reshape(-1)[at]) for array in (got, expected, error, bound, ratio)]
    return Judgement(name, place(name, np.unravel_index(at, expected.shape), expected.shape), *entry, entry[2] / ulp)


def place(name: str, index: tuple, shape: tuple[int, ...]) -> str:
    """An index in words: `gate f, unit 1, column 2`."""
    index = tuple(int(i) for i in index)
    name = name.removeprefix("d") if name.startswith(("dweight", "dbias", "dlstm")) else name
    if "weight_ih" in name or "weight_hh" in name or "bias_ih" in name or "bias_hh" in name:
        gate, unit = divmod(index[0], shape[0] // 4)
        return f"gate {GATES[gate]}, unit {unit}" + (f", column {index[1]}" if len(index) == 2 else "")
    words = {
        "y": ("step", "row", "unit"),
        "x": ("step", "row", "input"),
        "dx": ("step", "row", "input"),
        "logits": ("token", "id"),
        "dlogits": ("token", "id"),
        "p": ("update", "parameter"),
        "inputs": ("window", "step", "row"),
        "targets": ("window", "step", "row"),
        "loss": ("window",),
    }.get(name, ("layer and direction", "row", "unit") if len(index) == 3 else ())
    if len(words) != len(index):
        return f"[{', '.join(map(str, index))}]" if index else ""
    return ", ".join(f"{word} {i}" for word, i in zip(words, index))

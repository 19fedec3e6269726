"""A question that shows a fault, as a stand-alone Python script of at most 15 lines: NumPy and the code under test."""

import numpy as np

from parity_tests.suite.judging import Judgement
from parity_tests.suite.question import ON_LAYERS, ON_MODELS, Question

MOST_LINES = 15


def script(question: Question, worst: Judgement | None, target: str = "my_lstm") -> str:
    """`lstm` in the script is the object or function under test, imported from `target`."""
    lines = ["import numpy as np", f"from {target} import lstm  # yours", ""]
    weights = question.weights() if question.op in (*ON_LAYERS, *ON_MODELS) else {}
    groups = {"params": weights, "given": {n: a for n, a in question.arrays.items() if n not in weights}}
    for group, arrays in groups.items():
        if arrays:
            shapes = ", ".join(f"{name!r}: {_zeros(array)}" for name, array in arrays.items())
            lines.append(f"{group} = {{{shapes}}}")
    for group, arrays in groups.items():
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                lines += [f"{group}[{name!r}]{_index(array, at)} = {array.reshape(-1)[at]!r}" for at in _nonzero(array)]
    arguments = ["params"] * bool(weights) + ["**given"] + [f"{k}={v!r}" for k, v in question.settings.items()]
    if question.op == "clip":
        arguments[0] = "given"
    lines.append(f"answer = lstm.{question.op}({', '.join(arguments)})")
    if worst is None:
        lines.append("print(answer)")
    else:
        lines.append(f"print(answer)  # {worst.array}, {worst.where}: expected {worst.expected!r}, got {worst.got!r}")
    return "\n".join(_short(line) for line in lines)


def _zeros(array: np.ndarray) -> str:
    if array.dtype.kind != "f":
        return f"np.array({array.tolist()}, {array.dtype.name!r})"
    dtype = "" if array.dtype == np.float64 else f", {array.dtype.name!r}"
    return f"np.zeros({array.shape}{dtype})"


def _nonzero(array: np.ndarray) -> list[int]:
    return [int(at) for at in np.flatnonzero(array)]


def _index(array: np.ndarray, at: int) -> str:
    return f"[{', '.join(str(int(i)) for i in np.unravel_index(at, array.shape))}]" if array.ndim else "[...]"


def _short(line: str) -> str:
    return line.replace("np.float64(", "(").replace("np.float32(", "(")

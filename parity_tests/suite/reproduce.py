"""A question that shows a fault, as a stand-alone Python script of at most 15 lines: NumPy and the code under test."""

import numpy as np

from parity_tests.suite.judging import Judgement
from parity_tests.suite.question import ON_LAYERS, ON_MODELS, Question


def script(question: Question, worst: Judgement | None, target: str = "") -> str:
    """target: MODULE:OBJECT or FILE.py:OBJECT of the code under test, if that is how it came."""
    place, _, name = target.partition(":")
    module = place.removesuffix(".py").replace("/", ".")
    renamed = name if name == "lstm" else f"{name} as lstm"
    imported = f"from {module} import {renamed}" if name.isidentifier() else "from mine import lstm  # yours"
    lines = ["import numpy as np", imported, ""]
    weights = question.weights() if question.op in (*ON_LAYERS, *ON_MODELS) else {}
    groups = {"params": weights, "given": {n: a for n, a in question.arrays.items() if n not in weights}}
    for group, arrays in groups.items():
        if arrays:
            shapes = ", ".join(f"{name!r}: {_zeros(array)}" for name, array in arrays.items())
            lines.append(f"{group} = {{{shapes}}}")
    for group, arrays in groups.items():
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                lines += [
                    f"{group}[{name!r}]{_index(array, at)} = {array.reshape(-1)[at].item()!r}" for at in _set(array)
                ]
    arguments = ["params"] * bool(weights) + ["**given"] + [f"{k}={v!r}" for k, v in question.settings.items()]
    if question.op == "clip":
        arguments[0] = "given"
    lines.append(f"answer = getattr(lstm, {question.op!r}, lstm)({', '.join(arguments)})")
    if worst is None:
        return "\n".join([*lines, "print(answer)"])
    place = f"{worst.array}, {worst.where}" if worst.where else worst.array
    return "\n".join([*lines, f"print(answer)  # {place}: expected {worst.expected!r}, got {worst.got!r}"])


def _zeros(array: np.ndarray) -> str:
    if array.dtype.kind != "f":
        return f"np.array({array.tolist()}, {array.dtype.name!r})"
    dtype = "" if array.dtype == np.float64 else f", {array.dtype.name!r}"
    return f"np.zeros({array.shape}{dtype})"


def _set(array: np.ndarray) -> list[int]:
    """Where it is not zero, flat."""
    return [int(at) for at in np.flatnonzero(array)]


def _index(array: np.ndarray, at: int) -> str:
    return f"[{', '.join(str(int(i)) for i in np.unravel_index(at, array.shape))}]" if array.ndim else "[...]"

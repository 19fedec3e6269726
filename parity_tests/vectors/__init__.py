"""Golden vectors: tiny questions with answers computed in multi-precision, as files that need nothing of ours to read.

`load()` reads them with NumPy and JSON alone. How to read them from other languages: README.md in this folder. How they
are made: build.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.suite.question import Answer, Question

HERE = Path(__file__).parent


@dataclass(frozen=True)
class GoldenCase:
    """A question and its one right answer."""

    name: str
    purpose: str  # what the case is there to see; `by_hand` has its calculation below the first line
    question: Question  # real arrays are float64
    answer: Answer  # each number the float64 nearest to the truth
    digits: Mapping[str, tuple[str, ...]]  # the truth of each real array of the answer, to thirty digits, in C order


def load(folder: Path = HERE) -> list[GoldenCase]:
    """All cases, read anew at each call: the arrays are the caller's own."""
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))["cases"]
    with np.load(folder / "cases.npz", allow_pickle=False) as arrays:
        return [_case(case, arrays) for case in cases]


def _case(case: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> GoldenCase:
    name = case["name"]
    question = {array: arrays[f"{name}/question/{array}"] for array in case["arrays"]}
    answer = {array: arrays[f"{name}/answer/{array}"] for array in case["answer"]}
    digits = {array: tuple(parts["digits"]) for array, parts in case["answer"].items() if "digits" in parts}
    purpose = "\n".join([case["purpose"], *case.get("calculation", [])])
    return GoldenCase(name, purpose, Question(case["op"], question, case["settings"]), answer, digits)


def manifest(folder: Path = HERE) -> dict[str, Any]:
    """version; files: path -> sha256 and bytes; cases: name -> op, purpose, exact_in, onnx, kills."""
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))

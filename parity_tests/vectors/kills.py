"""The manifest: how it is written, and which wrong LSTMs each case tells from a right one.

    python -m parity_tests.vectors.kills      # measures that with the mutant bank, and records it

A mutant is told apart where the comparison of the README says so: in float64, an error of more than 1.3e-14 of the
array's largest number.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.suite.mutants.bank import BANK
from parity_tests.suite.question import Answer
from parity_tests.vectors import HERE, GoldenCase, load, manifest

TOLERANCE = 1.3e-14


def is_right(got: Answer, right: Answer) -> bool:
    """The README's comparison, of each array."""
    return all(
        got[name].shape == array.shape and np.all(np.abs(got[name] - array) <= TOLERANCE * np.abs(array).max())
        for name, array in right.items()
    )


def measure(cases: Sequence[GoldenCase]) -> dict[str, list[str]]:
    """case -> the mutants that it tells from a right LSTM."""
    kills: dict[str, list[str]] = {}
    with np.errstate(all="ignore"):
        for case in cases:
            asked = [mutant for mutant in BANK if case.question.op in mutant.operations]
            wrong = [m.name for m in asked if not is_right(m.make().answer(case.question), case.answer)]
            kills[case.name] = sorted(wrong)
    return kills


def manifest_text(content: Mapping[str, Any]) -> str:
    """JSON with one case and one file a line."""
    parts = []
    for key in ("cases", "files"):
        lines = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in content[key].items())
        parts.append(f'"{key}": {{\n  ' + ",\n  ".join(lines) + "}")
    return f'{{"version": {json.dumps(content["version"])},\n' + ",\n".join(parts) + "}\n"


def record_kills(kills: Mapping[str, Sequence[str]], folder: Path = HERE) -> None:
    """Replaces the kills of each case named; values and digests stay. Raises KeyError for a case that is not there."""
    content = manifest(folder)
    for name, mutants in kills.items():
        content["cases"][name]["kills"] = sorted(mutants)
    (folder / "manifest.json").write_bytes(manifest_text(content).encode())


def known_kills(folder: Path = HERE) -> dict[str, list[str]]:
    """What was recorded; nothing where there is no manifest yet."""
    if not (folder / "manifest.json").exists():
        return {}
    return {name: case["kills"] for name, case in manifest(folder)["cases"].items()}


if __name__ == "__main__":
    record_kills(measure(load()))

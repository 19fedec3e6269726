"""Computes the golden vectors and writes them: `python -m parity_tests.vectors.build [FOLDER]`.

Every answer comes from the equations in multi-precision (truth.py), and nothing is written unless every gradient agrees
with central differences to 45 digits. The same code writes the same bytes, on any machine: numbers are rounded by
integer arithmetic, archives are neither dated nor compressed. Needs mpmath and onnx.
"""

import argparse
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp

from parity_tests.suite.question import Answer, Question
from parity_tests.vectors import HERE
from parity_tests.vectors.cases import cases
from parity_tests.vectors.grid import Case
from parity_tests.vectors.kills import known_kills, manifest_text
from parity_tests.vectors.multiprecision import Exact, digits, nearest
from parity_tests.vectors.onnx_models import TOLERANCE, has_onnx, onnx_case
from parity_tests.vectors.truth import CHECKED_TO, exact_answer, worst_gradient

VERSION = "1.0"  # values of a version never change; a new case or a changed one is a new version
Solved = tuple[Case, Exact, Answer]


def solve(case: Case) -> Solved:
    truth = exact_answer(case.question)
    rounded = {name: nearest(a) if a.dtype == object else a for name, a in truth.items()}
    return case, truth, rounded


def check_gradients(solved: list[Solved]) -> None:
    """Raises ArithmeticError if a gradient of any case is not the slope of its function."""
    for case, truth, _ in solved:
        worst = worst_gradient(case.question, truth)
        if not worst <= mp.mpf(CHECKED_TO):
            raise ArithmeticError(f"{case.name}: gradients are {mp.nstr(worst, 3)} from central differences")


def files(solved: list[Solved]) -> Iterator[tuple[str, bytes]]:
    """Path -> bytes of all files but the manifest."""
    yield "cases.json", json_text(solved).encode()
    yield "cases.npz", npz(solved)
    for case, _, answer in solved:
        if has_onnx(case.question):
            model, inputs, outputs = onnx_case(case.name, case.question, answer)
            folder = f"onnx/{case.name}"
            yield f"{folder}/model.onnx", model
            yield f"{folder}/data.json", (json.dumps(TOLERANCE) + "\n").encode()
            for kind, tensors in (("input", inputs), ("output", outputs)):
                for n, tensor in enumerate(tensors):
                    yield f"{folder}/test_data_set_0/{kind}_{n}.pb", tensor


def json_text(solved: list[Solved]) -> str:
    """One array a line. Real numbers are strings, the shortest that read back as the same float64."""
    parts = []
    for case, truth, answer in solved:
        purpose, *calculation = case.purpose.splitlines()
        head = {"name": case.name, "purpose": purpose, "op": case.question.op, "settings": case.question.settings}
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        if calculation:
            lines.append('"calculation": [\n  ' + ",\n  ".join(json.dumps(line) for line in calculation) + "]")
        lines.append('"arrays": {\n  ' + _lines({n: _plain(a) for n, a in case.question.arrays.items()}) + "}")
        plain = {name: _plain(array) for name, array in answer.items()}
        for name, array in truth.items():
            if array.dtype == object:
                plain[name]["digits"] = digits(array)
        lines.append('"answer": {\n  ' + _lines(plain) + "}")
        parts.append("{" + ",\n ".join(lines) + "}")
    return f'{{"version": {json.dumps(VERSION)}, "cases": [\n' + ",\n".join(parts) + "\n]}\n"


def _lines(entries: dict[str, Any]) -> str:
    return ",\n  ".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())


def _plain(array: np.ndarray) -> dict[str, Any]:
    values = array.reshape(-1).tolist()
    if array.dtype.kind == "f":
        values = [repr(value) for value in values]
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}


def npz(solved: list[Solved]) -> bytes:
    """CASE/question/ARRAY and CASE/answer/ARRAY. Stored, because compressors differ; dated 1980, as a zip's zero."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for case, _, answer in solved:
            for kind, arrays in (("question", case.question.arrays), ("answer", answer)):
                for name, array in arrays.items():
                    entry = zipfile.ZipInfo(f"{case.name}/{kind}/{name}.npy")
                    entry.create_system = 3  # the same on every system
                    content = io.BytesIO()
                    little_endian = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
                    np.lib.format.write_array(content, little_endian.reshape(array.shape), version=(1, 0))
                    archive.writestr(entry, content.getvalue())
    return buffer.getvalue()


def exact_in(question: Question) -> list[str]:
    """The formats that hold every real number of the question."""
    reals = [a for a in question.arrays.values() if a.dtype.kind == "f"]
    formats = ["float64"]
    with np.errstate(over="ignore"):
        for name in ("float32", "float16"):
            if all(np.array_equal(a, a.astype(name)) for a in reals):
                formats.append(name)
    if "float32" in formats and all(not (a.astype("<f4").view("<u4") & 0xFFFF).any() for a in reals):
        formats.append("bfloat16")
    return formats


def manifest_of(solved: list[Solved], contents: dict[str, bytes]) -> dict[str, Any]:
    """Which mutants a case kills is measured elsewhere (kills.py), and kept."""
    kills, entries = known_kills(), {}
    for case, _, _ in solved:
        entries[case.name] = {
            "op": case.question.op,
            "purpose": case.purpose.splitlines()[0],
            "exact_in": exact_in(case.question),
            "onnx": has_onnx(case.question),
            "kills": kills.get(case.name, []),
        }
    listed = {path: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for path, data in contents.items()}
    return {"version": VERSION, "cases": entries, "files": listed}


def write(folder: Path, solved: list[Solved]) -> None:
    """All files into `folder`; what an earlier version left in its `onnx` is removed."""
    contents = dict(files(solved))
    manifest = manifest_text(manifest_of(solved, contents))
    shutil.rmtree(folder / "onnx", ignore_errors=True)
    for path, data in {**contents, "manifest.json": manifest.encode()}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m parity_tests.vectors.build", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE, help="where to write; this package by default")
    folder = parser.parse_args().folder
    solved = [solve(case) for case in cases()]
    check_gradients(solved)
    write(folder, solved)
    print(f"{len(solved)} cases, every gradient checked, written to {folder}")


if __name__ == "__main__":
    main()

"""Implementations at hand, verified: the levels they reach, and how near to their bounds they come.

    python -m parity_tests.suite.tried      # writes tried.md and tried.json beside this file

tried.json keeps error / bound of the worst example of every check. A change that makes one three times worse is looked
at, even where it stays inside its bound (parity_tests/suite_tests/test_tried.py).
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parity_tests.suite.adapter import Adapter, as_adapter, load_object
from parity_tests.suite.pipe import PipeAdapter
from parity_tests.suite.report import Report, Verdict
from parity_tests.suite.verify import verify

HERE = Path(__file__).parent
TABLE, NUMBERS = HERE / "tried.md", HERE / "tried.json"
PACKAGE = "parity_tests.suite.adapters"
OBJECTS = {
    "NumPy, plain": f"{PACKAGE}.twins:numpy_twin",
    "NumPy and Numba": f"{PACKAGE}.twins:numba_twin",
    "torch twin": f"{PACKAGE}.twins:torch_twin",
    "torch nn.LSTM, native": f"{PACKAGE}.torch_lstm:native",
    "torch nn.LSTM, oneDNN": f"{PACKAGE}.torch_lstm:onednn",
    "ONNX Runtime": f"{PACKAGE}.onnx_runtime:onnx_runtime",
    "onnx.reference": f"{PACKAGE}.onnx_reference:onnx_reference",
}


@contextmanager
def c_program() -> Iterator[PipeAdapter]:
    """examples/lstm.c, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "lstm_c"
        subprocess.run(["cc", "-O2", "-std=c11", "-o", program, HERE / "examples" / "lstm.c", "-lm"], check=True)
        with PipeAdapter([str(program)], name="C program, 99 lines, by pipe") as adapter:
            yield adapter


def ratios(report: Report) -> dict[str, float]:
    """check -> error / bound of its worst example; 0 where the answer was exact."""
    found = {}
    for result in report.results:
        if result.verdict in (Verdict.PASS, Verdict.SUSPECT, Verdict.ROUNDING):
            error, bound = result.worst_error or 0.0, result.bound or 0.0
            found[result.name] = float(f"{error / bound:.3g}") if bound else 0.0
    return found


def reports() -> Iterator[tuple[str, Report]]:
    for name, target in OBJECTS.items():
        adapter: Adapter = as_adapter(load_object(target))
        yield name, verify(adapter)
    if shutil.which("cc"):
        with c_program() as adapter:
            yield adapter.name, verify(adapter)


def markdown(found: dict[str, Report]) -> str:
    lines = [
        "# Implementations verified",
        "",
        "Made by `python -m parity_tests.suite.tried`, which also keeps the worst error of every check in tried.json.",
        "",
        "| implementation | dtypes | level | pass | rounding | suspect | fail | not claimed | nearest its bound | s |",
        f"|{'---|' * 10}",
    ]
    for name, report in found.items():
        counts, near = report.counts, ratios(report)
        worst = max(near, key=near.__getitem__)
        numbers = [counts.get(v, 0) for v in (Verdict.PASS, Verdict.ROUNDING, Verdict.SUSPECT, Verdict.FAIL)]
        cells = [name, ", ".join(report.capabilities["dtypes"]), report.level, *map(str, numbers)]
        cells += [str(counts.get(Verdict.SKIPPED, 0)), f"{near[worst]:.2g} ({worst})", f"{report.seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {version}" for name, version in next(iter(found.values())).versions.items())
    return "\n".join([*lines, "", f"{versions}."]) + "\n"


def main() -> None:
    found = dict(reports())
    TABLE.write_text(markdown(found), encoding="utf-8")
    numbers = {name: ratios(report) for name, report in found.items()}
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

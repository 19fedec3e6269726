"""Implementations at hand, verified: the levels they reach, and how near to their bounds they come.

    python -m parity_tests.suite.tried      # writes tried.md and tried.json beside this file

tried.json keeps error / bound of every question of the battery, which stay the same. A change that makes one three
times worse is looked at, even where it stays inside its bound (parity_tests/suite_tests/test_tried.py).
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parity_tests.suite.adapter import Adapter, as_adapter, load_object
from parity_tests.suite.battery import battery
from parity_tests.suite.judging import compare
from parity_tests.suite.pipe import PipeAdapter
from parity_tests.suite.report import Report, Verdict
from parity_tests.suite.verify import verify
from parity_tests.suite.witness import Witness

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


def battery_ratios(adapter: Adapter) -> dict[str, float]:
    """error / bound of each question of the battery, the worst of its arrays."""
    found = {}
    for number, question in enumerate(battery(adapter.capabilities)):
        worst = max(judgement.ratio for judgement in compare(Witness(adapter), question))
        found[f"{number} {question.op}"] = float(f"{worst:.3g}")
    return found


def nearest(report: Report) -> str:
    """The check that came nearest to its bound, and how near."""
    right = [r for r in report.results if r.verdict is Verdict.PASS and r.bound]
    worst = max(right, key=lambda r: (r.worst_error or 0) / r.bound)
    return f"{(worst.worst_error or 0) / worst.bound:.2g} ({worst.name})"


@contextmanager
def adapters() -> Iterator[dict[str, Adapter]]:
    """All that can be made here."""
    found: dict[str, Adapter] = {name: as_adapter(load_object(target)) for name, target in OBJECTS.items()}
    with c_program() as program:
        yield {**found, program.name: program}


def markdown(found: dict[str, Report]) -> str:
    lines = [
        "# Implementations verified",
        "",
        "Made by `python -m parity_tests.suite.tried`, which also keeps the errors on fixed questions in tried.json.",
        "",
        "| implementation | dtypes | level | pass | rounding | suspect | fail | not claimed | nearest its bound | s |",
        f"|{'---|' * 10}",
    ]
    for name, report in found.items():
        counts = report.counts
        numbers = [counts.get(v, 0) for v in (Verdict.PASS, Verdict.ROUNDING, Verdict.SUSPECT, Verdict.FAIL)]
        cells = [name, ", ".join(report.capabilities["dtypes"]), report.level, *map(str, numbers)]
        cells += [str(counts.get(Verdict.SKIPPED, 0)), nearest(report), f"{report.seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {version}" for name, version in next(iter(found.values())).versions.items())
    return "\n".join([*lines, "", f"{versions}."]) + "\n"


def main() -> None:
    with adapters() as found:
        reports = {name: verify(adapter) for name, adapter in found.items()}
        numbers = {name: battery_ratios(adapter) for name, adapter in found.items()}
    TABLE.write_text(markdown(reports), encoding="utf-8")
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    print(TABLE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

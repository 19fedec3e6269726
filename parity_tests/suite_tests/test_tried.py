"""The committed table of verified implementations: what it claims of our twins is tried out here."""

import json
import re

import pytest

from parity_tests.suite.adapter import as_adapter, load_object
from parity_tests.suite.tried import NUMBERS, OBJECTS, TABLE, c_program, ratios
from parity_tests.suite.verify import verify

WORSE = 3.0
FLOOR = 0.05  # of the bound: below it, three times worse is still nothing


def committed() -> dict[str, dict[str, float]]:
    return json.loads(NUMBERS.read_text(encoding="utf-8"))


def level_of(name: str) -> str:
    row = next(line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name} |"))
    return re.split(r"\s*\|\s*", row)[3]


@pytest.mark.parametrize("name", ["NumPy, plain", "NumPy and Numba", "torch twin"])
def test_no_check_of_a_twin_is_three_times_worse_than_it_was(name):
    report = verify(as_adapter(load_object(OBJECTS[name])), examples=20)
    assert report.ok, report.wrong
    assert report.level == level_of(name)
    before = committed()[name]
    worse = {
        check: (before.get(check), now)
        for check, now in ratios(report).items()
        if now > max(FLOOR, WORSE * before.get(check, 0.0))
    }
    assert not worse


@pytest.mark.parametrize("name", ["torch nn.LSTM, native", "torch nn.LSTM, oneDNN", "ONNX Runtime", "onnx.reference"])
def test_what_others_reach_is_what_the_table_says(name):
    pytest.importorskip("onnxruntime")
    report = verify(as_adapter(load_object(OBJECTS[name])), examples=5)
    assert report.ok, report.wrong
    assert report.level == level_of(name)


def test_the_c_program_reaches_what_the_table_says():
    with c_program() as adapter:
        report = verify(adapter, examples=5)
    assert report.ok, report.wrong
    assert report.level == level_of(adapter.name)

"""The committed table of verified implementations: what it claims is tried out here."""

import json
import re
import shutil

import pytest

from parity_tests.suite.adapter import Adapter, as_adapter, load_object
from parity_tests.suite.tried import NUMBERS, OBJECTS, TABLE, battery_ratios, c_program
from parity_tests.suite.verify import verify

WORSE = 3.0
FLOOR = 0.1  # of the bound: below it, three times worse is still nothing


def level_of(name: str) -> str:
    row = next(line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name} |"))
    return re.split(r"\s*\|\s*", row)[3]


def reaches_its_level(adapter: Adapter, name: str) -> None:
    report = verify(adapter, examples=6)
    assert report.ok, report.wrong
    assert report.level == level_of(name)


@pytest.mark.parametrize("name", OBJECTS)
def test_an_implementation_reaches_what_the_table_says_and_is_no_less_exact_than_it_was(name):
    if "ONNX" in name:
        pytest.importorskip("onnxruntime")
    adapter = as_adapter(load_object(OBJECTS[name]))
    before, now = json.loads(NUMBERS.read_text(encoding="utf-8"))[name], battery_ratios(adapter)
    assert before.keys() == now.keys()
    assert not {question: ratio for question, ratio in now.items() if ratio > max(FLOOR, WORSE * before[question])}
    reaches_its_level(adapter, name)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_c_program_reaches_what_the_table_says():
    with c_program() as adapter:
        reaches_its_level(adapter, adapter.name)

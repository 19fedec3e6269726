"""The start of a process: what is timed is what a user waits for."""

import sys

import pytest

from benchmarks import start
from benchmarks.start import NOTHING, children_cpu_seconds, commands, prove_start, turn_of
from lstm_ref.core.errors import ConformanceError


@pytest.mark.parametrize("name", [NOTHING, "import lstm_ref", "lstm --help"])
def test_what_is_timed_does_what_it_should(name: str) -> None:
    prove_start(name)


def test_a_turn_is_the_whole_process_and_its_cpu_time_is_counted_as_ours() -> None:
    before = children_cpu_seconds()
    nothing = turn_of(NOTHING)()
    between = children_cpu_seconds()
    assert turn_of("lstm --help")() > 0
    assert nothing > 0
    assert children_cpu_seconds() - between > between - before > 0


def test_a_command_that_prints_something_else_or_fails_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"silent": (("-c", "pass"), "word"), "fails": (("-c", "print('word'); raise SystemExit(3)"), "word")}
    monkeypatch.setattr(start, "COMMANDS", wrong)
    for name in wrong:
        with pytest.raises(ConformanceError, match=name):
            prove_start(name)


def test_torch_is_left_out_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "import torch" in commands()
    monkeypatch.setattr(start, "find_spec", lambda name: None)
    assert "import torch" not in commands()
    assert sys.executable

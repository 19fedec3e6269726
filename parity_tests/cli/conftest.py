"""What the tests of the commands share: `lstm` in this process, and proof that bad input leaves nothing behind."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lstm_ref.cli.main import run


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Lstm = Callable[..., Outcome]
Refused = Callable[..., str]


@pytest.fixture
def lstm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lstm:
    """`lstm` in this process, for 80 columns, with an empty folder as the current one."""
    for name in [name for name in os.environ if name.startswith("LSTM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LSTM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Outcome:
        code = run(list(arguments))
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def refused(lstm: Lstm, tmp_path: Path) -> Refused:
    """refused(2, "train", "tniy") asserts that it ends with 2, one line and no change; returns the line."""

    def call(code: int, *arguments: str) -> str:
        before = content(tmp_path)
        outcome = lstm(*arguments)
        line = the_line(outcome)
        assert (outcome.code, outcome.out) == (code, ""), line
        assert content(tmp_path) == before
        return line

    return call


def the_line(outcome: Outcome) -> str:
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    assert "bug of ours" not in lines[0]
    return lines[0]


def content(folder: Path) -> dict[str, bytes | None]:
    """Every file's bytes and every folder."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}

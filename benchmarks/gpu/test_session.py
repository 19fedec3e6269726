"""A worker may die, hang or speak nonsense: the table goes on without whoever it was, and says so."""

import json
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu.session import Findings, Session
from benchmarks.gpu.worker import BROKEN

# Measures contenders a, b, c of each row of its job, and does with `b` of row R what it is told.
WORKER = """
import json, os, sys, time
job = json.loads(sys.stdin.readline())
say = lambda **message: print(json.dumps(message), flush=True)
for row in job["rows"]:
    if row == "late" and job["deadline"] - time.time() < 1000:
        print(json.dumps({"left out": row, "why": "too late"}), flush=True)
        continue
    say(began=row, name="")
    if row == "S":
        say(failed=row, why="ValueError: no")
        continue
    say(row={"id": row, "contenders": ["a", "b", "c"]})
    for name in "abc":
        if name in job["excluded"].get(row, []):
            continue
        say(began=row, name=name)
        if (row, name) == ("R", "b"):
            FAULT
        say(entry={"row": row, "name": name, "status": "timed", "seconds": [1.0]})
    say(done=row)
"""


def session(fault: str, *, seconds: float = 100, silence: float = 30) -> Session:
    command = (sys.executable, "-c", WORKER.replace("FAULT", fault))
    return Session("cpu", 1, time.time() + seconds, command=command, silence=silence)


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("sys.exit(3)", "died with exit code 3"),
        ("os.kill(os.getpid(), 9)", "died with exit code -9"),
        (f"sys.exit({BROKEN})", "lost the device"),
        ("time.sleep(60)", "hung: not a word for 10 s"),
    ],
)
def test_whoever_ends_a_worker_is_blamed_and_the_others_are_measured_by_another(fault: str, detail: str) -> None:
    findings = session(fault, silence=10).measure(["R", "Q"])
    statuses = {(e.row, e.name): e.status for e in findings.entries.values()}
    assert statuses == {
        ("R", "a"): "timed",
        ("R", "b"): "error",
        ("R", "c"): "timed",
        ("Q", "a"): "timed",
        ("Q", "b"): "timed",
        ("Q", "c"): "timed",
    }
    assert findings.entries["R", "b"].detail == detail
    assert findings.faults == [f"R, b: error: {detail}"]
    assert findings.done == ["R", "Q"]


def test_at_the_deadline_a_worker_is_stopped_and_what_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu.session.GRACE", 0.0)
    findings = session("time.sleep(60)", seconds=10).measure(["R"])
    assert findings.entries["R", "a"].status == "timed"
    assert (findings.entries["R", "b"].status, findings.entries["R", "b"].detail) == ("left out", "no time left")
    assert ("R", "c") not in findings.entries
    assert findings.faults == []


def test_rows_that_do_not_fit_or_cannot_be_made_are_named_and_the_next_is_measured() -> None:
    findings = session("pass").measure(["late", "S", "Q"])
    assert findings.left_out == {"late": "too late"}
    assert findings.failed == {"S": "ValueError: no"}
    assert findings.done == ["Q"]
    assert findings.faults == ["S: ValueError: no"]


def test_a_worker_that_ends_without_a_word_is_no_success() -> None:
    quiet = Session("cpu", 1, time.time() + 60, command=(sys.executable, "-c", "pass"))
    findings = quiet.measure(["R", "Q"])
    assert findings.failed == dict.fromkeys(["R", "Q"], "the worker ended without a word about it")


def test_every_change_is_told_at_once(tmp_path: Path) -> None:
    told: list[int] = []

    def changed(findings: Findings) -> None:
        json.dumps(findings.to_dict())
        told.append(len(findings.entries))

    running = session("pass")
    running.changed = changed
    running.measure(["R"])
    assert told[:5] == [0, 1, 2, 3, 3]

"""How a row is measured: everybody in turn, who fails alone, and in time."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace

import pytest

from benchmarks.gpu.device import BrokenDeviceError, Device, Unavailable
from benchmarks.gpu.proof import Proof
from benchmarks.gpu.row import DRY_ROUNDS, Contender, Entry, Measurement, Row
from lstm_ref.core.errors import ConformanceError


@dataclass
class Sleeper:
    """A runner whose call takes so many seconds, and tells when it was called."""

    name: str
    calls: list[str]
    seconds: float = 0.0
    problem: Callable[[], None] = lambda: None
    proof: Proof = field(default_factory=lambda: Proof(0.01, 0.02, "a remark"))

    def prove(self) -> Proof:
        self.problem()
        return self.proof

    def run(self) -> None:
        self.calls.append(self.name)
        time.sleep(self.seconds)


def raises(error: Exception) -> Callable[[], None]:
    def problem() -> None:
        raise error

    return problem


def row(**runners: Sleeper) -> Row:
    contenders = {
        name: Contender(build=lambda runner=runner: runner, peer=name != "ours") for name, runner in runners.items()
    }
    return Row(
        id="R", title="t", unit="call", contenders=contenders, baseline="a", goals="", flops=1.0, bytes=1.0, units=0.5
    )


def measured(row: Row, **given: object) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    Measurement(row, Device("cpu"), lambda e: entries.__setitem__(e.name, e), **given).measure()
    return entries


def test_turns_are_interleaved_and_the_first_round_is_not_kept() -> None:
    calls: list[str] = []
    entries = measured(row(a=Sleeper("a", calls, 0.02), ours=Sleeper("ours", calls, 0.005)))
    assert calls[-2 * (1 + DRY_ROUNDS) :] == ["a", "ours"] * (1 + DRY_ROUNDS)
    assert {name: len(entry.seconds) for name, entry in entries.items()} == {"a": DRY_ROUNDS, "ours": DRY_ROUNDS}
    assert entries["a"].status == "timed"
    assert min(entries["a"].seconds) >= 0.04  # of one unit, and a call is half of one
    assert entries["ours"].best_peer == "a"
    for own, theirs, ratio in zip(entries["ours"].seconds, entries["a"].seconds, entries["ours"].beside_best_peer):
        assert ratio == theirs / own
    assert entries["ours"].beside_baseline == entries["ours"].beside_best_peer
    assert (entries["a"].error, entries["a"].allowed, entries["a"].detail) == (0.01, 0.02, "a remark")


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (ConformanceError("dx is off"), "wrong", "dx is off"),
        (Unavailable("tf32 needs CUDA"), "left out", "tf32 needs CUDA"),
        (RuntimeError("out of\nmemory"), "error", "RuntimeError: out of memory"),
    ],
)
def test_who_fails_is_never_timed_and_the_others_are(error: Exception, status: str, detail: str) -> None:
    calls: list[str] = []
    entries = measured(row(a=Sleeper("a", calls, problem=raises(error)), b=Sleeper("b", calls)))
    assert (entries["a"].status, entries["a"].detail, entries["a"].seconds) == (status, detail, ())
    assert "a" not in calls
    assert entries["b"].status == "timed"
    assert entries["b"].beside_baseline == ()  # the baseline is not there


def test_who_fails_in_a_later_turn_loses_its_times_and_nobody_elses() -> None:
    calls: list[str] = []
    late = Sleeper("a", calls)

    def run() -> None:
        calls.append("a")
        if calls.count("a") == 4:
            raise ValueError("the fourth call")

    late.run = run  # type: ignore[method-assign]
    entries = measured(row(a=late, b=Sleeper("b", calls)))
    assert (entries["a"].status, entries["a"].detail) == ("error", "ValueError: the fourth call")
    assert len(entries["b"].seconds) == DRY_ROUNDS


def test_a_lost_device_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "require_alive", raises_lost)
    calls: list[str] = []
    entries: dict[str, Entry] = {}
    failing = row(a=Sleeper("a", calls, problem=raises(RuntimeError("illegal access"))), b=Sleeper("b", calls))
    with pytest.raises(BrokenDeviceError):
        Measurement(failing, Device("cpu"), lambda e: entries.__setitem__(e.name, e)).measure()
    assert entries["a"].status == "error"  # told before


def raises_lost(self: Device) -> None:
    raise BrokenDeviceError("illegal access")


def test_after_the_deadline_nobody_is_begun_and_each_is_named() -> None:
    calls: list[str] = []
    entries = measured(row(a=Sleeper("a", calls), b=Sleeper("b", calls)), deadline=time.time() - 1)
    assert {entry.detail for entry in entries.values()} == {"no time left"}
    assert calls == []


def test_who_was_built_before_the_deadline_has_one_round_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by 10 s with every call of `a`: two before its turns, and building ends after 16."""
    calls: list[str] = []
    monkeypatch.setattr("benchmarks.gpu.row.time", SimpleNamespace(time=lambda: 10.0 * calls.count("a")))
    entries = measured(row(a=Sleeper("a", calls), b=Sleeper("b", calls)), deadline=20.0)
    assert len(entries["a"].seconds) == 1
    assert (entries["b"].status, entries["b"].detail) == ("left out", "no time left")


def test_the_excluded_are_not_touched() -> None:
    calls: list[str] = []
    entries = measured(row(a=Sleeper("a", calls), b=Sleeper("b", calls)), excluded=["a"])
    assert entries.keys() == {"b"}
    assert "a" not in calls


def test_an_entry_survives_its_json() -> None:
    entry = Entry(row="R", name="a", status="timed", seconds=(0.1, 0.2), best_peer="b", bytes=3)
    assert Entry.from_dict(json.loads(json.dumps(asdict(entry)))) == entry

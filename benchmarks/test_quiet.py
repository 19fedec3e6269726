"""No turn begins beside a busy thread of ours, and what others took of the machine is told."""

import os
import time

import pytest

from benchmarks import quiet
from benchmarks.quiet import IDLE, PATIENCE, PAUSE, Watch, wait_until_idle


def test_waiting_ends_with_the_first_pause_in_which_no_thread_computed() -> None:
    slept, used = [], iter([PAUSE, 2 * IDLE, IDLE / 10])  # CPU seconds that threads use in each pause
    cpu = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        cpu[0] += next(used)

    wait_until_idle(cpu_seconds=lambda: cpu[0], sleep=sleep)
    assert slept == [PAUSE] * 3


def test_a_thread_that_never_stops_is_an_error() -> None:
    cpu = iter(range(2 * PATIENCE))
    with pytest.raises(RuntimeError, match="still computes"):
        wait_until_idle(cpu_seconds=lambda: next(cpu), sleep=lambda seconds: None)


def test_others_share_is_what_the_machine_did_and_we_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(quiet, "_busy_seconds", lambda: 1500.0)
    watch = Watch(lambda: 310.0, began=time.monotonic() - 1000, own=10.0, all_busy=400.0)
    # 1100 busy seconds of 4000, 300 of them ours; 5 %: this test itself may take 50 s of a slow machine.
    assert watch.others() == pytest.approx((1100 - 300) / 4000, rel=0.05)


def test_others_share_is_unknown_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "_busy_seconds", lambda: None)
    assert Watch.start(time.process_time).others() is None

"""One thread pool at a time, and how much of the machine others took.

Idle threads spin before they sleep. After a step of NumpyLM, OpenBLAS's burnt 20 ms of a core in the first 50 ms and 8
in the next (medians of 9, at most 36 and 16); after a step of torch, OpenMP's burnt 4 (at most 8), then none (2 cores
that others used too, OpenBLAS 0.3.31, libgomp). A turn that began right after NumPy's would share its cores with that:
little of a training step, much of a short turn.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAUSE, IDLE = 0.05, 0.001  # seconds slept, and of CPU time in them that the sleeping itself explains
PATIENCE = 100  # pauses


def wait_until_idle(
    cpu_seconds: Callable[[], float] = time.process_time, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Returns when no thread of this process uses a core. Raises RuntimeError if one never stops."""
    for _ in range(PATIENCE):
        before = cpu_seconds()
        sleep(PAUSE)
        if cpu_seconds() - before < IDLE:
            return
    raise RuntimeError(f"a thread still computes after {PATIENCE * PAUSE:g} s: nothing can be timed beside it")


@dataclass(frozen=True, slots=True)
class Watch:
    """From its start on: what share of the machine's CPU time went to others, the hypervisor included."""

    own_cpu_seconds: Callable[[], float]
    began: float
    own: float
    all_busy: float | None

    @classmethod
    def start(cls, own_cpu_seconds: Callable[[], float]) -> "Watch":
        """own_cpu_seconds: CPU seconds of the processes that are not others."""
        return cls(own_cpu_seconds, time.monotonic(), own_cpu_seconds(), _busy_seconds())

    def others(self) -> float | None:
        """In [0, 1], good to about 0.01 over a second; None where the system does not tell."""
        busy, cores = _busy_seconds(), os.cpu_count()
        if busy is None or self.all_busy is None or cores is None:
            return None
        own = self.own_cpu_seconds() - self.own
        share = (busy - self.all_busy - own) / (cores * max(1e-9, time.monotonic() - self.began))
        return min(1.0, max(0.0, share))


def _busy_seconds() -> float | None:
    """CPU seconds since boot that were not idle, of all cores: proc(5), /proc/stat."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

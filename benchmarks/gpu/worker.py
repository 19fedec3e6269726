"""The process that holds the device. It measures the rows that it is given and says what it finds, a JSON object a line
on stdout; what libraries print there goes to stderr.

    {"began": row, "name": contender}      before anything that could end or hang the process
    {"row": {...}}                         what a row is, before its first contender
    {"entry": {...}}                       new, or in place of one of the same row and name
    {"done": row}, {"left out": row, "why": ...}, {"failed": row, "why": ...}

It ends with BROKEN where CUDA does not recover: then another process goes on.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.gpu.device import BrokenDeviceError, Device
from benchmarks.gpu.row import Measurement, Row, one_line
from benchmarks.gpu.rows import LEAST_SECONDS, MOST_SECONDS, makers

BROKEN = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """rows: by id, in order; excluded: row -> contenders that are not tried (again); deadline: of time.time()."""

    device: str
    seed: int
    rows: tuple[str, ...]
    excluded: dict[str, list[str]]
    deadline: float

    @classmethod
    def from_json(cls, text: str) -> "Job":
        values = json.loads(text)
        return cls(**values | {"rows": tuple(values["rows"])})


def facts_of(row: Row) -> dict[str, Any]:
    """Of the row itself, for the report."""
    names = ("id", "title", "unit", "goals", "flops", "bytes", "baseline", "notes", "on_host")
    return {name: getattr(row, name) for name in names} | {"contenders": list(row.contenders)}


def measure(job: Job, say: Callable[[dict[str, Any]], None]) -> None:
    device = Device(job.device)
    if not device.is_cuda:
        torch.set_num_threads(1)  # shapes of a dry run are too small to share out
    for id_ in job.rows:
        left = job.deadline - time.time()
        if left < LEAST_SECONDS[id_]:
            say({"left out": id_, "why": f"{max(0, left):.0f} s were left, it needs {LEAST_SECONDS[id_]}"})
            continue
        say({"began": id_, "name": ""})
        try:
            measure_row(job, device, id_, say)
        except BrokenDeviceError:
            raise
        except Exception as error:  # the row's, and the others go on
            say({"failed": id_, "why": one_line(error)})
            device.require_alive()
        device.release()


def measure_row(job: Job, device: Device, id_: str, say: Callable[[dict[str, Any]], None]) -> None:
    row = makers()[id_](device, job.seed)
    say({"row": facts_of(row)})
    Measurement(
        row,
        device,
        tell=lambda entry: say({"entry": asdict(entry)}),
        began=lambda name: say({"began": id_, "name": name}),
        deadline=min(job.deadline, time.time() + MOST_SECONDS[id_]),
        excluded=job.excluded.get(id_, ()),
    ).measure()
    say({"done": id_})


def main() -> int:
    job = Job.from_json(sys.stdin.readline())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # a library that prints does not speak for us

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=answers)

    try:
        measure(job, say)
    except BrokenDeviceError as error:
        print(f"the device is lost: {error}", file=sys.stderr)
        return BROKEN
    return 0


if __name__ == "__main__":
    sys.exit(main())

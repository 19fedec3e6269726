"""The whole table within a budget of time: rows in order, results as they come.

Rows run in a worker. Where it dies, hangs or loses the device, the contender that it had begun is blamed, and a new
worker goes on with the others. Who is not measured is named, with the reason.
"""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from benchmarks.gpu.row import Entry
from benchmarks.gpu.worker import BROKEN, Job

ROOT = Path(__file__).parent.parent.parent
WORKER = (sys.executable, "-m", "benchmarks.gpu.worker")
SILENCE = 150.0  # seconds without a word after which a worker hangs: no build, proof or turn takes that long
GRACE = 15.0  # seconds after the deadline that a worker has to finish its turn
FAULTS = ("wrong", "error")


@dataclass(slots=True)
class Findings:
    """What is known so far. rows: their facts, by id; entries: by row and contender; left_out, failed: row -> why."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def of(self, row: str) -> list[Entry]:
        return [entry for (id_, _), entry in self.entries.items() if id_ == row]

    @property
    def faults(self) -> list[str]:
        """What should not be: contenders that are wrong or broken, and rows that could not be made."""
        entries = [e for e in self.entries.values() if e.status in FAULTS]
        return [f"{e.row}, {e.name}: {e.status}: {e.detail}" for e in entries] + [
            f"{row}: {why}" for row, why in self.failed.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "entries": [asdict(entry) for entry in self.entries.values()],
            "done": self.done,
            "left_out": self.left_out,
            "failed": self.failed,
        }


@dataclass(slots=True)
class Session:
    """deadline: of time.time(). changed: told of every change of the findings. command: of a worker, which reads its
    job from stdin."""

    device: str
    seed: int
    deadline: float
    changed: Callable[[Findings], None] = lambda findings: None
    progress: Callable[[str], None] = lambda line: None
    command: Sequence[str] = WORKER
    silence: float = SILENCE
    findings: Findings = field(default_factory=Findings)
    _begun: tuple[str, str] = ("", "")
    _excluded: dict[str, list[str]] = field(default_factory=dict)

    def measure(self, rows: Sequence[str]) -> Findings:
        while remaining := [row for row in rows if row not in self._settled()]:
            self._begun = remaining[0], ""
            problem = self._work(remaining)
            if problem:
                self._blame(problem)
            elif unsettled := [row for row in remaining if row not in self._settled()]:
                self.findings.failed[unsettled[0]] = "the worker ended without a word about it"
            self.changed(self.findings)
        return self.findings

    def _settled(self) -> set[str]:
        return {*self.findings.done, *self.findings.left_out, *self.findings.failed}

    def _work(self, rows: Sequence[str]) -> str:
        """Runs a worker to its end. Returns why it went no further, or ''."""
        job = Job(device=self.device, seed=self.seed, rows=tuple(rows), excluded=self._excluded, deadline=self.deadline)
        worker = subprocess.Popen(self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert worker.stdin is not None
        assert worker.stdout is not None
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(worker.stdout, lines), daemon=True)
        reader.start()
        try:
            worker.stdin.write(json.dumps(asdict(job)) + "\n")
            worker.stdin.close()
            while (line := lines.get(timeout=self._patience())) is not None:
                self._learn(json.loads(line))
            code = worker.wait(timeout=self.silence)
        except queue.Empty:
            late = time.time() > self.deadline
            return "no time left" if late else f"hung: not a word for {self.silence:g} s"
        except BrokenPipeError:
            code = worker.wait(timeout=self.silence)
        finally:
            worker.kill()
            worker.wait()
            reader.join()
            worker.stdout.close()
        if code == BROKEN:
            return "lost the device"
        return f"died with exit code {code}" if code else ""

    def _patience(self) -> float:
        """Seconds to wait for the next word."""
        return max(0.1, min(self.silence, self.deadline + GRACE - time.time()))

    def _learn(self, message: dict[str, Any]) -> None:
        findings = self.findings
        match message:
            case {"began": row, "name": name}:
                self._begun = row, name
                self.progress(f"{row} {name}".strip())
                return
            case {"row": facts}:
                findings.rows[facts["id"]] = facts
            case {"entry": values}:
                entry = Entry.from_dict(values)
                findings.entries[entry.row, entry.name] = entry
            case {"done": row}:
                findings.done.append(row)
            case {"left out": row, "why": why}:
                findings.left_out[row] = why
            case {"failed": row, "why": why}:
                findings.failed[row] = why
            case _:
                raise ValueError(f"a worker said {message!r}: expected a message of benchmarks/gpu/worker.py")
        self.changed(findings)

    def _blame(self, problem: str) -> None:
        """A contender that ended its worker is not tried again; nor is a row that did before it had any."""
        row, name = self._begun
        late = problem == "no time left"
        if not name:
            (self.findings.left_out if late else self.findings.failed)[row] = problem
            return
        before = self.findings.entries.get((row, name), Entry(row=row, name=name, status="error"))
        status = "left out" if late else "error"
        self.findings.entries[row, name] = replace(before, status=status, detail=problem, seconds=())
        self._excluded.setdefault(row, []).append(name)
        if late:
            self.findings.done.append(row)


def _read(stream: IO[str], lines: "queue.Queue[str | None]") -> None:
    """Every line, then None."""
    for line in stream:
        lines.put(line)
    lines.put(None)

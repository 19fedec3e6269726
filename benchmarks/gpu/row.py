"""A row of the table: one task at one shape, and those who do it. How it is measured:

    for each contender: build, prove, warm up                           a wrong one is never timed
    for each round: a turn for every contender, A B C A B C ...         at least 7 rounds
    ratios are of turns of one round; medians and quartiles of rounds

A contender that raises is an entry with its error, and the others go on. Every change of an entry is told at once, so
that a run that is killed leaves what it had.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from benchmarks.gpu.device import Device, Unavailable, wall_seconds
from benchmarks.gpu.proof import Proof
from benchmarks.pairs import Spread, fastest, speed_beside
from lstm_ref.core.errors import ConformanceError

Status = Literal["proved", "timed", "wrong", "error", "left out"]
ROUNDS, LEAST_ROUNDS, DRY_ROUNDS = 9, 7, 2
BUILDING = 0.8  # of the time, in which contenders are built and proved: the rest is for their turns
BLOCK_SECONDS, MOST_CALLS = 0.02, 500  # of one turn: far above the clock's resolution, and short


class Runner(Protocol):
    """A contender, built and warm. One that holds more inputs than a call needs says so in `spare_bytes`."""

    def prove(self) -> Proof:
        """Of the very call that `run` makes. Raises ConformanceError where it is wrong."""
        ...

    def run(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """peer: not ours; the others are compared with the fastest of these. precision: of the factors of its products,
    which decides the floor of its arithmetic."""

    build: Callable[[], Runner]
    peer: bool = True
    precision: str = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """units: what one call of `run` does, in the row's unit; with units = 0.1 a call is a tenth of an epoch, say.
    flops, bytes: of one unit, floors. baseline: the contender that goals are relative to. on_host: timed by the host's
    clock, because the host is in the loop. rounds: of the time measurement."""

    id: str
    title: str
    unit: str
    contenders: Mapping[str, Contender]
    baseline: str
    goals: str
    flops: float
    bytes: float
    units: float = 1.0
    on_host: bool = False
    rounds: int = ROUNDS
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of one contender. seconds: of one unit, by round. beside_baseline, beside_best_peer: by round, the
    other's time over its own: 2 is twice as fast. bytes: of device memory at its peak, above what was there before."""

    row: str
    name: str
    status: Status
    peer: bool = True
    precision: str = "float32"
    detail: str = ""  # the error, the reason, or a remark
    error: float | None = None  # the worst of the proof, and what was allowed there
    allowed: float | None = None
    seconds: tuple[float, ...] = ()
    beside_baseline: tuple[float, ...] = ()
    best_peer: str = ""
    beside_best_peer: tuple[float, ...] = ()
    bytes: int | None = None

    @property
    def spread(self) -> Spread | None:
        return Spread.of(self.seconds) if self.seconds else None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Entry":
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


@dataclass(slots=True)
class Measurement:
    """Measures a row. tell: is given every entry that is new or changed; began: the name of whatever is tried next, so
    that the outside knows whom to blame if nothing more is heard. deadline: of time.time()."""

    row: Row
    device: Device
    tell: Callable[[Entry], None]
    began: Callable[[str], None] = lambda name: None
    deadline: float = float("inf")
    excluded: Collection[str] = ()
    _runners: dict[str, Runner] = field(default_factory=dict, init=False)
    _entries: dict[str, Entry] = field(default_factory=dict, init=False)
    _calls: dict[str, int] = field(default_factory=dict, init=False)

    def measure(self) -> None:
        now = time.time()
        last_build = now + BUILDING * (self.deadline - now)
        for name, contender in self.row.contenders.items():
            if name in self.excluded:
                continue
            entry = Entry(
                row=self.row.id, name=name, status="left out", peer=contender.peer, precision=contender.precision
            )
            if time.time() > last_build:
                self._put(replace(entry, detail="no time left"))
                continue
            self.began(name)
            self._guarded(entry, lambda entry=entry, contender=contender: self._prepare(entry, contender))
        self._time_in_turn()

    def _put(self, entry: Entry) -> None:
        self._entries[entry.name] = entry
        self.tell(entry)

    def _guarded(self, entry: Entry, action: Callable[[], None]) -> bool:
        """Whether it came through; where not, the entry says why, and its contender is not asked again."""
        try:
            action()
            return True
        except Unavailable as error:
            self._put(replace(entry, status="left out", detail=str(error)))
        except ConformanceError as error:
            self._put(replace(entry, status="wrong", detail=str(error)))
        except Exception as error:  # whatever it is: it is the entry's, and the others go on
            self._put(replace(entry, status="error", detail=one_line(error)))
        self._runners.pop(entry.name, None)
        self.device.require_alive()
        return False

    def _prepare(self, entry: Entry, contender: Contender) -> None:
        before = self.device.forget_peak()
        runner = contender.build()
        while_built, held = self.device.peak() - before, self.device.allocated() - before
        proof = runner.prove()
        before_run = self.device.forget_peak()  # the truth is in it
        runner.run()
        first = self._seconds(runner, 1)
        peak = max(while_built, held + self.device.peak() - before_run) - getattr(runner, "spare_bytes", 0)
        entry = replace(
            entry,
            status="proved",
            error=proof.error,
            allowed=proof.allowed,
            detail=proof.remark,
            bytes=peak if self.device.is_cuda else None,
        )
        self._runners[entry.name] = runner
        self._calls[entry.name] = min(MOST_CALLS, max(1, round(BLOCK_SECONDS / first))) if self.device.is_cuda else 1
        self._put(entry)

    def _turn(self, name: str) -> float:
        """Seconds of one of the row's units."""
        return self._seconds(self._runners[name], self._calls[name]) / self.row.units

    def _seconds(self, runner: Runner, calls: int) -> float:
        if self.row.on_host:
            return wall_seconds(runner.run, calls, self.device)
        return self.device.seconds(runner.run, calls)

    def _time_in_turn(self) -> None:
        times: dict[str, list[float]] = {name: [] for name in self._runners}
        rounds = self.row.rounds if self.device.is_cuda else DRY_ROUNDS
        for number in range(1 + rounds):  # the first is not kept
            if number > 1 and time.time() > self.deadline:
                break
            for name in list(self._runners):
                self.began(name)
                if not self._guarded(self._entries[name], lambda name=name: times[name].append(self._turn(name))):
                    del times[name]
                elif number == 0:
                    times[name].clear()
        self._conclude(times)

    def _conclude(self, seconds: dict[str, list[float]]) -> None:
        peers = [name for name in seconds if self.row.contenders[name].peer]
        best = fastest(seconds, peers) if peers else ""
        beside_best = speed_beside(seconds, best) if best else {}
        baseline = self.row.baseline
        beside_baseline = speed_beside(seconds, baseline) if baseline in seconds else {}
        for name, values in seconds.items():
            self._put(
                replace(
                    self._entries[name],
                    status="timed",
                    seconds=tuple(values),
                    beside_baseline=tuple(beside_baseline.get(name, ())),
                    best_peer=best,
                    beside_best_peer=tuple(beside_best.get(name, ())),
                )
            )


def one_line(error: BaseException) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else text[:297] + "..."

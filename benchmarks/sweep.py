"""`lstm bench sweep`: one size of a training step at a time is varied, the others stay, and a power law is fitted to
the cost (fit.py).

Beside each exponent stand two that are expected: of the FLOP (products.py), and of the limit, the time of the products
at the rate that this machine reaches at these very shapes (roofline.py). So what a fast product does at small sizes is
in the second, and what is left between the limit and a contender is its own: elementwise work, one pass over [T,B,4H]
and so linear in each of T, B and H, and the calls of a step, T of them whatever B, H and V are. An exponent further
than SURPRISE from the limit's, or points that lie further than that off a power law, are a surprise. It is explained
where a sum of just these parts, fixed, linear and products, is off by no more than EXPLAINED; with threads, which has
no such parts, by the share that one thread does alone [Amdahl 1967]. Else it is marked as something to explain.

All points of all contenders take turns in one round, so a slow minute of the machine befalls them all; each round gives
an exponent, and their median and quartiles are reported.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from benchmarks.cases import StepCase, characters
from benchmarks.contenders import contenders
from benchmarks.fit import PowerLaw, fitted, parts_of, steepness
from benchmarks.pairs import Spread
from benchmarks.products import flops
from benchmarks.quiet import wait_until_idle
from benchmarks.report import markdown_table, measured_on, noise, on_this_machine, wrapped
from benchmarks.roofline import FULL, QUICK, measured
from benchmarks.run import prove, timed
from benchmarks.worker import Worker

BASE = StepCase(config=characters(83, 256, 256), batch_size=64, seq_length=50)
TINY = StepCase(config=characters(12, 8, 8), batch_size=4, seq_length=6)  # of quick runs
VALUES = {
    "T": (25, 50, 100, 200),
    "B": (16, 32, 64, 128, 256),
    "H": (64, 128, 256, 512, 1024),
    "V": (64, 256, 1024, 4096, 16384),
}
TINY_VALUES = {"T": (3, 6, 12), "B": (2, 4, 8), "H": (4, 8, 16), "V": (6, 12, 24)}
DIMENSIONS = (*VALUES, "threads")
NAMES = ("NumpyLM", "TorchLM", "torch nn.LSTM")
SURPRISE, EXPLAINED = 0.2, 0.1


@dataclass(frozen=True, slots=True)
class Point:
    """threads: None where they are not what varies."""

    value: int
    case: StepCase
    threads: int | None = None


def points(dimension: str, quick: bool) -> list[Point]:
    base = TINY if quick else BASE
    if dimension == "threads":
        return [Point(count, base, count) for count in thread_counts()]
    return [Point(value, _varied(base, dimension, value)) for value in (TINY_VALUES if quick else VALUES)[dimension]]


def thread_counts() -> list[int]:
    """1, 2, 4, ... as many as there are cores; two at least, or there is nothing to fit."""
    cores, counts = len(os.sched_getaffinity(0)), [1, 2]
    while 2 * counts[-1] <= cores:
        counts.append(2 * counts[-1])
    return counts


def _varied(base: StepCase, dimension: str, value: int) -> StepCase:
    config = base.config
    match dimension:
        case "T":
            return replace(base, seq_length=value)
        case "B":
            return replace(base, batch_size=value)
        case "H":
            return replace(base, config=replace(config, hidden_sizes=(value,) * len(config.hidden_sizes)))
        case _:
            return replace(base, config=replace(config, vocab_size=value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """seconds: of a step, by contender, point and round. flops: of a step by point; None for threads, where less work
    each is expected, not less work. limits: seconds by point, or None."""

    dimension: str
    base: str
    values: list[int]
    seconds: Mapping[str, list[list[float]]]
    flops: list[int] | None
    limits: list[float] | None
    others: float | None

    def medians(self, name: str) -> list[float]:
        return [Spread.of(times).median for times in self.seconds[name]]

    def law(self, name: str) -> PowerLaw:
        return fitted(self.values, self.medians(name))

    def exponents(self, name: str) -> Spread:
        """Of the rounds."""
        return Spread.of([fitted(self.values, times).exponent for times in zip(*self.seconds[name], strict=True)])

    @property
    def expected(self) -> float:
        """What an exponent is compared with."""
        if self.limits:
            return fitted(self.values, self.limits).exponent
        return fitted(self.values, self.flops).exponent if self.flops else -1.0

    def surprises(self, name: str) -> list[str]:
        law, found = self.law(name), []
        if not abs(law.exponent - self.expected) <= SURPRISE:
            found.append(f"{name}: grows by {law.exponent:.2f} where {self.expected:.2f} is expected.")
        if not law.spread <= SURPRISE:
            found.append(f"{name}: {law.spread:.0%} off a power law.")
        return found

    def explanation(self, name: str) -> str | None:
        """Of its surprises; None where there is none."""
        if self.dimension == "threads":
            one, most, n = self.medians(name)[0], self.medians(name)[-1], self.values[-1]
            return f"{(n * most / one - 1) / (n - 1):.0%} of the work done by one thread alone would explain it."
        if not self.limits:
            return None
        parts = parts_of(self.values, self.medians(name), self.limits)
        if not parts.spread <= EXPLAINED:
            return None
        terms = {
            f"{_milliseconds(parts.fixed)} ms": parts.fixed,
            f"{_milliseconds(parts.linear)} ms x {self.dimension}": parts.linear,
            f"{parts.products:.2f} x the products' time": parts.products,
        }
        return f"{' + '.join(text for text, size in terms.items() if size)} is off by {parts.spread:.0%}."

    def to_dict(self) -> dict[str, Any]:
        fits = {
            name: {
                "law": asdict(self.law(name)),
                "exponent_by_round": asdict(self.exponents(name)),
                "steepness": steepness(self.values, self.medians(name)),
                "surprises": self.surprises(name),
                "explanation": self.explanation(name),
            }
            for name in self.seconds
        }
        return {**asdict(self), "expected_exponent": self.expected, "fits": fits}

    def to_markdown(self) -> str:
        times = [
            [name, *(_milliseconds(s) for s in self.medians(name)), *self._law_cells(name)] for name in self.seconds
        ]
        if self.limits:
            times.append(["limit: products alone", *map(_milliseconds, self.limits), *_cells(self.values, self.limits)])
        if self.flops:
            times.append(["GFLOP", *(f"{work / 1e9:.3g}" for work in self.flops), *_cells(self.values, self.flops)])
        else:
            times.append(["shared out evenly", *("" for _ in self.values), "-1.00", "", ""])
        heading = [
            "ms a step",
            *(f"{self.dimension}={value}" for value in self.values),
            "exponent",
            "off by",
            "between",
        ]
        notes = [
            f"Medians of {len(next(iter(self.seconds.values()))[0])} rounds, all points interleaved; exponent: of the "
            f"medians, in brackets the quartiles of the rounds'. {noise(self.others)}"
        ]
        for name in self.seconds:
            if found := self.surprises(name):
                notes.append(" ".join([*found, self.explanation(name) or "To be explained."]))
        lines = [f"## {self.dimension}: {self.base}", markdown_table([heading, *times]), *map(wrapped, notes)]
        return "\n\n".join(lines)

    def _law_cells(self, name: str) -> list[str]:
        _, off, between = _cells(self.values, self.medians(name))
        rounds = self.exponents(name)
        return [f"{self.law(name).exponent:.2f} ({rounds.low:.2f} to {rounds.high:.2f})", off, between]


def _cells(x: list[int], y: list[float] | list[int]) -> list[str]:
    law, steps = fitted(x, y), steepness(x, y)
    return [f"{law.exponent:.2f}", f"{law.spread:.0%}", f"{steps[0]:.2f} to {steps[-1]:.2f}"]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def run_sweep(dimension: str, *, quick: bool, rounds: int, warmups: int, progress: Callable[[str], None]) -> Sweep:
    """Raises ConformanceError if a contender is wrong at one of the points: then nothing is timed."""
    chosen, title = points(dimension, quick), f"sweep of {dimension}"
    cases = list(dict.fromkeys(point.case for point in chosen))
    names = [name for name in NAMES if all(name in contenders(case) for case in cases)]
    for case in cases:
        prove(case, progress)
    wait_until_idle()
    with contextlib.ExitStack() as stack:
        workers = {
            (name, point): stack.enter_context(Worker(point.case, name, point.threads))
            for point in chosen
            for name in names
        }
        seconds, others = timed(
            {f"{dimension}={point.value}, {name}": worker.turn for (name, point), worker in workers.items()},
            lambda: time.process_time() + sum(worker.cpu_seconds for worker in workers.values()),
            rounds=rounds,
            warmups=warmups,
            progress=lambda line: progress(f"{title}, {line}"),
        )
    by_threads = dimension == "threads"
    limits = None if by_threads else measured(cases, QUICK if quick else FULL, progress)
    return Sweep(
        dimension=dimension,
        base=(TINY if quick else BASE).title,
        values=[point.value for point in chosen],
        seconds={name: [seconds[f"{dimension}={point.value}, {name}"] for point in chosen] for name in names},
        flops=None if by_threads else [flops(point.case) for point in chosen],
        limits=limits and [limits.limit(point.case) for point in chosen],
        others=others,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport:
    name: str
    command: str
    date: str
    sweeps: list[Sweep]
    environment: Mapping[str, Any] = field(default_factory=on_this_machine)

    def to_json(self) -> str:
        facts = {"name": self.name, "date": self.date, "command": self.command, "environment": self.environment}
        return json.dumps(facts | {"sweeps": [sweep.to_dict() for sweep in self.sweeps]}, indent=1) + "\n"

    def to_markdown(self) -> str:
        return (
            "\n\n".join([f"# {self.name}", measured_on(self), *(sweep.to_markdown() for sweep in self.sweeps)]) + "\n"
        )

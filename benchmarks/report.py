"""Results: a table to read, and a JSON file with every time measured and what it was measured on."""

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from benchmarks.cases import SampleCase, StepCase
from benchmarks.pairs import Seconds, Spread, fastest, speed_beside
from benchmarks.products import flops
from benchmarks.roofline import Roofline
from lstm_ref.core.environment import environment

NOISY = 0.05  # of the machine, taken by others


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """seconds: of one unit (a step, a character), by contender and round; peers: of which the fastest is the peer;
    others: the share of the machine that other processes took meanwhile; case: where it is a model's; peaks: bytes by
    contender, of its whole process while it ran; left_out: why, by contender."""

    title: str
    unit: str
    proved: str
    peers: tuple[str, ...]
    seconds: Seconds
    others: float | None
    case: StepCase | SampleCase | None = None
    peaks: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def peer(self) -> str:
        return fastest(self.seconds, self.peers)

    def to_dict(self, limit: float | None) -> dict[str, object]:
        """limit: seconds, see benchmarks/roofline.py."""
        beside, work = speed_beside(self.seconds, self.peer), flops(self.case) if self.case else None
        contenders = {}
        for name, times in self.seconds.items():
            own = Spread.of(times)
            contenders[name] = {
                "seconds": asdict(own),
                "times_peer_speed": asdict(Spread.of(beside[name])),
                "flops": work and work / own.median,
                "share_of_limit": limit and limit / own.median,
                "peak_bytes": self.peaks.get(name),
                "seconds_by_round": times,
            }
        facts = {name: getattr(self, name) for name in ("title", "unit", "proved", "peers", "others", "left_out")}
        facts |= {"work_flop": work, "limit_seconds": limit}
        return {**facts, "peer": self.peer, "contenders": contenders}


def on_this_machine() -> dict[str, object]:
    return environment() | _threads()


def _threads() -> dict[str, object]:
    """The pools that are loaded; where they lie on this machine is nobody's business."""
    from threadpoolctl import threadpool_info

    pools = [
        {key: pool[key] for key in ("internal_api", "version", "threading_layer", "num_threads") if pool.get(key)}
        for pool in threadpool_info()
    ]
    return {"thread_pools": pools, "torch": _torch() if find_spec("torch") else None}


def _torch() -> dict[str, object]:
    import torch

    return {
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "blas": "MKL" if torch.backends.mkl.is_available() else "not MKL",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    name: str
    command: str
    date: str
    cases: list[CaseResult]
    roofline: Roofline | None = None
    environment: Mapping[str, Any] = field(default_factory=on_this_machine)

    def limit(self, case: CaseResult) -> float | None:
        return self.roofline.limit(case.case) if self.roofline and case.case else None

    def to_dict(self) -> dict[str, Any]:
        facts = {"name": self.name, "date": self.date, "command": self.command, "environment": self.environment}
        cases = [case.to_dict(self.limit(case)) for case in self.cases]
        return facts | {"cases": cases, "roofline": self.roofline and _rates(self.roofline)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def to_markdown(self) -> str:
        tables = [_case_table(case, self.limit(case)) for case in self.cases]
        limits = [_roofline_table(self.roofline)] if self.roofline else []
        return "\n\n".join([f"# {self.name}", measured_on(self), *tables, *limits]) + "\n"


def result_paths(folder: Path, date: str, name: str) -> list[Path]:
    return [folder / f"{date[:10]}-{name}{suffix}" for suffix in (".json", ".md")]


class _Run(Protocol):
    command: str
    date: str
    environment: Mapping[str, Any]


def measured_on(report: _Run) -> str:
    """What it was measured on."""
    env, versions = report.environment, report.environment["versions"]
    pools = "; ".join(f"{pool['internal_api']} {pool['num_threads']}" for pool in env["thread_pools"])
    on_torch = env["torch"] or dict.fromkeys(("threads", "blas", "float32_matmul_precision"), "not installed")
    rows = {
        "date": report.date,
        "command": f"`{report.command}`",
        "processor": f"{env['processor']}, {env['cores']} cores",
        "threads": f"{pools}; torch {on_torch['threads']}",
        "BLAS": f"NumPy {env['numpy_blas']}; torch {on_torch['blas']}",
        "float32": f"torch matmul precision {on_torch['float32_matmul_precision']}, no TF32 on a CPU",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
    return "\n".join(wrapped(f"- {name}: {value}", hanging="  ") for name, value in rows.items())


def wrapped(text: str, hanging: str = "") -> str:
    return textwrap.fill(text, 100, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


def markdown_table(cells: Sequence[Sequence[str]]) -> str:
    """The first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _case_table(case: CaseResult, limit: float | None) -> str:
    found = case.to_dict(limit)
    contenders: dict[str, Any] = found["contenders"]  # type: ignore[assignment]
    peer = contenders[case.peer]
    scale, unit = (1e3, "ms") if peer["seconds"]["median"] > 1e-4 else (1e6, "µs")
    columns: dict[str, Callable[[str, Any], str]] = {
        "contender": lambda name, own: f"{name} (peer)" if name == case.peer else name,
        f"{unit} a {case.unit}": lambda name, own: _spread(own["seconds"], scale),
        "x peer's speed": lambda name, own: _spread(own["times_peer_speed"], 1, ".2f"),
    }
    if case.case:
        columns["GFLOP/s"] = lambda name, own: f"{own['flops'] / 1e9:.3g}"
    if limit:
        columns["of limit"] = lambda name, own: f"{own['share_of_limit']:.0%}"
    if case.peaks:
        columns["peak MiB"] = lambda name, own: f"{own['peak_bytes'] >> 20}"
        columns["x peer's"] = lambda name, own: f"{own['peak_bytes'] / peer['peak_bytes']:.2f}"
    rows = [[cell(name, own) for cell in columns.values()] for name, own in contenders.items()]
    table = markdown_table([list(columns), *rows])
    return "\n".join([f"## {case.title}", "", table, "", wrapped(" ".join(_notes(case, limit)))])


def _notes(case: CaseResult, limit: float | None) -> Iterator[str]:
    yield f"Median of {len(case.seconds[case.peer])} interleaved rounds, in brackets its quartiles. {case.proved}"
    if limit and case.case:
        gigaflop = f"{flops(case.case) / 1e9:,.4g} GFLOP"
        yield f"A {case.unit} multiplies {gigaflop}; its products alone take {_number(limit * 1e3)} ms here: the limit."
    for name, why in case.left_out.items():
        yield f"Left out: {name} ({why})."
    yield noise(case.others)


def noise(others: float | None) -> str:
    """others: see CaseResult."""
    if others is None:
        return "What other processes took of the machine is not known."
    verdict = ": NOT a quiet machine, do not quote" if others > NOISY else ""
    return f"Other processes took {others:.0%} of the machine meanwhile{verdict}."


def _rates(roofline: Roofline) -> dict[str, object]:
    """Products that were timed together stand together, joined by +."""
    flops = {
        precision: {" + ".join(map(str, group)): rates for group, rates in found.items()}
        for precision, found in roofline.flops.items()
    }
    return {"flops": flops, "copy_bytes_per_second": roofline.copy}


def _roofline_table(roofline: Roofline) -> str:
    libraries = list(roofline.copy)
    rows = [
        [" + ".join(map(str, group)), precision, *(f"{rates[n] / 1e9:.3g}" if n in rates else "" for n in libraries)]
        for precision, found in roofline.flops.items()
        for group, rates in found.items()
    ]
    copied = ", ".join(f"{name} {rate / 1e9:.3g}" for name, rate in roofline.copy.items())
    notes = [
        "Best of many repetitions; the first for comparison.",
        f"Copying memory, read and written, GB/s: {copied}.",
    ]
    table = markdown_table([["product", "precision", *(f"{name} GFLOP/s" for name in libraries)], *rows])
    return "\n".join(["## limits of this machine", "", table, "", wrapped(" ".join(notes))])


def _spread(spread: Mapping[str, float], scale: float, form: str = "") -> str:
    median, low, high = (
        format(spread[key], form) if form else _number(spread[key] * scale) for key in ("median", "low", "high")
    )
    return f"{median} ({low} to {high})"


def _number(value: float) -> str:
    """Four digits, and never an exponent for a long time."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"

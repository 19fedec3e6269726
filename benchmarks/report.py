"""Results: a table to read, and a JSON file with every time measured and what it was measured on."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_info

from benchmarks.pairs import Seconds, Spread, fastest, speed_beside
from lstm_ref.core.environment import environment

NOISY = 0.05  # of the machine, taken by others


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """seconds: of one unit (a step, a character), by contender and round; peers: of which the fastest is the peer;
    others: the share of the machine that other processes took meanwhile."""

    title: str
    unit: str
    proved: str
    peers: tuple[str, ...]
    seconds: Seconds
    others: float | None

    @property
    def peer(self) -> str:
        return fastest(self.seconds, self.peers)

    def to_dict(self) -> dict[str, object]:
        beside = speed_beside(self.seconds, self.peer)
        contenders = {
            name: {
                "seconds": asdict(Spread.of(times)),
                "times_peer_speed": asdict(Spread.of(beside[name])),
                "seconds_by_round": times,
            }
            for name, times in self.seconds.items()
        }
        facts = {name: getattr(self, name) for name in ("title", "unit", "proved", "peers", "others")}
        return {**facts, "peer": self.peer, "contenders": contenders}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    name: str
    command: str
    date: str
    cases: list[CaseResult]
    environment: Mapping[str, Any] = field(default_factory=lambda: environment() | _threads())

    def to_json(self) -> str:
        facts = {"name": self.name, "date": self.date, "command": self.command, "environment": self.environment}
        return json.dumps(facts | {"cases": [case.to_dict() for case in self.cases]}, indent=1) + "\n"

    def to_markdown(self) -> str:
        return "\n\n".join([f"# {self.name}", _facts(self), *map(_case_table, self.cases)]) + "\n"

    def write(self, paths: Sequence[Path]) -> None:
        """As the suffix of each path says."""
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.to_json() if path.suffix == ".json" else self.to_markdown(), encoding="utf-8")


def result_paths(folder: Path, date: str, name: str) -> list[Path]:
    return [folder / f"{date[:10]}-{name}{suffix}" for suffix in (".json", ".md")]


def _threads() -> dict[str, object]:
    """The pools that are loaded; where they lie on this machine is nobody's business."""
    pools = [
        {key: pool[key] for key in ("internal_api", "version", "threading_layer", "num_threads") if pool.get(key)}
        for pool in threadpool_info()
    ]
    torch_facts = {
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "blas": "MKL" if torch.backends.mkl.is_available() else "not MKL",
    }
    return {"thread_pools": pools, "torch": torch_facts}


def _facts(report: Report) -> str:
    env, versions = report.environment, report.environment["versions"]
    pools = "; ".join(f"{pool['internal_api']} {pool['num_threads']}" for pool in env["thread_pools"])
    on_torch = env["torch"]
    rows = {
        "date": report.date,
        "command": f"`{report.command}`",
        "processor": f"{env['processor']}, {env['cores']} cores",
        "threads": f"{pools}; torch {on_torch['threads']}",
        "BLAS": f"NumPy {env['numpy_blas']}; torch {on_torch['blas']}",
        "float32": f"torch matmul precision {on_torch['float32_matmul_precision']}, no TF32 on a CPU",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }
    return "\n".join(_wrapped(f"- {name}: {value}", hanging="  ") for name, value in rows.items())


def _wrapped(text: str, hanging: str = "") -> str:
    return textwrap.fill(text, 100, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)


def _case_table(case: CaseResult) -> str:
    beside, rounds = speed_beside(case.seconds, case.peer), len(case.seconds[case.peer])
    scale, unit = (1e3, "ms") if Spread.of(case.seconds[case.peer]).median > 1e-4 else (1e6, "µs")
    cells = [("contender", f"{unit} a {case.unit}", "quartiles", "x peer's speed", "quartiles")]
    for name, times in case.seconds.items():
        own, ratio = Spread.of(times), Spread.of(beside[name])
        label = f"{name} (peer)" if name == case.peer else name
        cells.append(
            (
                label,
                _number(own.median * scale),
                f"{_number(own.low * scale)} to {_number(own.high * scale)}",
                f"{ratio.median:.2f}",
                f"{ratio.low:.2f} to {ratio.high:.2f}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"Median of {rounds} interleaved rounds. {case.proved}"]
    if case.others is None:
        notes.append("What other processes took of the machine is not known.")
    else:
        verdict = ": NOT a quiet machine, do not quote" if case.others > NOISY else ""
        notes.append(f"Other processes took {case.others:.0%} of the machine meanwhile{verdict}.")
    return "\n".join([f"## {case.title}", "", *lines, "", _wrapped(" ".join(notes))])


def _number(value: float) -> str:
    """Four digits, and never an exponent for a long time."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"

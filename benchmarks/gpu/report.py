"""The table: predicted beside measured, ratios of one round, floors in the ceilings of the same run; what is not there,
and why. JSON with every round; Markdown to read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.predictions import PREDICTIONS, predicted_bytes, predicted_seconds
from benchmarks.gpu.row import LEAST_ROUNDS, Entry
from benchmarks.gpu.rows import ceilings
from benchmarks.gpu.session import Findings
from benchmarks.pairs import Spread
from lstm_ref.core.atomic import write_atomically

UNITS = ((1.0, "s"), (1e-3, "ms"), (0.0, "µs"))


@dataclass(slots=True)
class Report:
    """facts: date, command, seed, device, versions. paths are written anew whenever there is something new."""

    facts: Mapping[str, Any]
    folder: Path
    name: str

    def write(self, findings: Findings) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / f"{self.name}.json", self.to_json(findings).encode())
        write_atomically(self.folder / f"{self.name}.md", self.to_markdown(findings).encode())

    def to_json(self, findings: Findings) -> str:
        predictions = {
            row: {"why": p.why, "seconds": dict(p.seconds), "bytes": dict(p.bytes)} for row, p in PREDICTIONS.items()
        }
        return json.dumps(dict(self.facts) | findings.to_dict() | {"predicted": predictions}, indent=1) + "\n"

    def to_markdown(self, findings: Findings) -> str:
        parts = [f"# {self.name}", "\n".join(f"- {key}: {value}" for key, value in self.facts.items())]
        parts += [_row(findings, row) for row in findings.rows]
        missing = [f"- {row}: {why}" for row, why in {**findings.left_out, **findings.failed}.items()]
        parts.append("## Rows left out\n\n" + ("\n".join(missing) or "None."))
        parts.append("## Faults\n\n" + ("\n".join(f"- {fault}" for fault in findings.faults) or "None."))
        return "\n\n".join(parts) + "\n"


def _row(findings: Findings, id_: str) -> str:
    facts, entries = findings.rows[id_], findings.of(id_)
    floors = _ceilings(findings)
    header = (
        "contender",
        f"per {facts['unit']}",
        "quartiles",
        "predicted",
        "x baseline",
        "x best peer",
        "of the floor",
        "error (allowed)",
        "peak",
        "remark",
    )
    cells = [header, *(_cells(entry, facts, floors) for entry in entries)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    reached = {entry.name for entry in entries}
    unreached = [name for name in facts["contenders"] if name not in reached]
    notes = [
        f"Goals: {facts['goals']}." if facts["goals"] else "",
        f"Floor per {facts['unit']}: {facts['flops'] / 1e9:.4g} GFLOP, {facts['bytes'] / 1e6:.4g} MB.",
        f"Baseline: {facts['baseline']}. {_best_peer(entries)}{_rounds(entries)}",
        facts["notes"],
        f"Predicted from: {PREDICTIONS[id_].why}" if id_ in PREDICTIONS else "",
        f"Not reached: {', '.join(unreached)}." if unreached else "",
    ]
    return "\n".join([f"## {id_}: {facts['title']}", "", *lines, "", *filter(None, notes)])


def _cells(entry: Entry, facts: Mapping[str, Any], rates: Mapping[str, float]) -> tuple[str, ...]:
    spread = entry.spread
    expected, expected_bytes = predicted_seconds(entry.row, entry.name), predicted_bytes(entry.row, entry.name)
    label = entry.name if entry.peer else f"**{entry.name}**"
    peak = "" if entry.bytes is None else f"{entry.bytes / 1e9:.3g} GB"
    if peak and expected_bytes is not None:
        peak += f" (predicted {expected_bytes / 1e9:.3g})"
    return (
        label,
        duration(spread.median) if spread else entry.status,
        f"{duration(spread.low)} to {duration(spread.high)}" if spread else "",
        "" if expected is None else duration(expected),
        _ratio(entry.beside_baseline),
        _ratio(entry.beside_best_peer),
        "" if spread is None else _of_floor(spread.median, entry.precision, facts, rates),
        "" if entry.error is None else f"{entry.error:.1e} ({entry.allowed:.1e})",
        peak,
        entry.detail.replace("|", "/"),
    )


def _ratio(values: tuple[float, ...]) -> str:
    return f"{Spread.of(values).median:.2f}" if values else ""


def _ceilings(findings: Findings) -> dict[str, float]:
    """FLOP/s by precision, and bytes a second as "bytes", measured in this run."""
    if "ceilings" not in findings.rows:
        return {}
    facts, rates = findings.rows["ceilings"], {}
    for entry in findings.of("ceilings"):
        if entry.spread:
            work = facts["bytes"] if entry.name == ceilings.COPY else facts["flops"]
            key = "bytes" if entry.name == ceilings.COPY else entry.precision
            rates[key] = work / entry.spread.median
    return rates


def _of_floor(seconds: float, precision: str, facts: Mapping[str, Any], rates: Mapping[str, float]) -> str:
    """How many times the floor it took. Of the ceilings' own row, the rate instead."""
    if facts["id"] == "ceilings":
        return ""
    floors = [facts["flops"] / rates[precision]] if precision in rates else []
    floors += [facts["bytes"] / rates["bytes"]] if "bytes" in rates else []
    return f"{seconds / max(floors):.3g}x" if floors else ""


def _best_peer(entries: list[Entry]) -> str:
    names = {entry.best_peer for entry in entries if entry.best_peer}
    return f"Best peer: {', '.join(names)}. " if names else ""


def _rounds(entries: list[Entry]) -> str:
    rounds = {len(entry.seconds) for entry in entries if entry.seconds}
    if not rounds:
        return ""
    few = f": fewer than {LEAST_ROUNDS}, not to be quoted as a ratio" if min(rounds) < LEAST_ROUNDS else ""
    return f"Medians of {'/'.join(map(str, sorted(rounds)))} interleaved rounds{few}."


def duration(seconds: float) -> str:
    scale, unit = next((scale, unit) for scale, unit in UNITS if seconds >= scale)
    return f"{seconds / (scale or 1e-6):.4g} {unit}"

"""The table says what was expected, what came, what did not, and what is wrong."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu.report import Report, duration
from benchmarks.gpu.row import Entry
from benchmarks.gpu.session import Findings

FACTS = {"id": "G6", "title": "softmax", "unit": "call", "goals": "goal 1.0 ms", "flops": 4e11, "bytes": 1e6}
CEILINGS = {"id": "ceilings", "title": "most", "unit": "call", "goals": "", "flops": 1e12, "bytes": 8e9}
MORE = {"baseline": "F.cross_entropy", "notes": "Four sets.", "on_host": False}


@pytest.fixture
def findings() -> Findings:
    found = Findings()
    found.rows["ceilings"] = CEILINGS | MORE | {"contenders": ["GEMM bf16", "device copy"]}
    found.rows["G6"] = (
        FACTS | MORE | {"contenders": ["F.cross_entropy", "ours", "ours, graph", "F.linear_cross_entropy"]}
    )
    for entry in (
        Entry(row="ceilings", name="GEMM bf16", status="timed", precision="bf16", seconds=(2e-3,) * 9),
        Entry(row="ceilings", name="device copy", status="timed", seconds=(2e-3,) * 9),
        Entry(row="G6", name="F.cross_entropy", status="timed", precision="bf16", seconds=(4e-3,) * 9, bytes=2 * 10**9),
        Entry(
            row="G6",
            name="ours",
            status="timed",
            peer=False,
            precision="bf16",
            seconds=(1e-3, 2e-3, 3e-3),
            beside_baseline=(4.0, 2.0, 1.3),
            beside_best_peer=(4.0, 2.0, 1.3),
            best_peer="F.cross_entropy",
            error=0.001,
            allowed=0.06,
            bytes=10**8,
        ),
        Entry(row="G6", name="ours, graph", status="wrong", peer=False, detail="dx is off | by 1"),
    ):
        found.entries[entry.row, entry.name] = entry
    found.left_out["G7"] = "3 s were left, it needs 15"
    return found


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report({"date": "2026-11-22T10:00", "seed": 7}, tmp_path / "results", "2026-11-22-gpu")


def line(text: str, start: str) -> list[str]:
    return [cell.strip() for cell in next(row for row in text.splitlines() if row.startswith(start)).split("|")[1:-1]]


def test_predicted_and_measured_stand_side_by_side(report: Report, findings: Findings) -> None:
    text = report.to_markdown(findings)
    ours = line(text, "| **ours** ")
    assert ours[1:7] == ["2 ms", "1.5 ms to 2.5 ms", "2.9 ms", "2.00", "2.00", "2.5x"]
    assert ours[7:9] == ["1.0e-03 (6.0e-02)", "0.1 GB (predicted 0.2)"]
    assert "Predicted from: 447 GFLOP" in text
    assert "Goals: goal 1.0 ms." in text


def test_the_floor_is_in_the_ceilings_of_the_same_run(report: Report, findings: Findings) -> None:
    """4e11 operations at 1e12 in 2 ms: 0.8 ms, and 1 MB at 4 TB/s is nothing beside that."""
    assert line(report.to_markdown(findings), "| F.cross_entropy ")[6] == "5x"
    del findings.rows["ceilings"]
    assert line(report.to_markdown(findings), "| F.cross_entropy ")[6] == ""


def test_what_is_wrong_not_reached_or_left_out_is_named(report: Report, findings: Findings) -> None:
    text = report.to_markdown(findings)
    assert line(text, "| **ours, graph**")[1] == "wrong"
    assert "Not reached: F.linear_cross_entropy." in text
    assert "- G7: 3 s were left, it needs 15" in text
    assert "- G6, ours, graph: wrong: dx is off | by 1" in text
    assert "Medians of 3/9 interleaved rounds: fewer than 7, not to be quoted as a ratio." in text


def test_both_files_are_there_after_every_change(report: Report, findings: Findings) -> None:
    report.write(findings)
    facts = json.loads((report.folder / "2026-11-22-gpu.json").read_text(encoding="utf-8"))
    assert facts["seed"] == 7
    assert [entry["seconds"] for entry in facts["entries"] if entry["name"] == "ours"] == [[1e-3, 2e-3, 3e-3]]
    assert facts["predicted"]["G6"]["seconds"]["ours"] == 0.0029
    assert (report.folder / "2026-11-22-gpu.md").read_text(encoding="utf-8") == report.to_markdown(findings)


def test_an_empty_session_has_a_report_too(report: Report) -> None:
    assert "## Faults\n\nNone." in report.to_markdown(Findings())


@pytest.mark.parametrize(("seconds", "text"), [(2.5, "2.5 s"), (0.0123456, "12.35 ms"), (2.2e-5, "22 µs"), (0, "0 µs")])
def test_durations_have_four_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text

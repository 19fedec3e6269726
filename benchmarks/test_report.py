"""What a benchmark run leaves behind: a table to read and a file to compute with."""

import json
from pathlib import Path

import pytest

from benchmarks.cases import CHARACTER_SAMPLE, CHARACTER_STEP
from benchmarks.products import flops
from benchmarks.report import CaseResult, Report
from benchmarks.roofline import Roofline, _single, groups

RATES = {"numpy": 2e11, "torch": 1e11}


def _roofline() -> Roofline:
    """Every product at 200 GFLOP/s with NumPy and at half of it with torch."""
    asked = [_single(group) for case in (CHARACTER_STEP, CHARACTER_SAMPLE) for group in groups(case)]
    return Roofline({"float32": dict.fromkeys(asked, RATES)}, {"numpy": 1e10})


def _report(others: float | None = 0.01) -> Report:
    seconds = {"slow": [4.0, 2.0, 3.0], "fast": [1.0, 2.0, 1.5], "other": [0.5, 1.0, 0.75]}
    case = CaseResult(
        title="a case",
        unit="step",
        proved="Proved.",
        peers=("slow", "fast"),
        seconds=seconds,
        others=others,
        case=CHARACTER_STEP,
        peaks={"slow": 400 << 20, "fast": 200 << 20, "other": 100 << 20},
        left_out={"absent": "no such library"},
    )
    return Report(name="name", command="lstm bench", date="2001-02-03T04:05+00:00", cases=[case], roofline=_roofline())


def test_the_peer_is_the_fastest_of_the_peers_and_ratios_are_by_round() -> None:
    case = json.loads(_report().to_json())["cases"][0]
    assert case["peer"] == "fast"
    assert case["contenders"]["other"]["times_peer_speed"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert case["contenders"]["slow"]["times_peer_speed"]["median"] == 0.5
    assert case["contenders"]["other"]["seconds_by_round"] == [0.5, 1.0, 0.75]


def test_work_share_of_the_limit_and_memory_stand_in_the_file_and_in_the_table() -> None:
    case = json.loads(_report().to_json())["cases"][0]
    assert case["work_flop"] == flops(CHARACTER_STEP)
    assert case["limit_seconds"] == pytest.approx(flops(CHARACTER_STEP) / RATES["numpy"])  # of the faster library
    other = case["contenders"]["other"]
    assert other["flops"] == pytest.approx(flops(CHARACTER_STEP) / 0.75)
    assert other["share_of_limit"] == pytest.approx(case["limit_seconds"] / 0.75)
    assert other["peak_bytes"] == 100 << 20
    (row,) = [line for line in _report().to_markdown().splitlines() if line.startswith("| other")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[3:] == ["326", "163%", "100", "0.50"]
    assert "Left out: absent (no such library)." in _report().to_markdown()
    assert "244.9 GFLOP" in _report().to_markdown()


def test_a_report_says_what_it_was_measured_on() -> None:
    facts = json.loads(_report().to_json())["environment"]
    assert {"versions", "processor", "cores", "numpy_blas", "thread_pools", "torch"} <= facts.keys()
    assert {"numpy", "torch", "onnxruntime", "python"} <= facts["versions"].keys()
    assert all(pool["num_threads"] >= 1 for pool in facts["thread_pools"])
    for word in ("2001-02-03", "processor", "threads", "BLAS", "TF32", "versions", "`lstm bench`", "GB/s"):
        assert word in _report().to_markdown()


def test_a_report_names_no_place_on_the_machine() -> None:
    for text in (_report().to_json(), _report().to_markdown()):
        assert str(Path(__file__).parent.parent) not in text
        assert "site-packages" not in text


@pytest.mark.parametrize(
    ("others", "verdict"), [(0.01, "took 1%"), (0.5, "took 50% of the machine meanwhile: NOT"), (None, "not known")]
)
def test_a_report_says_whether_the_machine_was_quiet(others: float | None, verdict: str) -> None:
    text = " ".join(_report(others).to_markdown().split())
    assert verdict in text
    assert ("NOT" in text) == (others == 0.5)

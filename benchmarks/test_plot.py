"""Pictures of result files: they come from the file alone, and show what stands in it."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.plot import plot_file
from benchmarks.sweep import SweepReport
from benchmarks.test_report import _report
from benchmarks.test_sweep import _sweep


def _written(text: str, path: Path) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _comments(picture: Path) -> str:
    """matplotlib draws letters as shapes, and leaves each text in a comment."""
    return picture.read_text(encoding="utf-8")


def test_ratios_and_shares_of_every_contender_are_drawn(tmp_path: Path) -> None:
    ratio, limit = plot_file(_written(_report().to_json(), tmp_path / "run.json"), tmp_path / "pictures")
    assert (ratio.name, limit.name) == ("run-ratio.svg", "run-limit.svg")
    for picture in (ratio, limit):
        ElementTree.parse(picture)
        for text in ("slow", "fast", "other", "a case", "2001-02-03"):
            assert f"<!-- {text} -->" in _comments(picture) or text in _comments(picture), text
    assert "<!--  2.00 -->" in _comments(ratio)
    assert "<!--  1.63 -->" in _comments(limit)


def test_without_a_limit_there_is_no_picture_of_it(tmp_path: Path) -> None:
    file = _written(replace(_report(), roofline=None).to_json(), tmp_path / "run.json")
    assert [picture.name for picture in plot_file(file, tmp_path)] == ["run-ratio.svg"]


def test_costs_are_drawn_with_their_exponents(tmp_path: Path) -> None:
    sweeps = [_sweep([1.0, 2.0, 4.0]), _sweep([1.0, 4.0, 16.0], dimension="H"), _sweep([4.0, 2.0, 1.0], limits=None)]
    report = SweepReport(name="name", command="lstm bench sweep", date="2001-02-03", sweeps=sweeps)
    file = _written(report.to_json(), tmp_path / "sweep.json")
    (cost,) = plot_file(file, tmp_path)
    for text in ("ours: 1.00", "ours: 2.00", "ours: -1.00", "products alone"):
        assert text in _comments(cost), text


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    file = _written(_report().to_json(), tmp_path / "run.json")
    first = [picture.read_bytes() for picture in plot_file(file, tmp_path / "1")]
    assert first == [picture.read_bytes() for picture in plot_file(file, tmp_path / "2")]
    changed = json.loads(file.read_text(encoding="utf-8"))
    changed["cases"][0]["contenders"]["other"]["times_peer_speed"]["high"] = 2.5
    assert plot_file(_written(json.dumps(changed), tmp_path / "run.json"), tmp_path / "3")[0].read_bytes() != first[0]

"""The whole command, dry: on a CPU, in its own processes, without what a bare machine lacks."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import requirements
from benchmarks.gpu.command import main, parser
from benchmarks.gpu.rows import LEAST_SECONDS

ROOT = Path(__file__).parent.parent.parent
# Packages of this project that the machine with the GPU lacks, or need not have.
NOT_THERE = ("cyclopts", "pooch", "hypothesis", "pytest_benchmark", "threadpoolctl", "optuna", "onnxruntime", "rich")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which those cannot be imported."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in NOT_THERE:
        (folder / f"{name}.py").write_text("raise ImportError('not on a bare machine')\n", encoding="utf-8")
    before = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), before]))}


def test_a_dry_run_of_the_command_writes_the_table(bare: dict[str, str], tmp_path: Path) -> None:
    """All rows: each one's code but what needs CUDA."""
    out = tmp_path / "out"
    arguments = ["--device", "cpu", "--minutes", "4", "--seed", "3", "--out", str(out), "--name", "dry"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments],
        cwd=ROOT,
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (written,) = out.glob("*-dry.json")
    facts = json.loads(written.read_text(encoding="utf-8"))
    assert set(facts["done"]) | set(facts["left_out"]) == set(LEAST_SECONDS)
    assert facts["done"][:2] == ["ceilings", "G1"]
    assert facts["failed"] == {}
    assert facts["dry run"] == "tiny shapes on a CPU, not to be quoted"
    assert facts["seed"] == 3
    assert all(not Path(str(value)).is_absolute() for value in facts.values() if isinstance(value, str))
    assert done.stdout.strip() == written.with_suffix(".md").read_text(encoding="utf-8").strip()
    assert "## Faults\n\nNone." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["G3"], "error: unknown row 'G3'; rows: ceilings, G1, "),
        (["--device", "cpu", "--minutes", "0"], "error: minutes=0: expected more than 0"),
        (["--device", "cpu", "--quality", "awd", "--set", "lr"], "error: --set 'lr': expected FIELD=VALUE"),
    ],
)
def test_a_wrong_option_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_device_it_says_so_and_how_to_try_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "error: torch sees no CUDA device here; for a dry run take --device cpu\n"


def test_unless_told_otherwise_it_takes_nine_minutes() -> None:
    assert parser().parse_args([]).minutes == 9


def test_what_is_missing_is_one_line_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert requirements.missing() == []
    monkeypatch.setattr(requirements, "find_spec", lambda name: None if name == "pydantic" else object())
    assert requirements.missing() == ["pydantic"]
    advice = requirements.advice(["pydantic"])
    assert advice.startswith("pydantic not installed: ")
    assert requirements.INSTALL in advice
    assert "\n" not in advice


def test_the_readme_and_the_makefile_name_the_same_folder_and_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert requirements.FOLDER in makefile
    assert "make gpu-wheels" in readme
    assert requirements.INSTALL in readme
    assert f"PYTHONPATH={requirements.SITE} python3 -m benchmarks.gpu" in readme


def test_the_readme_claims_no_gpu_number_without_a_result_file() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    measured = list((ROOT / "benchmarks" / "results").glob("*-gpu.json"))
    rows = re.findall(r"^\| (G\d)\b.*\| (.+) \|$", readme, flags=re.MULTILINE)
    assert [row for row, _ in rows] == ["G1", "G2", "G4", "G5", "G6", "G7", "G9"]
    assert measured or all(value.strip() == "not measured" for _, value in rows)

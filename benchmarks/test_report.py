"""What a benchmark run leaves behind, and the command that makes it."""

import json
import math
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import run
from benchmarks.cases import CASES, CHARACTER_STEP, SampleCase, StepCase
from benchmarks.contenders import SAMPLERS, TRAINERS
from benchmarks.report import CaseResult, Report

SMALL = {
    "small-step": StepCase(vocab_size=12, hidden_sizes=(7, 7), batch_size=3, seq_length=5),
    "small-sample": SampleCase(vocab_size=15, hidden_sizes=(10, 10), length=8),
}


def _report(others: float | None = 0.01) -> Report:
    seconds = {"slow": [0.4, 0.2, 0.3], "fast": [0.1, 0.2, 0.15], "other": [0.05, 0.1, 0.075]}
    case = CaseResult(
        title="a case",
        unit="step",
        proved="Proved.",
        peers=("slow", "fast"),
        seconds=seconds,
        others=others,
    )
    return Report(name="name", command="python -m benchmarks", date="2001-02-03T04:05+00:00", cases=[case])


def test_the_peer_is_the_fastest_of_the_peers_and_ratios_are_by_round() -> None:
    case = json.loads(_report().to_json())["cases"][0]
    assert case["peer"] == "fast"
    assert case["contenders"]["other"]["times_peer_speed"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert case["contenders"]["slow"]["times_peer_speed"]["median"] == 0.5
    assert case["contenders"]["other"]["seconds_by_round"] == [0.05, 0.1, 0.075]


def test_a_report_says_what_it_was_measured_on() -> None:
    facts = json.loads(_report().to_json())["environment"]
    assert {"versions", "processor", "cores", "numpy_blas", "thread_pools", "torch"} <= facts.keys()
    assert {"numpy", "torch", "python"} <= facts["versions"].keys()
    assert all(pool["num_threads"] >= 1 for pool in facts["thread_pools"])
    for word in ("2001-02-03", "processor", "threads", "BLAS", "TF32", "versions", "`python -m benchmarks`"):
        assert word in _report().to_markdown()


def test_a_report_names_no_place_on_the_machine() -> None:
    for text in (_report().to_json(), _report().to_markdown()):
        assert str(Path(__file__).parent.parent) not in text
        assert "site-packages" not in text


@pytest.mark.parametrize(
    ("others", "verdict"), [(0.01, "took 1%"), (0.5, "took 50% of the machine meanwhile: NOT"), (None, "not known")]
)
def test_a_report_says_whether_the_machine_was_quiet(others: float | None, verdict: str) -> None:
    assert verdict in _report(others).to_markdown()
    assert ("NOT" in _report(others).to_markdown()) == (others == 0.5)


def test_the_command_proves_times_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "CASES", SMALL)
    monkeypatch.setattr(run, "TRAINERS", {name: TRAINERS[name] for name in ("NumpyLM", "torch nn.LSTM")})
    monkeypatch.setattr(run, "SAMPLERS", {name: SAMPLERS[name] for name in ("NumpyLM", "the notebook's own")})
    assert command.run(["--quick", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    (written,) = tmp_path.glob("*-character.json")
    report = json.loads(written.read_text(encoding="utf-8"))
    assert [set(case["contenders"]) for case in report["cases"]] == [
        {"NumpyLM", "torch nn.LSTM"},
        {"NumpyLM", "the notebook's own"},
    ]
    for case in report["cases"]:
        for times in case["contenders"].values():
            assert len(times["seconds_by_round"]) == command.QUICK_ROUNDS
            assert all(0 < seconds < math.inf for seconds in times["seconds_by_round"])
    assert written.with_suffix(".md").read_text(encoding="utf-8") == out.rstrip("\n") + "\n"
    assert max(len(line) for line in out.splitlines() if not line.startswith("|")) <= 100
    assert max(map(len, out.splitlines())) <= 110  # a row is as wide as its numbers, on a busy machine wider
    assert "proving: NumpyLM" in err
    assert str(tmp_path) not in report["command"]
    assert command.run(["--quick", "--out", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no-such-case"], "unknown case"),
        (["--rounds", "6"], "at least 7"),
        (["--no-such-option"], "error: "),
        (["--rounds", "many"], "error: "),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(arguments) == 2
    out, err = capsys.readouterr()
    assert complaint in err
    assert err.count("\n") == 1
    assert out == ""


def test_the_full_step_is_that_of_the_original_notebook() -> None:
    step = CHARACTER_STEP
    assert CASES["character-step"] is step
    assert (step.vocab_size, step.hidden_sizes, step.batch_size, step.seq_length) == (83, (512, 512), 128, 100)
    assert (step.dropout, step.lr, step.clip, step.dtype) == (0.5, 0.001, 5.0, "float32")

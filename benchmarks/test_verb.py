"""`lstm bench`: cases, sweeps and pictures from the command line, at sizes that take seconds."""

import json
import math
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import cases, run, start, sweep, verb
from benchmarks.cases import AWD_STEP, CASES, CHARACTER_STEP, WORD_SEED_STEP, StartCase
from benchmarks.command import run as run_app
from benchmarks.contenders import contenders
from benchmarks.small import AWD, SAMPLE
from lstm_ref.core.errors import DataError

ROOT = Path(__file__).parent.parent
FEW = {"NumpyLM", "torch nn.LSTM, shared masks", "ONNX Runtime, 1 thread"}
Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = run_app(verb.app, list(arguments))
        return code, *capsys.readouterr()

    return call


def test_the_command_proves_times_writes_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.setattr(cases, "CASES", {"words": AWD, "sample": SAMPLE, "start": StartCase()})
    monkeypatch.delitem(start.COMMANDS, "import torch")  # it takes seconds
    monkeypatch.setattr(
        run, "contenders", lambda case: {name: entry for name, entry in contenders(case).items() if name in FEW}
    )
    code, out, err = bench("--quick", "--out", str(tmp_path))
    assert code == 0, err
    (written,) = tmp_path.glob("*-bench.json")
    report = json.loads(written.read_text(encoding="utf-8"))
    words, sample, started = report["cases"]
    assert set(words["contenders"]) == {"NumpyLM", "torch nn.LSTM, shared masks"}
    assert set(sample["contenders"]) == {"NumpyLM", "ONNX Runtime, 1 thread"}
    assert set(started["contenders"]) == {"python -c pass", "import lstm_ref", "lstm --help"}
    for case in report["cases"]:
        for found in case["contenders"].values():
            assert len(found["seconds_by_round"]) == verb.QUICK_ROUNDS
            assert all(0 < seconds < math.inf for seconds in found["seconds_by_round"])
            assert (case is started) == (found["share_of_limit"] is None) == (found["peak_bytes"] is None)
    assert written.with_suffix(".md").read_text(encoding="utf-8") == out.rstrip("\n") + "\n"
    assert max(len(line) for line in out.splitlines() if not line.startswith("|")) <= 100
    assert max(map(len, out.splitlines())) <= 140  # a row is as wide as its numbers, on a busy machine wider
    assert "proving: NumpyLM" in err
    assert str(tmp_path) not in report["command"]
    assert report["command"] == "lstm bench --quick"

    code, _, err = bench("--quick", "--out", str(tmp_path))
    assert code == 2
    assert "is there already" in err

    code, out, err = bench("plot", str(written))
    assert code == 0, err
    assert out.split() == [str(tmp_path / f"{written.stem}-{what}.svg") for what in ("ratio", "limit")]


def test_a_sweep_fits_writes_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    monkeypatch.setattr(sweep, "NAMES", ("NumpyLM",))
    code, out, err = bench("sweep", "T", "threads", "--quick", "--out", str(tmp_path))
    assert code == 0, err
    (written,) = tmp_path.glob("*-sweep.json")
    over_t, over_threads = json.loads(written.read_text(encoding="utf-8"))["sweeps"]
    assert over_t["values"] == list(sweep.TINY_VALUES["T"])
    assert over_threads["values"][:2] == [1, 2]
    assert [len(rounds) for rounds in over_t["seconds"]["NumpyLM"]] == [verb.QUICK_ROUNDS] * 3
    assert math.isfinite(over_t["fits"]["NumpyLM"]["law"]["exponent"])
    assert "exponent" in out
    assert bench("plot", str(written))[1].split() == [str(tmp_path / f"{written.stem}-cost.svg")]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no-such-case"], "unknown case"),
        (["--rounds", "6"], "at least 7"),
        (["--no-such-option"], "error: "),
        (["--rounds", "many"], "error: "),
        (["sweep", "Q"], "unknown dimension 'Q'; dimensions: T, B, H, V, threads"),
        (["plot"], "no file"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(arguments: list[str], complaint: str, bench: Bench) -> None:
    code, out, err = bench(*arguments)
    assert code == 2
    assert complaint in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_what_is_no_result_file_is_one_line_and_exit_code_3(content: str | None, tmp_path: Path, bench: Bench) -> None:
    file = tmp_path / "file.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    code, out, err = bench("plot", str(file))
    assert (code, out) == (DataError.exit_code, "")
    assert err.count("\n") == 1


def test_the_full_cases_are_those_of_the_seeds_and_of_awd_lstm() -> None:
    assert CASES["character-step"] is CHARACTER_STEP
    config = CHARACTER_STEP.config
    assert (config.vocab_size, config.hidden_sizes) == (83, (512, 512))
    assert (CHARACTER_STEP.batch_size, CHARACTER_STEP.seq_length) == (128, 100)
    assert (config.dropout_between, config.dropout_output, CHARACTER_STEP.lr, CHARACTER_STEP.clip) == (
        0.5,
        0.5,
        1e-3,
        5,
    )
    for case, sizes, tied in ((AWD_STEP, (1150, 1150, 400), True), (WORD_SEED_STEP, (200, 200, 200), False)):
        assert (case.batch_size, case.seq_length, case.clip) == (20, 70, 0.25)
        assert (case.config.vocab_size, case.config.embedding_size) == (33_278, 400)
        assert (case.config.hidden_sizes, case.config.tied) == (sizes, tied)
    awd = AWD_STEP.config
    assert (awd.dropout_embedding, awd.dropout_input, awd.dropout_between) == (0.1, 0.65, 0.2)
    assert (awd.dropout_output, awd.weight_drop, awd.ar_alpha, awd.tar_beta, awd.dropout_locked) == (
        0.4,
        0.5,
        2,
        1,
        True,
    )
    assert (AWD_STEP.optimizer.optimizer, AWD_STEP.lr, AWD_STEP.optimizer.weight_decay) == ("sgd", 30, 1.2e-6)


def test_the_help_of_the_verb_names_every_case() -> None:
    assert verb.bench.__doc__ is not None
    named = " ".join(verb.bench.__doc__.split())
    assert ", ".join(CASES) + "; all unless named" in named


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="installed without the checkout")
def test_the_verb_is_packaged_and_results_are_not() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["lstm.verbs"]["bench"] == "benchmarks.verb:app"
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert "benchmarks" in wheel["packages"]
    assert wheel["exclude"] == ["/benchmarks/results"]


def test_what_is_not_installed_is_named_and_the_pictures_say_how_to_get_it(tmp_path: Path) -> None:
    program = "\n".join(
        [
            "import sys",
            "sys.modules['matplotlib'] = None",
            "from pathlib import Path",
            "from benchmarks.command import run",
            "from benchmarks.verb import app",
            "Path('file.json').write_text('{\"cases\": []}')",
            "sys.exit(run(app, ['plot', 'file.json']))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: no matplotlib: pip install 'lstm-parity[plot]'\n"

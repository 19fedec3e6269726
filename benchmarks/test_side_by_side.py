"""The twins side by side: equal runs pass, a twin that differs is refused, and every regulariser is on."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from benchmarks import side_by_side as command
from benchmarks.command import run
from benchmarks.side_by_side import EVERY_REGULARIZER, SideBySide, with_every_regularizer
from lstm_ref.cli.main import run as lstm
from lstm_ref.core.presets import preset
from lstm_torch.model import TorchLM

TEXT = " \n = Cats = \n \n The cat sat on the mat , and the dog ran . \n \n = Dogs = \n \n The dog sat . \n" * 12
SMALL = ("embedding_size=8", "hidden_sizes=6,8")


def text_and_size(folder: Path, *fields: str) -> list[str]:
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return [f"--set={field}" for field in (*SMALL, *fields, f"corpus={folder / 'text.txt'}")]


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    fields = text_and_size(tmp_path, "batch_size=3", "seq_length=12", "lr=0.01", "epochs=3")
    return [*fields, "--steps=10", f"--out={tmp_path / 'found.json'}"]


@pytest.mark.parametrize("name", ["word-seed", "awd-wikitext2"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_twins_agree_with_every_regularizer_on(name: str, precision: str, arguments: list[str], capsys) -> None:
    assert run(command.app, [name, f"--precision={precision}", *arguments]) == 0
    found = json.loads(Path(arguments[-1].removeprefix("--out=")).read_text(encoding="utf-8"))
    assert all(found["config"][field] > 0 for field in EVERY_REGULARIZER)
    assert found["steps"] == len(found["losses"]["numpy"]) == len(found["losses"]["torch"]) == 10
    assert 0 <= found["worst_difference"] <= found["bound"]
    assert len(set(found["losses"]["numpy"])) == 10
    assert f"worst difference between the twins {found['worst_difference']:.1e} nats" in capsys.readouterr().out


def test_a_twin_with_masks_of_its_own_is_refused(arguments: list[str], monkeypatch, capsys) -> None:
    right = command.losses_from

    def wrong(beginning, steps, backend):
        config = beginning.config.with_overrides({"seed": int(backend == "torch")})
        return right(dataclasses.replace(beginning, config=config), steps, backend)

    monkeypatch.setattr(command, "losses_from", wrong)
    assert run(command.app, ["word-seed", *arguments]) == 5
    assert "the twins differ by" in capsys.readouterr().err


@pytest.fixture
def unstable(tmp_path: Path) -> list[str]:
    """Of a run that makes 1e-7 nats and more of one unit in the last place."""
    fields = text_and_size(tmp_path, "batch_size=3", "seq_length=12", "lr=300", "epochs=12")
    options = ["--precision=float64", "--steps=50", "--explain", f"--out={tmp_path / 'found.json'}"]
    return ["awd-wikitext2", *fields, *options]


def test_a_run_that_amplifies_rounding_is_explained(unstable: list[str], capsys) -> None:
    assert run(command.app, unstable) == 0
    found = json.loads(Path(unstable[-1].removeprefix("--out=")).read_text(encoding="utf-8"))
    assert found["worst_difference"] > found["bound"]
    assert found["amplified"][-1] > found["bound"]
    assert found["worst_realigned"] <= 1e-12  # of losses up to 80
    assert [len(losses) for losses in found["realigned"]] == [2] * 49 + [1]
    printed = capsys.readouterr().out
    assert f"one unit in the last place away: {found['amplified'][-1]:.1e}\n" in printed
    assert f"with the same parameters: {found['worst_realigned']:.1e}\n" in printed
    assert printed.endswith("but no more than this run makes of rounding: the twins agree\n")


def test_a_wrong_line_hides_in_no_amplified_rounding(unstable: list[str], monkeypatch, capsys) -> None:
    right = TorchLM.train_step

    def wrong(model, window, state, draws, settings):
        return right(model, window, state, draws, dataclasses.replace(settings, lr=settings.lr * (1 + 1e-6)))

    monkeypatch.setattr(TorchLM, "train_step", wrong)
    assert run(command.app, unstable) == 5
    assert "more than this run makes of rounding; see found.json" in capsys.readouterr().err


def test_a_run_goes_on_in_both_twins(arguments: list[str], tmp_path: Path, capsys) -> None:
    """In another precision than its own; its next ten steps are not its first ten."""
    fields = [argument for argument in arguments if argument.startswith("--set")]
    with_all = [f"--set={name}={value}" for name, value in EVERY_REGULARIZER.items()]
    kept = ["--set=checkpoint_every=5", "--set=keep_checkpoints=9", f"--run={tmp_path / 'run'}", "--quiet"]
    assert lstm(["train", "word-seed", *fields, *with_all, *kept]) == 0
    checkpoints = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))
    others = [f"--resume={checkpoints[-1]}", "--precision=float64", *arguments[-2:]]
    assert run(command.app, ["word-seed", *others, "--set=lr=0.1"]) == 2
    assert "a run's config holds" in capsys.readouterr().err
    assert run(command.app, ["word-seed", *others]) == 2
    assert "steps=10: the run has 0" in capsys.readouterr().err
    assert run(command.app, ["word-seed", f"--resume={checkpoints[1]}", *others[1:]]) == 0
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["after"] == 5
    assert found["worst_difference"] <= 1e-8


def test_a_run_of_fewer_steps_is_refused(arguments: list[str], capsys) -> None:
    longer = [argument.replace("--steps=10", "--steps=1000") for argument in arguments]
    assert run(command.app, ["word-seed", *longer]) == 2
    assert "take fewer, or more epochs" in capsys.readouterr().err


def test_a_loss_that_is_no_number_is_the_worst() -> None:
    losses = {"numpy": [1.0, math.nan, 1.0], "torch": [1.5, 1.0, 1.0]}
    assert math.isnan(SideBySide(command="", date="", config=preset("tiny"), after=0, losses=losses).worst)
    losses = {"numpy": [1.0, 1.0], "torch": [1.5, 1.25]}
    assert SideBySide(command="", date="", config=preset("tiny"), after=0, losses=losses).worst == 0.5


def test_what_a_preset_has_stays() -> None:
    config = with_every_regularizer(preset("word-seed"))
    assert (config.dropout_input, config.dropout_embedding) == (preset("word-seed").dropout_input, 0.1)

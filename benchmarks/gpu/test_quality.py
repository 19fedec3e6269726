"""Training to a score: it stops when it is there, is saved when time is up, and goes on."""

import json
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from benchmarks.gpu import quality
from benchmarks.gpu.quality import RECIPES, Course, Recipe, make_backends_known, recipe_config, train
from lstm_ref.core.corpora import load_corpus

TINY = ["embedding_size=4", "hidden_sizes=5,4", "batch_size=4", "seq_length=6", "print_every=5", "epochs=3"]


@pytest.fixture
def words(tmp_path: Path) -> str:
    text = load_corpus("pydoc").text[:4000]
    folder = tmp_path / "words"
    folder.mkdir()
    for name in ("train.txt", "valid.txt", "test.txt"):
        (folder / name).write_text(text, encoding="utf-8")
    return str(folder)


def trained(tmp_path: Path, words: str, deadline: float) -> tuple[int, dict]:
    out = tmp_path / "out"
    code = train(
        "tried",
        device="cpu",
        deadline=deadline,
        assignments=[f"corpus={words}", *TINY],
        run=tmp_path / "run",
        out=out,
        facts={"date": "2026-11-22T10:00"},
    )
    return code, json.loads((out / "2026-11-22-gpu-tried.json").read_text(encoding="utf-8"))


def recipe(monkeypatch: pytest.MonkeyPatch, preset: str, targets: dict[str, float]) -> None:
    monkeypatch.setitem(RECIPES, "tried", Recipe(preset=preset, changes={}, targets=targets))


@pytest.mark.parametrize(
    ("preset", "targets"),
    [("word-fast", {"next_word": 50.0}), ("awd-wikitext2", {"validation": 1e6, "test": 1e6})],
)
def test_it_stops_at_the_first_validation_that_meets_every_target(
    preset: str, targets: dict[str, float], tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe(monkeypatch, preset, targets)
    code, found = trained(tmp_path, words, time.time() + 1000)
    assert code == 0
    assert len(found["curve"]) == 1
    assert targets.keys() <= found["curve"][0].keys()
    assert found["reached_after_seconds"] == found["curve"][0]["seconds"] <= found["seconds"]
    assert found["config"]["backend"] == "torch"


def test_when_time_is_up_it_is_saved_and_the_same_command_goes_on(
    tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(monkeypatch, "word-fast", {"next_word": 0.001})
    code, before = trained(tmp_path, words, time.time())
    assert code == 6
    assert before["curve"] == []
    assert "the same command goes on" in capsys.readouterr().out
    code, after = trained(tmp_path, words, time.time() + 1000)
    assert code == 6
    assert [point["epoch"] for point in after["curve"]] == [1, 2, 3]
    assert after["seconds"] > before["seconds"] > 0
    assert after["reached_after_seconds"] is None
    assert "its epochs are over" in capsys.readouterr().out
    assert all("next_word" not in point for point in after["curve"])  # too far away to be worth asking


def test_a_target_is_met_by_one_validation_that_meets_all() -> None:
    curve = [
        {"validation": 68.0, "test": 66.0, "seconds": 1.0},
        {"validation": 69.0, "seconds": 2.0},
        {"validation": 68.6, "test": 65.8, "seconds": 3.0},
    ]
    course = Course("awd", RECIPES["awd"].targets, time.time(), curve=curve[:2])
    assert course.reached is None
    course.curve = curve
    assert course.reached == curve[2]


def test_the_recipes_are_whole_configs() -> None:
    """The targets are those of the goals: the word notebook's score, and AWD-LSTM's perplexities."""
    assert RECIPES["word-seed"].targets == {"next_word": 4.747}
    assert RECIPES["awd"].targets == {"validation": 68.6, "test": 65.8}
    for device, precision in (("cpu", "float32"), ("cuda", "bf16")):
        config = recipe_config(RECIPES["awd"], device, ["seed=2"])
        assert (config.device, config.precision, config.seed, config.epochs) == (device, precision, 2, 90)
        assert config.hidden_sizes == (1150, 1150, 400)


def test_a_checkout_that_is_not_installed_knows_its_backends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(quality, "entry_points", lambda group: ())
    make_backends_known(tmp_path / "backends")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "backends")])
    points = {point.name: point.value for point in entry_points(group="lstm.backends")}
    assert points == {"numpy": "lstm_ref.model:build", "torch": "lstm_torch.model:build"}

"""`--fixture` of `lstm score` and of `lstm train`: the word after each row, asked of the best checkpoint."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest

from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.prediction import Fixture, nll_of_fixture
from lstm_ref.core.trainer import model_of
from parity_tests.cli.conftest import Lstm, Refused

ANIMALS = ["cat", "dog", "cow", "hen", "owl", "ewe"]
TEXT = "".join(f"The {a} saw the {b} , and the {c} ran .\n" for a in ANIMALS for b in ANIMALS for c in ANIMALS)
FIELDS = {
    "corpus": "text.txt",
    "vocabulary": "word",
    "embedding_size": 6,
    "hidden_sizes": 8,
    "batch_size": 4,
    "seq_length": 12,
    "epochs": 3,
    "print_every": 20,
    "lr": 0.3,  # too high, so that the best checkpoint is not the last
}
TRAIN = ["train", "tiny", *(f"--set={field}={value}" for field, value in FIELDS.items()), "--quiet"]
LINE = re.compile(r"Your mean NLL for predicting a single word: (\d+\.\d+)\n")


@pytest.fixture
def place(lstm: Lstm, tmp_path: Path) -> Path:
    """A text, 50 rows of it, and as many of another text."""
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "other.txt").write_text(TEXT.replace("hen", "fox"))
    for text in ("text", "other"):
        command = ["data", "fixture", f"{text}.txt", "--vocabulary=word", "--part=train", "--rows=50", "--length=8"]
        assert lstm(*command, f"--out={text}.npz").code == 0
    return tmp_path


def mean_nll(checkpoint: Path) -> float:
    loaded = Checkpoint.load(checkpoint)
    return float(nll_of_fixture(model_of(loaded), Fixture.load(Path("text.npz"), loaded.vocabulary)).mean())


@pytest.mark.row("W57")
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_one_command_trains_and_then_lets_the_best_checkpoint_predict(lstm: Lstm, place, backend):
    trained = lstm(*TRAIN, "--run=run", "--fixture=text.npz", f"--backend={backend}")
    assert trained.code == 0, trained.err
    best = place / "run" / "checkpoints" / "best.safetensors"
    (last,) = sorted(best.parent.glob("step-*"))[-1:]
    assert float(LINE.fullmatch(trained.out)[1]) == mean_nll(best) != mean_nll(last)
    scored = lstm("score", "run", "--fixture=text.npz")
    assert (scored.out, scored.err) == (trained.out, trained.err.splitlines(keepends=True)[-2])


@pytest.mark.row("W57")
def test_a_run_that_goes_on_predicts_in_the_end_and_a_finished_one_at_once(lstm: Lstm, place):
    assert lstm(*TRAIN, "--run=run", "--epochs=1", "--set=lr=0.01").code == 0
    finished = lstm("train", "--resume=run", "--quiet", "--fixture=text.npz")
    assert finished.out == lstm("score", "run", "--fixture=text.npz").out
    longer = lstm("train", "--resume=run", "--quiet", "--fixture=text.npz", "--epochs=2")
    assert longer.out == lstm("score", "run", "--fixture=text.npz").out
    assert float(LINE.fullmatch(longer.out)[1]) < float(LINE.fullmatch(finished.out)[1])


@pytest.mark.parametrize(
    ("fixture", "problem"),
    [("other.npz", "another vocabulary"), ("gone.npz", "cannot read"), ("text.txt", "no fixture")],
)
def test_a_fixture_that_does_not_fit_is_refused_before_anything_is_trained(
    lstm: Lstm, refused: Refused, place, fixture, problem
):
    assert problem in refused(3, *TRAIN, "--run=new", f"--fixture={fixture}")
    assert lstm(*TRAIN, "--run=run", "--epochs=1").code == 0
    assert problem in refused(3, "train", "--resume=run", "--epochs=2", f"--fixture={fixture}")
    assert problem in refused(3, "train", "--resume=run", "--run=branch", "--epochs=2", f"--fixture={fixture}")
    assert problem in refused(3, "score", "run", f"--fixture={fixture}")


def test_a_run_that_does_not_end_well_predicts_nothing(lstm: Lstm, place):
    outcome = lstm(*TRAIN, "--run=run", "--fixture=text.npz", "--set=lr=1e308")
    assert (outcome.code, outcome.out) == (6, "")


def test_a_score_of_a_fixture_says_how_many_rows_and_how_sure_apart_from_the_seeds_line(
    lstm: Lstm, refused: Refused, place
):
    assert lstm(*TRAIN, "--run=run", "--epochs=1").code == 0
    shutil.move("text.txt", "moved.txt")  # it asks for the fixture and for nothing else
    printed = lstm("score", "run", "--fixture=text.npz")
    facts = json.loads(lstm("score", "run", "--fixture=text.npz", "--json").out)
    loaded = Checkpoint.load(place / "run" / "checkpoints" / "best.safetensors")
    nll = nll_of_fixture(model_of(loaded), Fixture.load(Path("text.npz"), loaded.vocabulary))
    error = math.sqrt(((nll - nll.mean()) ** 2).mean() / 50)
    assert facts == {"rows": 50, "nats_per_next_word": nll.mean(), "standard_error": pytest.approx(error)}
    assert float(LINE.fullmatch(printed.out)[1]) == nll.mean()
    assert printed.err == f"of 50 rows, in nats; standard error {error:.4f}\n"
    assert "give one of them" in refused(2, "score", "run", "moved.txt", "--fixture=text.npz")

"""A run on words as the command shows it: the word seed's lines, the plateau in them, and Ctrl-C."""

import json
import math
import re
import shutil
import signal
from pathlib import Path

import pytest

from lstm_ref.core.checkpoint import Checkpoint
from parity_tests.cli.test_signals import MODELS, assert_stopped, in_a_child, newest
from parity_tests.conftest import RunLstm

ARTICLE = " \n = The {0} = \n \n The {0} sat on the mat , and the {0} ran . \n \n = = More = = \n \n The {0} ! \n \n"
FIELDS = {
    "corpus": "animals",
    "dropout_input": 0,  # a dropout that both twins have is enough here
    "embedding_size": 8,
    "hidden_sizes": "6,5",
    "batch_size": 3,
    "seq_length": 12,
    "epochs": 4,
    "print_every": 5,
    "lr": 0.1,
    "reset_at_article": "true",
}
NUMBER = r" *(\d+\.\d\d)"
INTERVAL = re.compile(rf"\| epoch {{3}}(\d) \| lr (\S+) \| ms/batch{NUMBER} \| loss{NUMBER} \| ppl{NUMBER}")
BANNER = re.compile(rf"\| end of epoch {{3}}(\d) \| time:{NUMBER}s \| valid loss{NUMBER} \| valid ppl{NUMBER}")


def train(**changes: object) -> list[str]:
    return ["train", "word-seed", "--run=run", *(f"--set={name}={value}" for name, value in (FIELDS | changes).items())]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a corpus of two parts."""
    texts = {"train": [f"animal{n % 4}" for n in range(24)], "valid": ["animal2", "owl"]}
    (tmp_path / "animals").mkdir()
    for part, animals in texts.items():
        (tmp_path / "animals" / f"{part}.txt").write_text("".join(map(ARTICLE.format, animals)))
    return tmp_path


def metrics(place: Path) -> list[dict]:
    return [json.loads(line) for line in (place / "run" / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("backend", MODELS)
@pytest.mark.row("W47", "W51", "W32", "BW11", "BW16", "BW17")
def test_a_run_on_words_prints_the_word_seeds_lines_and_nothing_else_on_stdout(run_lstm: RunLstm, place, backend):
    done = run_lstm(*train(), f"--backend={backend}")
    assert done.returncode == 0, done.stderr
    records, printed = metrics(place), done.stdout.splitlines()
    intervals = [record for record in records if record["step"] % 5 == 0]
    epochs = [record for record in records if record["val_loss"] is not None]
    assert len(epochs) == 4
    shown = [INTERVAL.fullmatch(line) for line in printed if line.startswith("| epoch")]
    for line, record in zip(shown, intervals, strict=True):
        assert (int(line[1]), float(line[2])) == (record["epoch"], record["lr"])
        assert (line[4], line[5]) == (f"{record['mean_loss']:.2f}", f"{math.exp(record['mean_loss']):.2f}")
    banners = [i for i, line in enumerate(printed) if line.startswith("| end")]
    for i, record in zip(banners, epochs, strict=True):
        assert printed[i - 1] == printed[i + 1] == "-" * 89
        line = BANNER.fullmatch(printed[i])
        assert int(line[1]) == record["epoch"]
        assert (line[3], line[4]) == (f"{record['val_loss']:.2f}", f"{math.exp(record['val_loss']):.2f}")
    assert len(printed) == len(intervals) + 3 * len(epochs)


@pytest.mark.row("W49", "BW11")
def test_a_plateau_shows_in_the_log(run_lstm: RunLstm, place):
    assert run_lstm(*train(lr=2, epochs=6)).returncode == 0
    best, lr = math.inf, 2.0
    for record in metrics(place):
        assert record["lr"] == lr
        if record["val_loss"] is not None:
            best, lr = (record["val_loss"], lr) if record["val_loss"] < best else (best, lr / 4)
    assert lr < 2


@pytest.mark.row("W44")
def test_a_run_goes_on_with_the_lr_that_it_is_given(run_lstm: RunLstm, place):
    assert run_lstm(*train()).returncode == 0
    before = len(metrics(place))
    done = run_lstm("train", "--resume=run", "--set=lr=0.02", "--set=epochs=5", "--quiet")
    assert (done.returncode, done.stdout) == (0, "")
    after = metrics(place)[before:]
    assert {record["lr"] for record in after} == {0.02}
    assert {record["epoch"] for record in after} == {5}


@pytest.mark.row("W50", "BW23", "W48")
def test_ctrl_c_leaves_the_best_checkpoint_and_a_last_one_to_go_on_with(run_lstm: RunLstm, place, monkeypatch):
    monkeypatch.chdir(place)
    assert run_lstm(*train(epochs=1), "--quiet").returncode == 0
    epoch = newest(place / "run").progress.step
    shutil.rmtree("run")
    done = in_a_child(MODELS["numpy"], "train_step", epoch + 3, [signal.SIGINT], train())
    assert_stopped(done, signal.SIGINT, Path("run"))
    best, last = Checkpoint.load(Path("run/checkpoints/best.safetensors")), newest(Path("run"))
    assert (best.progress.step, last.progress.step) == (epoch, epoch + 3)
    assert any((best.model[name] != last.model[name]).any() for name in best.model)
    assert run_lstm("train", "--resume=run", "--quiet").returncode == 0
    assert metrics(place)[-1]["epoch"] == 4

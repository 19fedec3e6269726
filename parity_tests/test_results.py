"""The committed runs on Anna Karenina say what the README claims: one epoch by both twins, 20 epochs, three samples."""

import itertools
import json
import re
from pathlib import Path

import pytest

from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.statistics import unigram_entropy
from lstm_ref.core.vocab import Vocabulary

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="installed without the checkout")
LINE = re.compile(r"Epoch: (\d+)/(\d+)\.\.\. Step: (\d+)\.\.\. Loss: (\d+\.\d{4})\.\.\. Val Loss: (\d+\.\d{4})")


def printed(name: str) -> list[tuple[int, float, float]]:
    """(step, loss, validation loss) of every line of a committed log."""
    lines = (RESULTS / name / "log.txt").read_text(encoding="utf-8").splitlines()
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), name
    return [(int(m[3]), float(m[4]), float(m[5])) for m in matches]


def metrics(name: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (RESULTS / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.row("C40")
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_one_epoch_is_139_steps_and_13_lines_that_end_between_2_5_and_3_0(backend):
    lines = printed(f"anna-1-epoch-{backend}")
    assert [step for step, _, _ in lines] == list(range(10, 131, 10))
    assert 2.5 < lines[-1][2] < 3.0
    late = [val for step, _, val in lines if step >= 90]
    assert all(after < before for before, after in itertools.pairwise(late))


@pytest.mark.row("C41")
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_plateau_of_steps_20_to_80_is_the_unigram_entropy(backend):
    for step, _, val in printed(f"anna-1-epoch-{backend}"):
        if 20 <= step <= 80:
            assert abs(val - 3.1273) < 0.03, step  # the training part's unigram model costs 3.1273 on validation


@pytest.mark.parametrize("name", ["anna-1-epoch-numpy", "anna-1-epoch-torch", "anna-20-epochs"])
def test_every_run_is_committed_with_its_config_hardware_versions_and_command(name):
    environment = json.loads((RESULTS / name / "env.json").read_text(encoding="utf-8"))
    config = json.loads((RESULTS / name / "config.json").read_text(encoding="utf-8"))
    assert {"numpy", "numba", "torch", "python"} <= environment["versions"].keys()
    assert environment["processor"]
    assert environment["command"].startswith("lstm train char-anna")
    assert (config["hidden_sizes"], config["batch_size"], config["seq_length"]) == ([512, 512], 128, 100)
    assert len(metrics(name)) == len(printed(name))


@pytest.mark.row("C61")
def test_twenty_epochs_reach_1_32_nats():
    lines = printed("anna-20-epochs")
    assert lines[-1][0] == 2750
    assert min(val for _, _, val in lines) <= 1.32
    assert json.loads((RESULTS / "anna-20-epochs" / "config.json").read_text(encoding="utf-8"))["epochs"] == 20


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


@pytest.mark.row("C57")
def test_after_one_epoch_the_text_is_word_like():
    text = (RESULTS / "anna-1-epoch-torch" / "sample.txt").read_text(encoding="utf-8")
    lengths = [len(word) for word in words(text)]
    assert 2.5 <= sum(lengths) / len(lengths) <= 5.5
    assert sum(c.isalpha() or c.isspace() for c in text) / len(text) > 0.9


@pytest.mark.row("C60")
def test_after_twenty_epochs_the_words_are_the_novels_and_the_text_is_not_copied(data_dir):
    novel = load_corpus("anna", data_dir).text
    lexicon = set(words(novel))
    for number in (1, 2, 3):
        text = (RESULTS / "anna-20-epochs" / f"sample-{number}.txt").read_text(encoding="utf-8").rstrip("\n")
        found = words(text)[:-1]  # the last word may be cut
        assert sum(word in lexicon for word in found) / len(found) >= 0.95, number
        assert longest_copy(text, novel) < 60, number


def longest_copy(text: str, source: str) -> int:
    """Length of the longest stretch of `text` that stands in `source`."""
    longest = 0
    for start in range(len(text)):
        while start + longest < len(text) and text[start : start + longest + 1] in source:
            longest += 1
    return longest


def test_the_longest_copy_is_found():
    assert longest_copy("xxhello worldyy", "say hello world now") == len("hello world")


def test_a_log_says_what_its_entropy_floor_was(data_dir):
    """The printed plateau belongs to this text: its unigram entropy is 3.1043 nats."""
    text = load_corpus("anna", data_dir).text
    assert unigram_entropy(Vocabulary.build(text).encode(text)) == pytest.approx(3.1043, abs=5e-5)


def differences() -> list[tuple[int, float, float]]:
    """(step, difference of the losses, of the validation losses) of the two one-epoch logs, line by line."""
    pairs = list(zip(metrics("anna-1-epoch-numpy"), metrics("anna-1-epoch-torch"), strict=True))
    assert [ours["step"] for ours, _ in pairs] == [torchs["step"] for _, torchs in pairs]
    return [
        (int(ours["step"]), abs(ours["loss"] - torchs["loss"]), abs(ours["val_loss"] - torchs["val_loss"]))
        for ours, torchs in pairs
    ]


def test_the_twins_logs_agree_at_every_line():
    """With dropout on, in float32. From step 108 on the loss falls steeply and a difference grows about as fast."""
    for step, loss, val_loss in differences():
        assert max(loss, val_loss) <= 1e-4, step

"""A run on a plain text as words: what is done to the text is the run's own, and is done again wherever it goes on, is
scored or is primed."""

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_ref.core.checkpoint import SEAL, Checkpoint
from lstm_ref.core.corpora import read_text
from lstm_ref.core.dataset_file import read_dataset
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import resume, start
from lstm_ref.core.words import EOS, UNK, Preparation
from parity_tests.cli.conftest import Lstm, Refused

ANIMALS = ["Cat", "Dog", "Cow", "Hen", "Owl", "Ewe"]
RAW = "".join(f"The {a} saw the {b}, and THE {c} ran!\n\n" for a in ANIMALS for b in ANIMALS for c in ANIMALS)
TEXT = "Once, upon 1 time.\n" + RAW  # words that come once, a number, blank lines
FIELDS = {"corpus": "text.txt", "vocabulary": "word", "embedding_size": 6, "hidden_sizes": 8, "batch_size": 4}
FIELDS |= {"seq_length": 12, "epochs": 1, "print_every": 20}
PREPARED = {"min_count": 2, "normalize": True, "lower": True, "blank_lines": False}
OPTIONS = ["--vocabulary=word", "--min-count=2", "--normalize", "--lower", "--no-blank-lines"]
ANIMAL_WORDS = {"cat", "dog", "cow", "hen", "owl", "ewe"}


def train(**changes: object) -> list[str]:
    return ["train", "tiny", *(f"--set={name}={value}" for name, value in (FIELDS | changes).items()), "--quiet"]


@pytest.fixture
def place(lstm: Lstm, tmp_path: Path) -> Path:
    """text.txt, and `run`, which was prepared in all four ways."""
    (tmp_path / "text.txt").write_text(TEXT)
    assert lstm(*train(**PREPARED), "--run=run").code == 0
    return tmp_path


def loaded(run: str) -> Checkpoint:
    return Checkpoint.load(Path(run) / "checkpoints" / "best.safetensors")


def score(lstm: Lstm, *arguments: str) -> dict:
    outcome = lstm("score", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out) | {"text": ""}


def test_a_run_trains_on_the_words_that_its_fields_ask_for(place):
    checkpoint = loaded("run")
    assert set(checkpoint.vocabulary.tokens) == {EOS, UNK, "the", "saw", "and", "ran", "!", *ANIMAL_WORDS}
    assert checkpoint.vocabulary.preparation == Preparation(normalize=True, lower=True, blank_lines=False)
    stored = json.loads((place / "run" / "config.json").read_text())
    assert {name: stored[name] for name in PREPARED} == PREPARED


@pytest.mark.parametrize(
    ("change", "tokens"),
    [
        ({}, ["1", "Once,", "THE", "The", "ran!", "the", "time."]),
        ({"min_count": 2}, [UNK, "THE", "The", "ran!", "the"]),
        ({"normalize": "true"}, ["!", ".", "Once", "THE", "The", "ran", "the", "time"]),
        ({"lower": "true"}, ["1", "once,", "ran!", "the", "time."]),
    ],
)
def test_each_field_does_its_own_part(lstm: Lstm, tmp_path, change, tokens):
    (tmp_path / "text.txt").write_text(TEXT)
    assert lstm(*train(**change), "--run=run").code == 0
    others = {"saw", "and", "upon", EOS} | {a.lower() + end for a in ANIMALS for end in ("", ",")}
    assert [word for word in loaded("run").vocabulary.tokens if word.lower() not in others] == tokens


def test_blank_lines_are_line_ends_unless_they_are_dropped(lstm: Lstm, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    ends = []
    for blank_lines in ("true", "false"):
        assert lstm(*train(blank_lines=blank_lines), f"--run={blank_lines}").code == 0
        ends.append(loaded(blank_lines).vocabulary.encode(RAW).tolist().count(loaded("true").vocabulary.id_of[EOS]))
    assert ends == [432, 216]


def test_training_and_encoding_give_a_text_the_same_ids(lstm: Lstm, place):
    assert lstm("data", "encode", "text.txt", *OPTIONS, "--out=text.safetensors").code == 0
    dataset, checkpoint = read_dataset(place / "text.safetensors"), loaded("run")
    assert checkpoint.vocabulary == dataset.vocabulary
    corpus = read_text(place / "text.txt", "text.txt")
    with RunFolder(place / "new") as one, RunFolder(place / "branch") as other:
        for trainer in (start(checkpoint.config, corpus, one), resume(checkpoint, corpus, other)):
            assert np.array_equal(trainer.stream.ids, dataset["train"].ids)
            assert np.array_equal(trainer.validation_ids, dataset["validation"].ids)


def test_a_run_that_goes_on_prepares_its_text_as_before(lstm: Lstm, place):
    assert lstm("train", "--resume=run", "--epochs=2", "--quiet").code == 0
    assert lstm(*train(**PREPARED | {"epochs": 2}), "--run=whole").code == 0
    gone_on, whole = (loaded(run) for run in ("run", "whole"))
    assert gone_on.progress.step == whole.progress.step
    assert all(np.array_equal(gone_on.model[name], whole.model[name]) for name in whole.model)


def test_a_raw_text_is_scored_as_what_the_model_would_have_been_trained_on(lstm: Lstm, place):
    by_hand = "".join(f"{line}\n" for line in TEXT.lower().replace("1", "").split("\n") if line)
    by_hand = by_hand.replace(",", " ").replace("!", " !").replace(".", " .")
    (place / "by_hand.txt").write_text(by_hand)
    (place / "loud.txt").write_text(TEXT.upper())
    raw = score(lstm, "run", "text.txt", "--part=all")
    assert raw == score(lstm, "run", "by_hand.txt", "--part=all") == score(lstm, "run", "loud.txt", "--part=all")
    assert raw["tokens_scored"] == len(by_hand.split()) + by_hand.count("\n") - 1
    best = score(lstm, "run", "--batch-size=4", "--seq-length=12")["nats_per_token"]
    assert best == loaded("run").progress.best_loss


def test_a_model_of_a_text_as_it_is_takes_none_of_it_back(lstm: Lstm, refused: Refused, place):
    assert lstm(*train(), "--run=plain").code == 0
    (place / "loud.txt").write_text(RAW.upper())
    assert "words are not among the model's" in refused(3, "score", "plain", "loud.txt")


def test_a_prime_is_prepared_as_the_text_was(lstm: Lstm, place):
    shown = lstm("sample", "run", "--prime=THE Cat,saw 3 OWL!", "--size=3")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("the cat saw owl !")


def test_a_fixture_is_made_with_the_same_options_and_another_is_refused(lstm: Lstm, refused: Refused, place):
    rows = ["data", "fixture", "text.txt", "--part=train", "--rows=9", "--length=5"]
    assert lstm(*rows, *OPTIONS, "--out=prepared.npz").code == 0
    assert lstm(*rows, "--vocabulary=word", "--out=plain.npz").code == 0
    assert lstm("score", "run", "--fixture=prepared.npz").code == 0
    assert "another vocabulary" in refused(3, "score", "run", "--fixture=plain.npz")


@pytest.mark.parametrize("change", ["min_count=3", "normalize=false", "lower=false", "blank_lines=true"])
def test_a_run_that_goes_on_cannot_prepare_its_text_anew(refused: Refused, place, change):
    line = refused(2, "train", "--resume=run", "--epochs=2", f"--set={change}")
    assert f"{change.partition('=')[0]} cannot change in a run that goes on" in line


def test_what_has_no_meaning_without_words_is_refused(refused: Refused, place):
    for change in ("min_count=2", "normalize=true", "lower=true", "blank_lines=false"):
        for vocabulary in ("char", "byte"):
            line = refused(2, *train(vocabulary=vocabulary), f"--set={change}", "--run=new")
            assert change in line
            assert f'with vocabulary="{vocabulary}"' in line
    for option in OPTIONS[1:]:
        assert 'with vocabulary="char"' in refused(2, "data", "info", "text.txt", option)
    (place / "text.txt").write_text("the <unk> sat\n" * 50)
    assert "is split into words already, it has <unk>" in refused(3, *train(normalize="true"), "--run=new")


def test_a_checkpoint_from_before_these_fields_is_of_a_text_as_it_is(lstm: Lstm, place):
    assert lstm(*train(), "--run=plain").code == 0
    saved, path = loaded("plain"), place / "old.safetensors"
    text, tensors = SEAL.read(place / "plain" / "checkpoints" / "best.safetensors")
    header = json.loads(text)
    for name in PREPARED:
        del header["config"][name]
    SEAL.write(path, header, tensors)
    assert Checkpoint.load(path).config == saved.config
    assert score(lstm, "old.safetensors") == score(lstm, "plain")

"""The commands on words: what `data` says of a text and writes of it, and a model trained, sampled and scored."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_ref.core.dataset_file import read_dataset
from lstm_ref.core.words import split_words
from parity_tests.conftest import RunLstm

ARTICLE = " \n = The {0} = \n \n The {0} sat on the mat , and the {0} ran . \n \n = = More = = \n \n The {0} ! \n \n"
TRAIN = "".join(ARTICLE.format(animal) for animal in ("cat", "dog", "cow", "hen") * 20)
VALID = ARTICLE.format("owl") + ARTICLE.format("cat")
FIELDS = {"vocabulary": "word", "embedding_size": 6, "hidden_sizes": 8, "batch_size": 4, "seq_length": 12, "epochs": 1}
HERE = {"COLUMNS": "80"}


def write_texts(folder: Path) -> None:
    """A corpus of two parts in `animals`, and a plain text beside it."""
    (folder / "animals").mkdir()
    (folder / "animals" / "train.txt").write_text(TRAIN)
    (folder / "animals" / "valid.txt").write_text(VALID)
    (folder / "text.txt").write_text(TRAIN)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of texts and `run`, a model of the words of text.txt. To look at only."""
    place = tmp_path_factory.mktemp("words")
    write_texts(place)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_")}
    fields = [f"--set={name}={value}" for name, value in (FIELDS | {"corpus": "text.txt"}).items()]
    command = [sys.executable, "-m", "lstm_ref", "train", "tiny", *fields, "--run=run", "--quiet"]
    subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, timeout=120)
    return place


@pytest.fixture
def workplace(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def rows(table: str) -> dict[str, str]:
    """The two columns of a table, a cell that goes over several lines as one."""
    facts: dict[str, str] = {}
    for line in table.splitlines():
        name, _, value = re.match(r" (.*?)(  +|$)(.*)", line).groups()
        if name:
            facts[name] = value.strip()
        else:
            facts[list(facts)[-1]] += f" {value.strip()}"
    return facts


def only_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_data_info_counts_words_articles_and_what_is_unknown(run_lstm: RunLstm, tmp_path):
    write_texts(tmp_path)
    done = run_lstm("data", "info", "animals", "--vocabulary=word", env=HERE)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    facts = rows(done.stdout)
    train, validation = list(split_words(TRAIN)), list(split_words(VALID))
    assert facts["source"] == "animals"
    assert facts["tokens"] == f"{len(train) + len(validation):,}"
    assert facts["words"] == str(len({*train, "<unk>"}))
    assert facts["training / validation"] == f"{len(train):,} / {len(validation):,}"
    assert facts["articles"] == "80 / 2"
    assert facts["most frequent"].startswith(f"<eos> {train.count('<eos>')}  = {train.count('=')}  ")
    assert facts["<unk>"] == f"0.00% / {validation.count('owl') / len(validation):.2%}"
    assert facts["only in validation"] == "'<unk>'"


def test_data_info_prepares_a_text_as_it_is_told_to(run_lstm: RunLstm, tmp_path):
    (tmp_path / "text.txt").write_text("Hi,you!\n\nHI 3\n" * 10)
    options = ["--vocabulary=word", "--normalize", "--lower", "--no-blank-lines"]
    facts = rows(run_lstm("data", "info", "text.txt", *options, env=HERE).stdout)
    assert (facts["words"], facts["tokens"]) == ("4", "60")
    facts = rows(run_lstm("data", "info", "text.txt", "--vocabulary=word", "--min-count=20", env=HERE).stdout)
    assert facts["words"] == "2"


@pytest.mark.parametrize("text", ["word", " ", "\n", "two words", "x" * 5000])
def test_a_text_of_hardly_a_word_is_described_all_the_same(run_lstm: RunLstm, tmp_path, text):
    (tmp_path / "text.txt").write_text(text)
    done = run_lstm("data", "info", "text.txt", "--vocabulary=word", env=HERE | {"PYTHONWARNINGS": "error"})
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(done.stdout)["tokens"] == str(len(list(split_words(text))))


def test_words_are_printed_as_they_are_and_harm_no_terminal(run_lstm: RunLstm, tmp_path):
    (tmp_path / "[b]:cat:.txt").write_text("[/b] :dog: \x1b[2J \u202e\n" * 20, encoding="utf-8")
    done = run_lstm("data", "info", "[b]:cat:.txt", "--vocabulary=word", env=HERE)
    assert (done.returncode, done.stderr) == (0, "")
    facts = rows(done.stdout)
    assert facts["source"] == "[b]:cat:.txt"
    for shown in ("[/b] 18", ":dog: 18", r"\x1b[2J 18", r"\u202e 18"):
        assert shown in facts["most frequent"]


@pytest.mark.row("BW26")
def test_an_encoded_text_says_the_same_of_itself_as_the_text(run_lstm: RunLstm, tmp_path):
    write_texts(tmp_path)
    done = run_lstm("data", "encode", "animals", "--vocabulary=word", "--out=animals.safetensors")
    assert (done.returncode, done.stdout) == (0, "animals.safetensors\n")
    assert re.fullmatch(
        r"\d+ tokens in the vocabulary; train [\d,]+ in 80 articles, validation \d+ in 2 articles\n", done.stderr
    )
    dataset = read_dataset(tmp_path / "animals.safetensors")
    assert [dataset.vocabulary.tokens[i] for i in dataset["train"].ids] == list(split_words(TRAIN))
    of_text = rows(run_lstm("data", "info", "animals", "--vocabulary=word").stdout)
    of_file = rows(run_lstm("data", "info", "animals.safetensors").stdout)
    assert of_file == {name: value for name, value in of_text.items() if name != "translated line ends"} | {
        "source": "animals.safetensors"
    }


@pytest.mark.row("W8", "W9")
def test_a_folder_of_the_notebooks_arrays_is_encoded_and_described(run_lstm: RunLstm, tmp_path):
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "vocab.npy", np.array(["<eos>", "cat", "the"]))
    np.save(tmp_path / "arrays" / "wiki.train.npy", np.array([[2, 1, 0], [2, 2, 0]]))
    np.save(tmp_path / "arrays" / "wiki.valid.npy", np.array([2, 1]))
    assert run_lstm("data", "encode", "arrays", "--out=arrays.safetensors").returncode == 0
    assert rows(run_lstm("data", "info", "arrays.safetensors").stdout)["articles"] == "2 / 1"
    assert rows(run_lstm("data", "info", "arrays").stdout)["training / validation"] == "6 / 2"
    articles = np.empty(1, object)
    articles[0] = np.array([2])
    np.save(tmp_path / "arrays" / "wiki.valid.npy", articles, allow_pickle=True)
    assert "wiki.valid.npy holds Python objects" in only_line(run_lstm("data", "info", "arrays"), 3)


def test_an_encoded_text_is_not_written_over_unless_asked_for(run_lstm: RunLstm, tmp_path):
    write_texts(tmp_path)
    (tmp_path / "x.safetensors").write_text("mine")
    command = ["data", "encode", "text.txt", "--out=x.safetensors"]
    assert "x.safetensors exists: take another name, or --overwrite" in only_line(run_lstm(*command), 2)
    assert (tmp_path / "x.safetensors").read_text() == "mine"
    assert run_lstm(*command, "--overwrite").returncode == 0
    assert "has to end in .safetensors" in only_line(run_lstm("data", "encode", "text.txt", "--out=x.npz"), 2)
    assert "cannot write" in only_line(run_lstm("data", "encode", "text.txt", "--out=no/x.safetensors"), 3)
    (tmp_path / "x.safetensors").write_text("mine")
    assert "no whole safetensors file" in only_line(run_lstm("data", "info", "x.safetensors"), 3)


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["info", "split.txt", "--vocabulary=word", "--normalize"], 3, "leave that off"),
        (["info", "split.txt", "--min-count=0"], 2, "min-count"),
        (["info", "split.txt", "--vocabulary=syllable"], 2, "syllable"),
        (["info", "."], 3, "Is a directory without train.txt"),
        (["encode", "split.txt"], 2, "--out"),
    ],
)
def test_what_cannot_be_read_as_words_ends_in_one_line(run_lstm: RunLstm, tmp_path, arguments, code, problem):
    (tmp_path / "split.txt").write_text("the <unk> sat\n")
    assert problem in only_line(run_lstm("data", *arguments), code)


@pytest.mark.row("W58")
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_model_of_words_is_primed_with_words_and_writes_as_many_as_asked(run_lstm: RunLstm, workplace, backend):
    done = run_lstm("sample", "run", "--prime=The cat", "--size=40", "--temperature=2", f"--backend={backend}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The cat ")
    words = list(split_words(done.stdout.removesuffix("\n")))
    assert len(words) == 2 + 1 + 40
    assert set(words) <= set(split_words(TRAIN))


def test_a_prime_of_unknown_words_is_an_error_that_names_them_or_skips_them(run_lstm: RunLstm, workplace):
    line = only_line(run_lstm("sample", "run", "--prime=The owl sat"), 3)
    known = "1 words are not among the model's 17: 'owl'; remove them or skip them (--on-unknown skip)"
    assert line == f"error: prime 'The owl sat': {known}"
    done = run_lstm("sample", "run", "--prime=The owl sat", "--on-unknown=skip", "--size=3")
    assert done.stdout.startswith("The sat ")


def test_a_score_counts_words_and_each_part_of_a_text(run_lstm: RunLstm, workplace):
    (workplace / "animals" / "test.txt").write_text(ARTICLE.format("hen"))
    counts = {}
    for part in ("train", "validation", "test", "all"):
        done = run_lstm("score", "run", "animals", f"--part={part}", "--on-unknown=skip", "--json")
        assert done.returncode == 0, done.stderr
        counts[part] = json.loads(done.stdout)["tokens_scored"]
    lengths = [sum(word != "owl" for word in split_words(text)) for text in (TRAIN, VALID, ARTICLE.format("hen"))]
    assert [counts[part] for part in ("train", "validation", "test")] == [length - 1 for length in lengths]
    assert counts["all"] == sum(lengths) - 1
    assert "has no part 'test'" in only_line(run_lstm("score", "run", "--part=test"), 3)
    assert "(--on-unknown skip)" in only_line(run_lstm("score", "run", "animals"), 3)


@pytest.mark.row("W8", "W10", "W12")
def test_data_info_knows_wikitext_by_its_name(run_lstm: RunLstm, data_dir):
    facts = rows(run_lstm("data", "info", "wikitext-2", f"--data-dir={data_dir}", env=HERE).stdout)
    assert facts["words"] == "33,278"
    assert facts["training / validation / test"] == "2,088,628 / 217,646 / 245,569"
    assert facts["articles"] == "600 / 60 / 60"
    assert facts["only in validation"] == "none"
    assert facts["most frequent"].startswith("the 113,161 ")
    assert "wikitext-2" in rows(run_lstm("data", "list", f"--data-dir={data_dir}", env=HERE).stdout)

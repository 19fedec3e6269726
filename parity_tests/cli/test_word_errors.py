"""What a user of word models gets for bad input: one line on stderr, the right exit code, and every file as it was."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lstm_ref.cli.main import run
from parity_tests.cli.conftest import Lstm, Refused, content

ANIMALS = ["cat", "dog", "cow", "hen", "owl", "ewe"]
TEXT = "".join(f"The {a} saw the {b} , and the {c} ran .\n" for a in ANIMALS for b in ANIMALS for c in ANIMALS)
TEXTS = {
    "text": TEXT,  # 2,592 words: 2,332 and 260
    "rare": TEXT + "The yak saw the gnu .\n" * 20,  # words of validation only: <unk> is in its vocabulary
    "strange": "xa xb xc xd\n" * 20,
    "short": "The cat saw the dog .\n" * 3,
}
FIELDS = {"vocabulary": "word", "embedding_size": 6, "hidden_sizes": 8, "batch_size": 4, "seq_length": 12, "epochs": 1}
NONE_SAID = ["--quiet", "--set=print_every=20"]


def train(text: str = "text", **changes: object) -> list[str]:
    fields = FIELDS | {"corpus": f"{text}.txt"} | changes
    return ["train", "tiny", *(f"--set={name}={value}" for name, value in fields.items()), *NONE_SAID]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Texts, ids and rows of them, and two runs: `known` has no <unk>, `rare` has. To look at only."""
    place = tmp_path_factory.mktemp("words")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in [name for name in os.environ if name.startswith("LSTM_")]:
            patch.delenv(name)
        for name, text in TEXTS.items():
            Path(f"{name}.txt").write_text(text)
        made = [
            [*train("text"), "--run=known"],
            [*train("rare"), "--run=rare"],
            ["data", "encode", "text.txt", "--vocabulary=word", "--out=text.safetensors"],
            ["data", "encode", "strange.txt", "--vocabulary=word", "--out=strange.safetensors"],
            ["data", "fixture", "rare.txt", "--vocabulary=word", "--rows=9", "--length=5", "--out=rare.npz"],
        ]
        made[-1].append("--part=train")
        for command in made:
            assert run(command) == 0
        yield place


@pytest.fixture
def workplace(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


RATES = ["weight_drop", "dropout_embedding", "dropout_input", "dropout_between", "dropout_output"]
NEW = "--run=new"
GO_ON = ["train", "--resume=known", "--epochs=2"]
CASES: dict[str, tuple[int, list[str], str]] = {
    # a vocabulary that does not fit
    "rows of another text": (
        3,
        ["score", "known", "--fixture=rare.npz"],
        "rare.npz has ids up to 14 of another vocabul",
    ),
    "rows of another text, to train": (3, [*train(), NEW, "--fixture=rare.npz"], "make one with `lstm data fixture`"),
    "rows of another text, to go on": (3, [*GO_ON, "--fixture=rare.npz"], "make one with `lstm data fixture`"),
    "ids of another text": (3, ["score", "known", "strange.safetensors"], "strange.safetensors is no text"),
    "ids of its own text": (3, ["score", "known", "text.safetensors"], "`lstm data encode`, give their text"),
    "ids to train on": (3, [*train(corpus="text.safetensors"), NEW], "text.safetensors is no text"),
    "another text to go on with": (2, [*GO_ON, "--set=corpus=rare.txt"], "corpus cannot change in a run that goes on"),
    "characters to go on with": (2, [*GO_ON, "--set=vocabulary=char"], "vocabulary cannot change in a run that goes"),
    # words that a model does not know
    "a score of unknown words": (
        3,
        ["score", "known", "strange.txt", "--part=all"],
        "80 words are not among the model's 1",
    ),
    "a score of what is taken for an <unk> that is not there": (
        3,
        ["score", "known", "strange.txt", "--on-unknown=unk"],
        "'xd'; remove them or skip them (--on-unknown skip)",
    ),
    "a score of unknown words that may not be": (3, ["score", "rare", "strange.txt", "--on-unknown=error"], "80 words"),
    "a prime of unknown words": (
        3,
        ["sample", "known", "--prime=xa xb"],
        "prime 'xa xb': 2 words are not among the mo",
    ),
    "a prime of unknown words, and <unk>": (
        3,
        ["sample", "rare", "--prime=xa xb"],
        "or take them for <unk> (--on-unknown unk)",
    ),
    "a prime of an <unk> that is not there": (
        3,
        ["sample", "known", "--prime=xa", "--on-unknown=unk"],
        "1 words are n",
    ),
    # windows longer than the text, and more rows than it has words
    "windows longer than validation": (
        3,
        [*train(seq_length=99_999, evaluation="windows"), NEW],
        "validation: text too short: 260 tokens, and one window of batch_size=4 x seq_length=99999 needs 399997",
    ),
    "more rows than words": (
        3,
        [*train(batch_size=2332), NEW],
        "2332 tokens, and batch_size=2332 rows of one step need",
    ),
    "more rows than words of a short text": (3, [*train("short", batch_size=40), NEW], "set batch_size to 17 or less"),
    "more rows than validation has": (
        3,
        [*train(validation_batch_size=400, evaluation="windows"), NEW],
        "set validation_batch_size to 21 or less",
    ),
    "more rows to predict than there are": (
        3,
        [
            "data",
            "fixture",
            "short.txt",
            "--vocabulary=word",
            "--out=new.npz",
            "--part=train",
            "--rows=1024",
            "--length=5",
        ],
        "1024 rows of 5 words and the one after need 6,144 words, and the text has 18: take fewer rows",
    ),
    # a model that cannot be
    **{f"{name} 1": (2, [*train(**{name: "1.0"}), NEW], f"{name}='1.0': expected less than 1") for name in RATES},
    "weight_drop below 0": (
        2,
        [*train(weight_drop=-0.1), NEW],
        "weight_drop='-0.1': expected greater than or equal to 0",
    ),
    "weight_drop 1 to go on with": (2, [*GO_ON, "--set=weight_drop=1"], "weight_drop='1': expected less than 1"),
    "tied and of unequal sizes": (2, [*train(tied="true"), NEW], "embedding_size=6 and hidden_sizes=[8]: one matrix"),
    "tied to one-hot input": (2, [*train(tied="true", embedding_size=0), NEW], "embedding_size=0 and hidden_sizes=[8]"),
    "tied by its last layer of two": (
        2,
        [*train(tied="true", hidden_sizes="6,8"), NEW],
        "hidden_sizes=[6, 8]: one matr",
    ),
    "tied to go on with": (2, [*GO_ON, "--set=tied=true"], "make them equal"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_ends_in_one_line_and_nothing_is_lost_or_left(refused: Refused, workplace, case):
    code, arguments, problem = CASES[case]
    assert problem in refused(code, *arguments)


@pytest.mark.parametrize("file", ["train.txt", "valid.txt"])
def test_a_run_does_not_go_on_with_another_text_of_the_same_words(lstm: Lstm, refused: Refused, tmp_path, file):
    (tmp_path / "parts").mkdir()
    for part in ("train.txt", "valid.txt"):
        (tmp_path / "parts" / part).write_text(TEXT)
    assert lstm(*train(corpus="parts"), "--run=run").code == 0
    (tmp_path / "parts" / file).write_text(TEXT.replace("cat saw", "cow saw"))
    assert "resume with the same text" in refused(4, "train", "--resume=run", "--epochs=2")


def advised(sizes: str) -> list[str]:
    """`set batch_size to 17 or less` -> --set=batch_size=17"""
    return [f"--set={name}={number}" for name, number in re.findall(r"set (\w+) to (\d+) or less", sizes)]


@pytest.mark.parametrize(
    "command",
    [
        train("short", batch_size=40),
        train(batch_size=2332),
        train(batch_size=400, evaluation="windows"),
        train(validation_batch_size=400, evaluation="windows"),
    ],
)
def test_the_number_of_rows_that_is_advised_can_be_trained_with(lstm: Lstm, refused: Refused, workplace, command):
    (size,) = advised(refused(3, *command, NEW))
    outcome = lstm(*command, size, NEW)
    assert outcome.code == 0, outcome.err
    name, _, number = size.rpartition("=")
    refused(3, *command, f"{name}={int(number) + 1}", "--run=newer")


def test_windows_longer_than_the_rows_of_a_text_of_words_are_as_long_as_the_rows(lstm: Lstm, workplace):
    """Every row is wholly read, so there is nothing to refuse."""
    assert lstm(*train(seq_length=99_999), "--set=checkpoint_every=1", NEW).code == 0
    assert max((workplace / "new" / "checkpoints").glob("step-*")).name == "step-000000001.safetensors"


ALL_UNK, LEFT_OUT = "every word is <unk> to it", "all is left out"


@pytest.mark.parametrize(
    ("model", "how", "said"),
    [("rare", None, ALL_UNK), ("rare", "unk", ALL_UNK), ("rare", "skip", LEFT_OUT), ("known", "skip", LEFT_OUT)],
)
def test_a_score_of_a_text_with_no_known_word_says_so(lstm: Lstm, workplace, model, how, said):
    options = [f"--on-unknown={how}"] if how else []
    outcome = lstm("score", model, "strange.txt", "--part=all", *options)
    assert (outcome.code, outcome.err) == (0, f"the model knows nothing of strange.txt: {said}\n")
    assert "tokens scored" in outcome.out
    (workplace / "strange.txt").write_text(TEXTS["strange"] + "cat\n")
    assert lstm("score", model, "strange.txt", "--part=all", *options).err == ""


@pytest.mark.parametrize(
    ("model", "how", "said"), [("rare", "unk", ALL_UNK), ("rare", "skip", LEFT_OUT), ("known", "skip", LEFT_OUT)]
)
def test_a_sample_of_a_prime_with_no_known_word_says_so(lstm: Lstm, workplace, model, how, said):
    outcome = lstm("sample", model, "--prime=xa xb", f"--on-unknown={how}", "--size=5")
    assert (outcome.code, outcome.err) == (0, f"the model knows nothing of the prime: {said}\n")
    assert outcome.out.startswith("<unk> <unk> ") == (how == "unk")
    for prime in ("xa cat", "", "\n"):
        assert lstm("sample", model, f"--prime={prime}", f"--on-unknown={how}", "--size=5").err == ""


OFTEN = {"checkpoint_every": 1}
DIVERGING: dict[str, dict[str, object]] = {
    "adam": {},
    "adam, in the range of float32": {"lr": "1e38"},
    "adam, a checkpoint a step": OFTEN,
    "adam, seen by validation": OFTEN | {"print_every": 1},
    "adam, by the last step": {"seq_length": 99_999},
    "adamw, on a plateau": {"optimizer": "adamw", "schedule": "plateau"},
    "sgd": {"optimizer": "sgd"},
    "nt-asgd, a checkpoint a step": OFTEN | {"optimizer": "nt-asgd"},
}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("case", DIVERGING)
def test_a_run_that_diverges_ends_with_6_and_what_is_advised_then_helps(lstm: Lstm, workplace, case, backend):
    command = train(**({"lr": "1e300"} | DIVERGING[case]))
    outcome = lstm(*command, NEW, f"--backend={backend}")
    assert (outcome.code, outcome.out) == (6, "")
    *notes, line = outcome.err.splitlines()
    assert re.match(r"error: (validation )?loss nan.* at step [12][;:] ", line)
    assert not any(word in note for note in notes for word in ("error", "Warning"))
    before = content(workplace / "new")
    assert "checkpoints/step-000000000.safetensors" in before
    advice = lstm("train", *shlex.split(line[line.index("--resume") :]), "--quiet")
    assert advice.code == 0, advice.err
    if "--run new-again" in line:
        assert content(workplace / "new") == before


def test_a_run_that_diverges_later_goes_on_from_its_last_checkpoint_or_from_the_best(lstm: Lstm, workplace):
    for every, start in ((7, "known "), (1, "known/checkpoints/best.safetensors --run known-again ")):
        outcome = lstm(
            "train", "--resume=known", "--epochs=2", "--quiet", "--set=lr=1e38", f"--set=checkpoint_every={every}"
        )
        line = outcome.err.splitlines()[-1]
        assert (outcome.code, line.partition("--resume ")[2]) == (6, f"{start}--set lr=0.01")
        advice = lstm("train", *shlex.split(line[line.index("--resume") :]), "--quiet", "--epochs=2")
        assert advice.code == 0, advice.err
        shutil.rmtree("known")
        shutil.copytree(workplace / "rare", "known")


def test_a_loss_that_no_lr_can_help_is_not_blamed_on_it(lstm: Lstm, workplace):
    outcome = lstm(*train(ar_alpha="1e308"), NEW)
    assert outcome.code == 6
    assert "at step 1: that step updated nothing; no update came before it, so it is not lr" in outcome.err
    only_one = lstm(*train(lr="1e38", checkpoint_every=1, keep_checkpoints=1), "--run=newer")
    assert only_one.code == 6
    assert "the only one: start a new run with a lower lr, --set lr=0.01" in only_one.err

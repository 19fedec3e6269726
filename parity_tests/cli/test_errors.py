"""What a user gets for bad input: one line on stderr, the right exit code, and every file as it was."""

import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save as to_safetensors

from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.runlog import RunFolder
from parity_tests.cli.conftest import Outcome, content, the_line
from parity_tests.conftest import RunLstm

TEXT = "The cat sat on the mat. Then it ran to the dog, and both of them went home again?\n" * 30
SMALL = {"corpus": "text.txt", "hidden_sizes": "8", "batch_size": "4", "seq_length": "12", "epochs": "1"}
OFTEN = {"print_every": "10", "checkpoint_every": "15"}
TRAIN = ["train", "tiny", *(f"--set={field}={value}" for field, value in (SMALL | OFTEN).items())]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text.txt and a finished run of it. To look at only: `workplace` has a copy to spoil."""
    place = tmp_path_factory.mktemp("trained")
    (place / "text.txt").write_text(TEXT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_")}
    command = [sys.executable, "-m", "lstm_ref", *TRAIN, "--run", "run", "--quiet"]
    subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
    return place


@pytest.fixture
def workplace(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


TEXTS: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "No such file"),
    "empty": (b"", "is empty"),
    "one character": (b"T", "too short"),
    "two characters": (b"Th", "too short"),
    "shorter than a window": (b"The cat sat on the mat. " * 2, "too short"),
    "not UTF-8": (b"The caf\xe9 " * 99, "not UTF-8: byte 0xe9 at offset 7"),
    "cut inside a character": (("The cat " * 99 + "é").encode()[:-1], "not UTF-8"),
}


@pytest.mark.parametrize("folder", ["run", "deep/er/run", None])
@pytest.mark.parametrize("case", TEXTS)
def test_a_text_that_cannot_be_trained_on_ends_with_3_and_leaves_no_folder(refused, tmp_path, case, folder):
    stored, problem = TEXTS[case]
    if stored is not None:
        (tmp_path / "text.txt").write_bytes(stored)
    line = refused(3, *TRAIN, *(["--run", folder] if folder else []))
    assert problem in line


def test_an_empty_folder_of_the_users_is_not_taken_away_when_training_cannot_begin(refused, tmp_path):
    (tmp_path / "text.txt").write_text("The")
    (tmp_path / "mine" / "plots").mkdir(parents=True)
    refused(3, *TRAIN, "--run", "mine")


@pytest.mark.parametrize("verb", ["score", "info"])
@pytest.mark.parametrize("case", ["missing", "empty", "not UTF-8", "cut inside a character"])
def test_a_text_that_cannot_be_read_ends_with_3(refused, workplace, case, verb):
    stored, problem = TEXTS[case]
    if stored is not None:
        (workplace / "other.txt").write_bytes(stored)
    arguments = ["score", "run", "other.txt"] if verb == "score" else ["data", "info", "other.txt"]
    assert problem in refused(3, *arguments)


def test_a_folder_in_place_of_a_text_ends_with_3(refused, workplace):
    assert "directory" in refused(3, "score", "run", ".")


def test_a_text_with_nothing_to_score_ends_with_3(refused, workplace):
    (workplace / "other.txt").write_text("T")
    assert "nothing to score" in refused(3, "score", "run", "other.txt", "--part=all")


def test_a_named_text_that_is_not_here_ends_with_3_and_says_how_to_get_it(refused):
    line = refused(3, "train", "char-anna")
    assert "lstm data get anna" in line
    assert "LSTM_DATA" in line


USAGE: dict[str, tuple[list[str], str]] = {
    "unknown verb": (["trian"], "trian"),
    "unknown option": (["train", "tiny", "--bogus"], "--bogus"),
    "unknown preset": (["train", "tniy"], "did you mean 'tiny'?"),
    "no preset": (["train"], "char-anna"),
    "two presets": (["train", "tiny", "tiny"], "tiny"),
    "no checkpoint to sample": (["sample"], "CHECKPOINT"),
    "no checkpoint to score": (["score"], "CHECKPOINT"),
    "no text to get": (["data", "get"], "NAME"),
    "unknown text to get": (["data", "get", "annna"], "'annna'"),
    "unknown field": ([*TRAIN, "--set", "hidden_size=9"], "did you mean 'hidden_sizes'?"),
    "no equals sign": ([*TRAIN, "--set", "lr"], "expected FIELD=VALUE"),
    "no field": ([*TRAIN, "--set", "=3"], "unknown field ''"),
    "a word for a number": ([*TRAIN, "--set", "lr=fast"], "lr='fast'"),
    "lr 0": ([*TRAIN, "--set", "lr=0"], "lr='0'"),
    "lr nan": ([*TRAIN, "--set", "lr=nan"], "lr='nan'"),
    "dropout 1": ([*TRAIN, "--set", "dropout_output=1"], "dropout_output='1'"),
    "no sizes": ([*TRAIN, "--set", "hidden_sizes="], "hidden_sizes="),
    "size 0": ([*TRAIN, "--set", "hidden_sizes=0"], "hidden_sizes="),
    "half a unit": ([*TRAIN, "--set", "hidden_sizes=8.5"], "hidden_sizes="),
    "absurd size": ([*TRAIN, "--set", "hidden_sizes=10000000"], "hidden_sizes="),
    "absurd sizes": ([*TRAIN, "--set", "hidden_sizes=1048576,1048576"], "out of memory"),
    "negative seed": ([*TRAIN, "--seed=-1"], "seed=-1"),
    "epochs 0": ([*TRAIN, "--epochs=0"], "epochs=0"),
    "epochs a word": ([*TRAIN, "--epochs=few"], "few"),
    "dropout on no embedding": ([*TRAIN, "--set", "dropout_input=0.5"], "set embedding_size"),
    "unknown backend": ([*TRAIN, "--backend=jax"], "installed: numpy, torch"),
    "unknown device": ([*TRAIN, "--device=gpu"], "device='gpu'"),
    "unknown precision": ([*TRAIN, "--precision=fp8"], "precision='fp8'"),
    "numpy on cuda": ([*TRAIN, "--backend=numpy", "--device=cuda"], "--backend torch"),
    "numpy in bf16": ([*TRAIN, "--backend=numpy", "--precision=bf16"], "--backend torch"),
    "a file for a folder": ([*TRAIN, "--run=text.txt"], "text.txt"),
    "a config file that is not there": ([*TRAIN, "--config=none.toml"], "none.toml"),
    "a config file that is no TOML": ([*TRAIN, "--config=text.txt"], "text.txt"),
    "a finished run": ([*TRAIN, "--run=run"], "--resume run"),
    "top_k 0": (["sample", "run", "--top-k=0"], "top_k=0"),
    "top_k above V": (["sample", "run", "--top-k=99"], "top_k=99"),
    "top_k a word": (["sample", "run", "--top-k=all"], "all"),
    "temperature 0": (["sample", "run", "--temperature=0"], "greedy"),
    "temperature below 0": (["sample", "run", "--temperature=-0.5"], "temperature=-0.5"),
    "temperature nan": (["sample", "run", "--temperature=nan"], "temperature=nan"),
    "top_p 0": (["sample", "run", "--top-p=0"], "top_p=0"),
    "top_p above 1": (["sample", "run", "--top-p=1.5"], "top_p=1.5"),
    "sample size below 0": (["sample", "run", "--size=-1"], "size"),
    "sample seed below 0": (["sample", "run", "--seed=-1"], "seed"),
    "sample seed of 65 bits": (["sample", "run", f"--seed={1 << 64}"], "seed"),
    "sample by an unknown backend": (["sample", "run", "--backend=jax"], "installed: numpy, torch"),
    "sample on an unknown device": (["sample", "run", "--device=gpu"], "gpu"),
    "sample by numpy on cuda": (["sample", "run", "--device=cuda"], "--backend torch"),
    "sample by numpy in bf16": (["sample", "run", "--precision=bf16"], "--backend torch"),
    "score an unknown part": (["score", "run", "--part=tset"], "tset"),
    "score in 0 rows": (["score", "run", "--batch-size=0"], "batch"),
    "score in fewer than 0 rows": (["score", "run", "--batch-size=-3"], "batch"),
    "score 0 steps at a time": (["score", "run", "--seq-length=0"], "seq"),
    "a split of nothing": (["data", "info", "text.txt", "--validation-fraction=1"], "validation_fraction=1"),
    "a demo of no epochs": (["demo", "--epochs=0"], "epochs=0"),
    "a demo of a negative seed": (["demo", "--seed=-1"], "seed=-1"),
    "other hidden_sizes for a run": (["train", "--resume=run", "--set", "hidden_sizes=9"], "hidden_sizes cannot"),
    "another seed for a run": (["train", "--resume=run", "--seed=5"], "seed cannot change"),
    "an unknown field for a run": (["train", "--resume=run", "--set", "lrr=1"], "did you mean 'lr'?"),
    "an earlier step in place": (["train", "--resume=run/checkpoints/step-000000045.safetensors"], "--run"),
}


@pytest.mark.row("BC9", "C48")
@pytest.mark.parametrize("case", USAGE)
def test_what_cannot_be_meant_ends_with_2_and_names_what_arrived(refused, workplace, case):
    arguments, named = USAGE[case]
    assert named in refused(2, *arguments)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("word.toml", "lr = "),
        ("unknown.toml", "lrr = 1"),
        ("list.json", "[1]"),
        ("deep.json", '{"lr":' * 100_000 + "1" + "}" * 100_000),
        ("null.json", '{"lr": null}'),
        ("bytes.toml", "lr = 1 # \udce9"),
    ],
)
def test_a_config_file_that_cannot_be_used_ends_with_2_and_is_named(refused, workplace, name, stored):
    (workplace / name).write_bytes(stored.encode("utf-8", "surrogateescape"))
    assert name in refused(2, *TRAIN, f"--config={name}")


def test_a_bad_value_in_the_environment_ends_with_2_and_says_where_it_came_from(refused, workplace, monkeypatch):
    monkeypatch.setenv("LSTM_LR", "fast")
    line = refused(2, *TRAIN)
    assert "environment" in line
    assert "lr='fast'" in line


@pytest.mark.row("BC9")
def test_a_prime_with_a_character_that_the_model_does_not_know_ends_with_3(refused, workplace):
    line = refused(3, "sample", "run", "--prime=Naïve")
    assert r"'\xef'" in line
    assert "--on-unknown skip" in line


def test_a_text_with_characters_that_the_model_does_not_know_ends_with_3_and_says_how_to_skip_them(refused, workplace):
    (workplace / "other.txt").write_text("The naïve cat", encoding="utf-8")
    line = refused(3, "score", "run", "other.txt", "--part=all")
    assert r"'\xef'" in line
    assert "--on-unknown skip" in line


class Bomb:
    """Unpickled, it would make a folder."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


def zipped(inside: bytes) -> bytes:
    """As torch.save writes: a zip with a pickle in it."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", inside)
    return file.getvalue()


def flipped(stored: bytes, position: int) -> bytes:
    return stored[:position] + bytes([stored[position] ^ 0x10]) + stored[position + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda stored: b"",
    "truncated": lambda stored: stored[: len(stored) // 2],
    "a header and no more": lambda stored: stored[: 8 + struct.unpack("<Q", stored[:8])[0]],
    "a weight's bit flipped": lambda stored: flipped(stored, len(stored) - 3),
    "a digit of the config flipped": lambda stored: flipped(stored, stored.index(b"epochs") + 9),
    "a header of exabytes": lambda stored: struct.pack("<Q", 1 << 62) + stored[8:],
    "another program's": lambda stored: to_safetensors({"model.decoder.bias": np.ones(7, np.float32)}),
    "pickled": lambda stored: pickle.dumps(Bomb()),
    "pickled in a zip": lambda stored: zipped(pickle.dumps(Bomb())),
}
VERBS = {"sample": ["sample"], "score": ["score"], "train": ["train", "--resume"]}


@pytest.mark.row("BC18")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("verb", VERBS)
def test_a_damaged_or_foreign_checkpoint_ends_with_4_and_nothing_in_it_runs(refused, workplace, verb, damage):
    path = workplace / "run" / "checkpoints" / "best.safetensors"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert "best.safetensors" in refused(4, *VERBS[verb], str(path.relative_to(workplace)))


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("missing", ["nowhere", "nowhere.safetensors", "empty"])
def test_a_missing_checkpoint_ends_with_4(refused, tmp_path, verb, missing):
    (tmp_path / "empty").mkdir()
    assert missing in refused(4, *VERBS[verb], missing)


def test_a_run_of_damaged_checkpoints_only_ends_with_4_and_keeps_what_is_left_of_them(lstm, workplace):
    paths = list((workplace / "run" / "checkpoints").glob("step-*"))
    for path in paths:
        path.write_bytes(path.read_bytes()[:-9])
    before = content(workplace)
    outcome = lstm("train", "--resume", "run")
    assert outcome.code == 4
    *warnings, error = outcome.err.splitlines()
    assert error.startswith("error: no checkpoint to go on with")
    assert len(warnings) == len(paths) == 2
    assert all(line.startswith("warning: ") for line in warnings)
    assert sorted(content(workplace).values(), key=repr) == sorted(before.values(), key=repr)


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(lstm, workplace):
    newest = max((workplace / "run" / "checkpoints").glob("step-*"))
    whole = Checkpoint.load(newest)
    newest.write_bytes(DAMAGES["truncated"](newest.read_bytes()))
    outcome = lstm("train", "--resume", "run", "--quiet")
    assert outcome.code == 0
    assert outcome.err.startswith("warning: ")
    assert newest.name in outcome.err.splitlines()[0]
    again = Checkpoint.load(newest)
    assert {name: value.tobytes() for name, value in again.model.items()} == {
        name: value.tobytes() for name, value in whole.model.items()
    }


@pytest.mark.parametrize("arguments", [[*TRAIN, "--run", "run"], ["train", "--resume", "run"]])
def test_a_run_folder_that_another_process_uses_ends_with_2(run_lstm: RunLstm, workplace, arguments):
    with RunFolder(workplace / "run", resume=True):
        before = content(workplace)
        done = run_lstm(*arguments)
        assert done.returncode == 2
        assert "in use by another process" in the_line(Outcome(done.returncode, done.stdout, done.stderr))
        assert content(workplace) == before


@pytest.mark.row("C48")
def test_a_run_is_not_written_over_by_going_on_with_another(refused, lstm, workplace):
    assert lstm(*TRAIN, "--run", "other", "--seed=1", "--quiet").code == 0
    assert "other holds a run already" in refused(2, "train", "--resume", "run", "--run", "other", "--epochs=2")


def test_going_on_with_a_checkpoint_outside_a_run_folder_takes_no_folder_for_one(refused, workplace):
    """The folder above may be anything, and have a config.json of its own."""
    (workplace / "project" / "weights").mkdir(parents=True)
    (workplace / "project" / "config.json").write_text("{}")
    shutil.copy(workplace / "run" / "checkpoints" / "best.safetensors", workplace / "project" / "weights")
    assert "--run" in refused(2, "train", "--resume", "project/weights/best.safetensors", "--epochs=2")


def test_another_text_than_the_runs_ends_with_4(refused, workplace):
    (workplace / "text.txt").write_text(TEXT.replace("mat", "rug"))
    assert "not the one of the checkpoint" in refused(4, "train", "--resume", "run", "--epochs=2")


BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.row("C3")
def test_without_torch_its_backend_ends_with_2_and_numpy_goes_on(run_lstm: RunLstm, workplace, tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(BLOCKER)
    search = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    before = content(workplace)
    done = run_lstm("sample", "run", "--backend=torch", env={"PYTHONPATH": search})
    line = the_line(Outcome(done.returncode, done.stdout, done.stderr))
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'lstm-parity[torch]'" in line
    assert content(workplace) == before
    assert run_lstm("sample", "run", "--size=5", env={"PYTHONPATH": search}).returncode == 0


@pytest.mark.parametrize("arguments", [[*TRAIN, "--run=new"], ["sample", "run"], ["score", "run"]])
def test_cuda_where_there_is_none_ends_with_2(refused, workplace, arguments):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    assert "no CUDA device" in refused(2, *arguments, "--backend=torch", "--device=cuda")


def test_a_download_where_that_is_forbidden_ends_with_3(refused, monkeypatch):
    monkeypatch.setenv("LSTM_OFFLINE", "1")
    assert "LSTM_OFFLINE" in refused(3, "data", "get", "anna")


def test_a_download_without_pooch_ends_with_2(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert "pip install 'lstm-parity[data]'" in refused(2, "data", "get", "anna")


def test_a_download_without_a_network_ends_with_3_and_leaves_no_file(run_lstm: RunLstm, tmp_path):
    nobody = "http://127.0.0.1:9"
    proxies = {f"{scheme}_proxy": nobody for scheme in ("http", "https")} | {"no_proxy": ""}
    proxies |= {name.upper(): value for name, value in proxies.items()}
    done = run_lstm("data", "get", "anna", env=proxies | {"LSTM_HOME": str(tmp_path / "home")})
    line = the_line(Outcome(done.returncode, done.stdout, done.stderr))
    assert (done.returncode, done.stdout) == (3, "")
    assert "could not download 'anna'" in line
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_run_that_diverges_when_it_goes_on_ends_with_6_and_its_checkpoints_are_as_before(lstm, workplace):
    checkpoints = workplace / "run" / "checkpoints"
    before = content(checkpoints)
    outcome = lstm("train", "--resume", "run", "--epochs=3", "--set", "lr=1e38", "--quiet")
    *notes, line = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (6, "")
    assert line.startswith("error: loss nan")
    assert not any(note.startswith("error") or "Warning" in note for note in notes)
    assert content(checkpoints) == before
    assert lstm("sample", "run", "--size=5").code == 0
    assert lstm("train", "--resume", "run", "--epochs=2", "--set", "lr=0.001", "--quiet").code == 0


@pytest.mark.parametrize("print_every", [1, 1000])
def test_a_run_that_diverges_at_once_is_no_dead_end(lstm, workplace, print_every):
    outcome = lstm(*TRAIN, "--run=new", "--set=lr=1e308", f"--set=print_every={print_every}", "--quiet")
    assert outcome.code == 6
    assert "lower lr" in outcome.err.splitlines()[-1]
    assert "Warning" not in outcome.err
    assert lstm(*TRAIN, "--run=new", "--resume=auto", "--set=lr=0.004", "--quiet").code == 0


def test_a_text_of_one_symbol_has_nothing_to_learn_and_trains_all_the_same(lstm, tmp_path):
    (tmp_path / "text.txt").write_text("a" * 700)
    outcome = lstm(*TRAIN, "--run=run", "--quiet")
    assert outcome.code == 0, outcome.err


def test_what_is_not_foreseen_ends_with_1_as_a_bug_and_debug_shows_where(lstm, workplace, monkeypatch):
    def broken(path: Path) -> Checkpoint:
        raise KeyError("surprise")

    monkeypatch.setattr(Checkpoint, "load", broken)
    quiet, loud = lstm("score", "run"), lstm("--debug", "score", "run")
    assert quiet.code == loud.code == 1
    assert quiet.err == "error: KeyError: 'surprise'. This is a bug of ours; --debug shows where\n"
    assert "Traceback" in loud.err
    assert "in broken" in loud.err


@pytest.mark.parametrize("debug", [False, True])
def test_the_installed_command_passes_on_the_code_and_shows_a_traceback_only_for_debug(run_lstm: RunLstm, debug):
    done = run_lstm(*(["--debug"] if debug else []), "sample", "nowhere")
    assert (done.returncode, done.stdout) == (4, "")
    assert ("Traceback" in done.stderr) == debug
    assert done.stderr.splitlines()[-1].startswith("error: no checkpoint at nowhere")

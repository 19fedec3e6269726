"""`lstm train --distributed` as torchrun starts it: a run of two processes is the run of one, whoever goes on with it;
signals, lost processes, and what cannot be shared.

The corpus and its fields have every regulariser, drawn windows, rows that are reset, a plateau, and a validation text
that does not make equal rows.
"""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from lstm_ref.cli import together
from lstm_ref.cli.main import run
from lstm_ref.cli.signals import StopFlag
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.errors import PeerLostError
from lstm_ref.core.runlog import RunFolder, RunFolderOfAnother
from parity_tests.cli.test_signals import CHILD, losses, newest
from parity_tests.cli.test_word_training import ARTICLE
from parity_tests.ranks import Completed, run_ranks, variables

FIELDS = {
    "corpus": "animals",
    "embedding_size": 6,
    "hidden_sizes": "7,6",
    "tied": "true",
    "dropout_embedding": 0.1,
    "dropout_input": 0.2,
    "dropout_between": 0.2,
    "dropout_output": 0.3,
    "dropout_locked": "true",
    "weight_drop": 0.3,
    "ar_alpha": 2,
    "tar_beta": 1,
    "batch_size": 4,
    "seq_length": 12,
    "window_lengths": "mixture",
    "article_order": "shuffled",
    "reset_at_article": "true",
    "optimizer": "sgd",
    "lr": 3,
    "schedule": "plateau",
    "clip": 0.5,
    "epochs": 4,
    "validate": "epochs",
    "print_every": 5,
    "checkpoint_every": 6,
    "keep_checkpoints": 100,
    "precision": "float64",
}
MODEL = "lstm_torch.distributed:DistributedLM"
STOPPED_AT = 17  # steps
# As CHILD of test_signals, for a run in which a process that hangs is noticed soon.
IMPATIENT = "import datetime, lstm_torch.process_group as g\ng.TIMEOUT = datetime.timedelta(seconds=4)\n" + CHILD


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the corpus, and the current one."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "animals").mkdir()
    for part, animals in {"train": [f"animal{n % 4}" for n in range(24)], "valid": ["animal2", "owl"]}.items():
        (folder / "animals" / f"{part}.txt").write_text("".join(map(ARTICLE.format, animals)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def train(path: str, backend: str = "torch", **changes: object) -> list[str]:
    flags = [f"--set={name}={value}" for name, value in (FIELDS | changes).items()]
    return ["train", "word-seed", f"--backend={backend}", f"--run={path}", *flags]


def in_two(
    arguments: list[str], children: Mapping[int, list[str]] | None = None, **environment: Mapping[str, str]
) -> list[Completed]:
    """children: of single ranks, what comes between `python` and the command's own arguments."""
    usual = ["-m", "lstm_ref"]
    begins = [(children or {}).get(rank, usual) for rank in (0, 1)]
    of_rank = {int(name.removeprefix("rank")): more for name, more in environment.items()}
    return run_ranks([[sys.executable, *begin, *arguments, "--distributed"] for begin in begins], Path.cwd(), of_rank)


def interrupted(number: int, method: str, call: int, code: str = CHILD) -> list[str]:
    """A process that gets a signal at this call of the model."""
    return ["-c", code, MODEL, method, str(call), str(int(number))]


def assert_all_well(done: list[Completed]) -> None:
    assert [child.returncode for child in done] == [0, 0], done[0].stderr + done[1].stderr
    assert (done[1].stdout, done[1].stderr) == ("", "")


@pytest.fixture(scope="module")
def one(place: Path) -> Path:
    """The run of one process."""
    assert run([*train("one"), "--quiet"]) == 0
    return place / "one"


@pytest.fixture(scope="module")
def two(place: Path) -> Path:
    """The run of two, which nothing stopped."""
    done = in_two(train("two"))
    assert_all_well(done)
    assert len([line for line in done[0].stdout.splitlines() if line.startswith("| end of epoch")]) == 4
    assert "torch, cpu, float64, seed 0, 2 processes; two" in done[0].stderr
    return place / "two"


@pytest.fixture(scope="module")
def stopped(two: Path) -> Path:
    """The same, but that the other rank got SIGTERM in a step."""
    done = in_two(train("stopped"), {1: interrupted(signal.SIGTERM, "train_step", STOPPED_AT)})
    assert [child.returncode for child in done] == [143, 143], done[0].stderr + done[1].stderr
    assert done[1].stderr == done[1].stdout == ""
    assert "stopped by signal 15 at step 17" in done[0].stderr.splitlines()[-1]
    assert newest(Path("stopped")).progress.step == STOPPED_AT
    return two.parent / "stopped"


def assert_same_run(path: Path, other: Path, bound: float) -> None:
    """Every log line, but for the epochs that the run was to have then, and every tensor of the last and the best
    checkpoint. bound: absolute; 0 asks for equal bits."""
    ends = [(newest(folder), Checkpoint.load(folder / "checkpoints" / "best.safetensors")) for folder in (path, other)]
    for (mine, theirs), name in zip(zip(*ends), ["last", "best"]):
        assert (mine.progress.step, mine.progress.plateaus) == (theirs.progress.step, theirs.progress.plateaus), name
    for mine, theirs in zip(losses(path), losses(other), strict=True):
        others = [name for name in theirs if name != "epochs" and not _close(mine[name], theirs[name], bound)]
        assert others == [], (mine, theirs)
    for name in (max(path.glob("checkpoints/step-*")).name, "best.safetensors"):
        mine, theirs = (load_file(folder / "checkpoints" / name) for folder in (path, other))
        assert mine.keys() == theirs.keys()
        for tensor, value in theirs.items():
            assert mine[tensor].dtype == value.dtype
            np.testing.assert_allclose(mine[tensor], value, rtol=0, atol=bound, err_msg=f"{name} {tensor}")


def _close(mine: float | None, theirs: float | None, bound: float) -> bool:
    return mine is theirs if theirs is None or mine is None else abs(mine - theirs) <= bound


def test_a_run_of_two_processes_is_the_run_of_one_to_rounding(one, two):
    records = losses(one)
    assert newest(one).progress.plateaus > 0  # or the lr would prove nothing
    assert len({record["lr"] for record in records}) > 1
    assert_same_run(two, one, bound=1e-11)
    config = json.loads((one / "config.json").read_text())
    assert json.loads((two / "config.json").read_text()) == config  # nothing in it says how many


def test_two_processes_go_on_with_what_two_began_to_the_same_bits(two, stopped):
    shutil.copytree(stopped, "on-in-two")
    assert_all_well(in_two(["train", "--resume=on-in-two"]))
    assert_same_run(Path("on-in-two"), two, bound=0)


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_one_process_of_either_twin_goes_on_with_what_two_began(one, stopped, backend):
    path = Path(f"on-in-{backend}")
    shutil.copytree(stopped, path)
    assert run(["train", f"--resume={path}", f"--backend={backend}", "--quiet"]) == 0
    assert_same_run(path, one, bound=1e-11)


def test_two_processes_go_on_with_what_one_began_in_the_other_twin(one):
    assert run([*train("begun", "numpy", epochs=2), "--quiet"]) == 0
    assert_all_well(in_two(["train", "--resume=begun", "--epochs=4", "--backend=torch", "--quiet"]))
    assert_same_run(Path("begun"), one, bound=1e-11)


@pytest.mark.parametrize(
    ("rank", "number", "method", "call", "said"),
    [
        (1, signal.SIGKILL, "train_step", STOPPED_AT, "ended before its time"),
        (0, signal.SIGKILL, "evaluate", 3, "ended before its time"),
        (1, signal.SIGSTOP, "train_step", STOPPED_AT, "has not answered for 4 seconds"),
    ],
    ids=["killed in a step", "rank 0 killed in a validation", "hanging"],
)
def test_a_lost_process_ends_the_run_with_one_line_and_the_last_checkpoint_whole(two, rank, number, method, call, said):
    path = f"lost-{rank}-{int(number)}"
    children = {r: ["-c", IMPATIENT, MODEL, method, str(call if r == rank else 0), str(int(number))] for r in (0, 1)}
    done = in_two([*train(path), "--quiet"], children)
    assert done[rank].returncode == -signal.SIGKILL  # of a process that only hangs: by the test, in the end
    survivor = done[1 - rank]
    assert survivor.returncode == 7, survivor.stderr
    errors = [line for line in survivor.stderr.splitlines() if line.startswith("error")]
    assert errors == survivor.stderr.splitlines()[-1:]
    assert f"rank {1 - rank}: another process of this run {said}; go on with --resume {path}" in errors[0]
    saved = newest(Path(path))  # raises if it is not whole
    assert saved.progress.step == (STOPPED_AT - 1) // 6 * 6 if method == "train_step" else saved.progress.step > 0
    reference = load_file(two / "checkpoints" / f"step-{saved.progress.step:09d}.safetensors")
    for name, value in load_file(max(Path(path).glob("checkpoints/step-*"))).items():
        np.testing.assert_array_equal(value, reference[name], err_msg=name)


def test_processes_that_would_not_do_the_same_do_nothing():
    done = in_two(train("unequal"), rank1={"LSTM_BETA1": "0.3"})
    assert done[1].returncode == 2, done[1].stderr
    assert done[1].stderr.splitlines()[-1].startswith("error: rank 1 differs from rank 0 in beta1: start all processes")
    assert done[0].returncode == 7
    assert not Path("unequal").exists() or newest(Path("unequal")).progress.step == 0


# ---- in this process, which is one rank that never meets another -----------------------------------------------------


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(together, "PATIENCE", 0.0)

    def become(rank: int, size: int) -> None:
        for name, value in variables(rank, size, port=1).items():
            monkeypatch.setenv(name, value)

    return become


TINY = ["train", "tiny", "--backend=torch", "--distributed"]


def test_without_torchrun_one_line_says_how_to_start(refused, monkeypatch):
    for name in variables(0, 2, port=1):
        monkeypatch.delenv(name, raising=False)
    line = refused(2, *TINY)
    assert "RANK" in line
    assert "torchrun --standalone --nproc-per-node 2 -m -- lstm_ref train PRESET --backend torch --distributed" in line


def test_the_numpy_twin_is_refused(refused, as_rank):
    as_rank(0, 2)
    assert "take --backend torch" in refused(2, "train", "tiny", "--distributed")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_batch_that_cannot_be_shared_equally_is_refused_with_both_numbers(refused, as_rank, rank):
    as_rank(rank, 3)
    line = refused(2, *TINY, "--set=batch_size=10")
    assert "batch_size=10 rows" in line
    assert "3 processes" in line


def test_the_other_ranks_wait_before_they_tell_an_error_that_is_likely_rank_0s_too(refused, as_rank, monkeypatch):
    waited = []
    monkeypatch.setattr(together.time, "sleep", waited.append)
    for rank in (0, 1):
        as_rank(rank, 2)
        refused(2, "train", "tniy", "--distributed")
        assert waited == [together.PATIENCE] * rank


def test_a_folder_of_another_process_is_neither_locked_nor_written(one, stopped):
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}

    before, whole = content(), newest(one)
    with RunFolder(stopped, resume=True), RunFolderOfAnother(stopped) as folder:
        assert folder.latest().progress.step == folder.newest_step() == STOPPED_AT
        folder.describe(whole.config)
        folder.log({"step": 99})
        folder.forget_after(0)
        folder.save(whole, keep=1)
        folder.save_best(whole)
    assert content() == before


def test_after_a_process_was_lost_torchruns_signal_does_not_come_before_the_line_that_says_so(capsys):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(PeerLostError), StopFlag():
            raise PeerLostError("another process of this run ended before its time")
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(shutil.which("torchrun", path=str(Path(sys.executable).parent)) is None, reason="no torchrun here")
def test_torchrun_starts_it_and_hands_a_signal_on(two):
    torchrun = Path(sys.executable).with_name("torchrun")
    start = [torchrun, "--standalone", "--nproc-per-node=2", "-m", "--", "lstm_ref"]
    command = [str(part) for part in [*start, *train("by-torchrun", epochs=400), "--distributed"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=240)
    errors = [line for line in err.splitlines() if line.startswith("error")]
    assert len(errors) == 1, err
    assert "stopped by signal 2 at step" in errors[0]
    assert newest(Path("by-torchrun")).progress.step > 0

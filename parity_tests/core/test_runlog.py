"""The run folder: one owner, no silent overwrite, and always a checkpoint to go on with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_ref.core.checkpoint import Checkpoint, Progress
from lstm_ref.core.config import RunConfig
from lstm_ref.core.errors import CheckpointError, UsageError
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.presets import resolve
from lstm_ref.core.runlog import BEST, RunFolder, find_checkpoint
from lstm_ref.core.vocab import Vocabulary

CONFIG = RunConfig(hidden_sizes=(3,), batch_size=2, seq_length=5)
VOCABULARY = Vocabulary.build("abcd")


def checkpoint(step: int) -> Checkpoint:
    """Of a model whose values tell the step."""
    model = initial_parameters(CONFIG.language_model(len(VOCABULARY)), seed=step)
    moments = {f"{prefix}.{name}": value for prefix in ("exp_avg", "exp_avg_sq") for name, value in model.items()}
    carry = {f"{part}_l0": np.full((2, 3), step + 0.5) for part in "hc"}
    optimizer = {"step": np.array(step, np.int64)} | moments
    return Checkpoint(CONFIG, VOCABULARY, "5e" * 32, Progress(step=step), model, optimizer, carry)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "runs" / "a"


@pytest.fixture
def folder(path):
    """The folder of a run that was begun."""
    with RunFolder(path) as run:
        run.describe(CONFIG)
        yield run


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_begun_run_has_its_config_its_environment_and_places_for_the_rest(path, folder):
    assert names(path) == [".lock", "checkpoints", "config.json", "env.json", "metrics.jsonl", "plots", "samples"]
    assert resolve("char-anna", file=path / "config.json", flags={}) == CONFIG
    environment = json.loads((path / "env.json").read_text(encoding="utf-8"))
    assert {"python", "numpy", "numba"} <= environment["versions"].keys()
    assert environment["command"].startswith("lstm")


def test_a_second_opener_is_refused_until_the_first_is_done(path):
    with RunFolder(path) as first:
        first.describe(CONFIG)
        for resume in (False, True):
            with pytest.raises(
                UsageError, match=r"run folder .* is in use by another process; wait for it, or take --run"
            ):
                RunFolder(path, resume=resume)
    with RunFolder(path, resume=True) as second:
        assert second.read_metrics() == []


def test_the_lock_holds_against_another_process_and_ends_with_it(path):
    script = """if True:
        import sys
        from pathlib import Path
        from lstm_ref.core.runlog import RunFolder
        run = RunFolder(Path(sys.argv[1]))
        run.metrics.touch()
        print("locked", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(UsageError, match="is in use by another process"):
            RunFolder(path, resume=True)
        other.kill()
    with RunFolder(path, resume=True) as run:
        assert run.metrics.exists()


@pytest.mark.row("C48")
def test_a_folder_that_holds_a_run_is_used_again_only_to_go_on(path):
    with RunFolder(path) as run:
        run.describe(CONFIG)
        run.log({"step": 1})
        run.save(checkpoint(1), keep=2)
    with pytest.raises(UsageError, match=f"run folder {path} holds a run already: go on with --resume {path}, or take"):
        RunFolder(path)
    with RunFolder(path, resume=True) as run:  # so the refusal kept nothing locked
        assert run.read_metrics() == [{"step": 1}]
        assert run.latest().progress.step == 1


def test_nothing_is_left_of_a_run_that_never_began(path):
    with pytest.raises(ZeroDivisionError), RunFolder(path):
        raise ZeroDivisionError
    assert not path.exists()


def test_a_folder_with_something_of_the_users_is_not_removed(path):
    path.mkdir(parents=True)
    (path / "notes.txt").write_text("mine", encoding="utf-8")
    (path / "samples").mkdir()
    (path / "samples" / "one.txt").write_text("mine too", encoding="utf-8")
    with RunFolder(path):
        pass
    assert (names(path), names(path / "samples")) == (["notes.txt", "samples"], ["one.txt"])


def test_a_place_where_no_folder_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UsageError, match=r"cannot use run folder .*: (File exists|Not a directory)"):
            RunFolder(place)


def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(path):
    with RunFolder(path) as run:
        run.describe(CONFIG)
        kept = [run.save(checkpoint(3), keep=2).name, BEST]
        run.save_best(checkpoint(2))
    leftover = path / "checkpoints" / ".step-000000004.safetensors.123.tmp"
    leftover.write_bytes(b"half")
    with pytest.raises(UsageError):
        RunFolder(path)
    assert leftover.exists()
    with RunFolder(path, resume=True):
        assert names(path / "checkpoints") == sorted(kept)


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_newest_checkpoints_are_kept_and_the_oldest_go(folder, keep):
    for count, step in enumerate((9, 10, 100, 1_000_000), 1):
        saved = folder.save(checkpoint(step), keep)
        assert saved == folder.checkpoints / f"step-{step:09d}.safetensors"
        assert len(folder.steps()) == min(count, keep)
        assert folder.steps()[-1] == saved
        assert folder.newest_step() == step
    assert [int(file.stem.removeprefix("step-")) for file in folder.steps()] == [9, 10, 100, 1_000_000][-keep:]


def test_no_old_checkpoint_goes_before_the_new_one_is_safe(folder, monkeypatch):
    folder.save(checkpoint(1), keep=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        folder.save(checkpoint(2), keep=1)
    assert names(folder.checkpoints) == ["step-000000001.safetensors"]
    assert folder.latest().progress.step == 1


@pytest.mark.row("C46")
def test_the_best_checkpoint_is_kept_apart_from_the_last_ones(folder):
    folder.save(checkpoint(1), keep=1)
    folder.save_best(checkpoint(1))
    for step in (2, 3):
        folder.save(checkpoint(step), keep=1)
    assert names(folder.checkpoints) == [BEST, "step-000000003.safetensors"]
    assert Checkpoint.load(folder.checkpoints / BEST).progress.step == 1
    folder.save_best(checkpoint(3))
    assert Checkpoint.load(folder.checkpoints / BEST).progress.step == 3


def test_newest_step_and_latest_of_an_empty_run(folder):
    assert folder.newest_step() == 0
    with pytest.raises(CheckpointError, match=r"no checkpoint to go on with in .*checkpoints: it holds none"):
        folder.latest()


def test_latest_is_the_newest_by_step_and_not_by_time(folder):
    for step in (30, 7):
        folder.save(checkpoint(step), keep=5)
    latest = folder.latest()
    assert latest.progress.step == 30
    assert latest.carry["h_l0"].tolist() == [[30.5] * 3] * 2


def test_latest_passes_over_damaged_files_with_a_warning_and_puts_them_aside(folder, capsys):
    for step in (1, 2, 3):
        folder.save(checkpoint(step), keep=3)
    third, second = folder.steps()[2], folder.steps()[1]
    os.truncate(third, third.stat().st_size // 2)
    content = bytearray(second.read_bytes())
    content[-1] ^= 1
    second.write_bytes(content)
    assert folder.latest().progress.step == 1
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert [line.partition(" is ")[0] for line in stderr.splitlines()] == [f"warning: {third}", f"warning: {second}"]
    assert names(folder.checkpoints) == [
        "step-000000001.safetensors",
        "step-000000002.damaged",
        "step-000000003.damaged",
    ]
    assert (folder.latest().progress.step, folder.newest_step()) == (1, 1)


def test_latest_of_damaged_files_only_is_an_error_that_says_what_is_wrong(folder):
    (folder.checkpoints / "step-000000001.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"no checkpoint to go on with .* is no whole safetensors file"):
        folder.latest()


def test_latest_may_look_into_the_folder_of_another_run(path, folder):
    with RunFolder(path.with_name("b")) as other:
        other.describe(CONFIG)
        other.save(checkpoint(8), keep=1)
        assert folder.latest(other.checkpoints).progress.step == 8


def test_metrics_come_back_line_by_line(folder):
    records = [{"step": 10, "loss": 3.25}, {"step": 20, "loss": 0.1 + 0.2}]
    assert folder.read_metrics() == []
    for record in records:
        folder.log(record)
    assert folder.read_metrics() == records
    assert len(folder.metrics.read_text(encoding="utf-8").splitlines()) == 2


def test_a_last_line_that_a_killed_writer_left_does_not_count(folder):
    folder.log({"step": 10})
    whole = folder.metrics.read_bytes()
    for unfinished in (b"{", b'{"step": 2', b'{"step": 20}'):
        folder.metrics.write_bytes(whole + unfinished)
        assert folder.read_metrics() == [{"step": 10}]


def test_forgetting_drops_the_lines_after_a_step_and_the_unfinished_one(folder):
    for step in (10, 20, 30):
        folder.log({"step": step, "loss": 1 / step})
    with folder.metrics.open("a", encoding="utf-8") as file:
        file.write('{"step": 4')
    folder.forget_after(20)
    assert folder.read_metrics() == [{"step": 10, "loss": 1 / 10}, {"step": 20, "loss": 1 / 20}]
    folder.log({"step": 30})
    assert [record["step"] for record in folder.read_metrics()] == [10, 20, 30]
    folder.forget_after(0)
    assert folder.metrics.read_bytes() == b""


def test_a_checkpoint_is_found_by_its_file_its_run_or_its_folder(path, folder):
    first, second = folder.save(checkpoint(1), keep=2), folder.save(checkpoint(2), keep=2)
    assert find_checkpoint(first) == first
    assert find_checkpoint(path) == find_checkpoint(folder.checkpoints) == second
    folder.save_best(checkpoint(1))
    assert find_checkpoint(path) == find_checkpoint(folder.checkpoints) == folder.checkpoints / BEST


def test_no_checkpoint_is_an_error_that_says_what_was_expected(path, folder):
    for place in (path, path / "nowhere"):
        with pytest.raises(CheckpointError, match=f"no checkpoint at {place}: expected a .safetensors file or a run f"):
            find_checkpoint(place)

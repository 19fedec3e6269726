"""Ctrl-C, SIGTERM and SIGKILL: the right exit code, a checkpoint that loads, and a run that goes on to the very bits of
one that nothing stopped.

A signal is either raised inside the command, at a chosen call of the model, or sent from here after so many log lines:
the pipe is then made so short that the command cannot have finished while nobody reads it.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from lstm_ref.cli.main import run
from lstm_ref.cli.signals import StopFlag
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.draws import Draws

TEXT = "The cat sat on the mat. Then it ran to the dog, and both of them went home again?\n" * 25
# 30 windows of 5x12 an epoch; 205 validation tokens are 4 windows and a rest.
STEPS, EVERY, VALIDATION_CALLS = 60, 10, 5
FIELDS = {
    "hidden_sizes": "8,6",
    "batch_size": 5,
    "seq_length": 12,
    "epochs": 2,
    "print_every": EVERY,
    "checkpoint_every": 15,
    "keep_checkpoints": 100,
    "dropout_between": 0.25,
}
MODELS = {"numpy": "lstm_ref.model:NumpyLM", "torch": "lstm_torch.model:TorchLM"}

# argv: who has a method, the method, the number of a call of it, the signals' numbers, and then the command's own.
CHILD = """
import importlib, signal, sys
module, _, name = sys.argv[1].partition(":")
method, call, signals = sys.argv[2], int(sys.argv[3]), [int(number) for number in sys.argv[4].split(",")]
owner, calls = getattr(importlib.import_module(module), name), 0
original = getattr(owner, method)

def interrupted(*arguments):
    global calls
    calls += 1
    if calls == call:
        for number in signals:
            signal.raise_signal(number)
    return original(*arguments)

setattr(owner, method, interrupted)
sys.argv = ["lstm", *sys.argv[5:]]
from lstm_ref.cli.main import main
main()
"""


@pytest.fixture(scope="module", autouse=True)
def no_settings_of_the_callers() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LSTM_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT)
    return path


def train(text: Path, backend: str, path: Path, **changes: object) -> list[str]:
    fields = FIELDS | {"corpus": text} | changes
    flags = [f"--set={field}={value}" for field, value in fields.items()]
    return ["train", "tiny", "--backend", backend, "--run", str(path), *flags]


@pytest.fixture(scope="module")
def references(text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run of each twin that nothing stopped."""
    paths = {backend: tmp_path_factory.mktemp(backend) / "run" for backend in MODELS}
    for backend, path in paths.items():
        assert run([*train(text, backend, path), "--quiet"]) == 0
    return paths


def in_a_child(
    owner: str, method: str, call: int, signals: list[int], arguments: list[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    numbers = ",".join(str(int(number)) for number in signals)
    command = [sys.executable, "-c", CHILD, owner, method, str(call), numbers, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | environment, check=False
    )


def newest(path: Path) -> Checkpoint:
    return Checkpoint.load(max(path.glob("checkpoints/step-*")))


def assert_same_end(one: Path, other: Path) -> None:
    """Every tensor of the last and of the best checkpoint, and every loss."""
    names = {path: [max(path.glob("checkpoints/step-*")).name, "best.safetensors"] for path in (one, other)}
    assert names[one] == names[other]
    for name in names[one]:
        expected, arrived = load_file(one / "checkpoints" / name), load_file(other / "checkpoints" / name)
        assert expected.keys() == arrived.keys()
        for tensor, value in expected.items():
            assert (value.dtype, value.shape) == (arrived[tensor].dtype, arrived[tensor].shape), tensor
            assert value.tobytes() == arrived[tensor].tobytes(), (name, tensor)
    assert losses(one) == losses(other)


def losses(path: Path) -> list[dict[str, float]]:
    records = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    clocks = {"seconds", "tokens_per_second", "ms_per_step", "epoch_seconds"}
    return [{name: value for name, value in record.items() if name not in clocks} for record in records]


def assert_stopped(done: subprocess.CompletedProcess[str], number: int, path: Path) -> None:
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert errors == done.stderr.splitlines()[-1:]
    assert f"stopped by signal {int(number)} at step" in errors[0]
    assert f"--resume {path}" in errors[0]


PHASES = {"training": ("train_step", 23, 23, 20), "validation": ("evaluate", VALIDATION_CALLS + 3, 20, 10)}


@pytest.mark.parametrize(
    ("backend", "number", "phase"),
    [
        ("numpy", signal.SIGINT, "training"),
        ("numpy", signal.SIGTERM, "training"),
        ("numpy", signal.SIGINT, "validation"),
        ("numpy", signal.SIGTERM, "validation"),
        ("torch", signal.SIGINT, "training"),
        ("torch", signal.SIGTERM, "validation"),
    ],
)
@pytest.mark.row("BC23")
def test_a_signal_stops_a_run_that_then_goes_on_to_the_same_bits(references, text, tmp_path, backend, number, phase):
    method, call, step, evaluated_step = PHASES[phase]
    path = tmp_path / "run"
    done = in_a_child(MODELS[backend], method, call, [number], train(text, backend, path))
    assert_stopped(done, number, path)
    saved = newest(path).progress
    assert (saved.step, saved.evaluated_step) == (step, evaluated_step)
    assert len(losses(path)) == len(done.stdout.splitlines()) == evaluated_step // EVERY
    assert run(["train", "--resume", str(path), "--quiet"]) == 0
    assert_same_end(references[backend], path)


@pytest.mark.parametrize("part", ["training", "validation"])
def test_a_signal_while_the_finished_model_is_evaluated_is_no_bug_and_loses_nothing(references, text, tmp_path, part):
    path = tmp_path / "run"
    call = VALIDATION_CALLS * (STEPS // EVERY) + (2 if part == "training" else VALIDATION_CALLS + 2)
    done = in_a_child(MODELS["numpy"], "evaluate", call, [signal.SIGINT], train(text, "numpy", path))
    assert_stopped(done, signal.SIGINT, path)
    assert_same_end(references["numpy"], path)


def test_a_second_ctrl_c_ends_the_run_at_once_and_keeps_what_was_saved(references, text, tmp_path):
    path = tmp_path / "run"
    done = in_a_child(MODELS["numpy"], "train_step", 23, [signal.SIGINT, signal.SIGINT], train(text, "numpy", path))
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "error: stopped"
    assert newest(path).progress.step == 15
    assert run(["train", "--resume", str(path), "--quiet"]) == 0
    assert_same_end(references["numpy"], path)


def started(arguments: list[str]) -> subprocess.Popen[bytes]:
    """The command, with room for one page of unread lines."""
    command = [sys.executable, "-m", "lstm_ref", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    fcntl.fcntl(child.stdout, fcntl.F_SETPIPE_SZ, 4096)
    return child


def read_lines(child: subprocess.Popen[bytes], count: int) -> None:
    """No byte more than these: a reader with a buffer of its own would let the command run further ahead."""
    for _ in range(count):
        while child.stdout.read(1) not in (b"\n", b""):
            pass


LONG = {"epochs": 4, "print_every": 1}  # 120 lines of 60 bytes: the command is at most 70 ahead of its reader


@pytest.fixture(scope="module")
def long_references(text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = {backend: tmp_path_factory.mktemp(f"long-{backend}") / "run" for backend in MODELS}
    for backend, path in paths.items():
        assert run([*train(text, backend, path, **LONG), "--quiet"]) == 0
    return paths


def test_ctrl_c_from_outside_stops_a_run_that_then_goes_on_to_the_same_bits(long_references, text, tmp_path):
    path = tmp_path / "run"
    with started(train(text, "numpy", path, **LONG)) as child:
        read_lines(child, 5)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert_stopped(subprocess.CompletedProcess([], child.returncode, out.decode(), err.decode()), signal.SIGINT, path)
    assert 5 <= newest(path).progress.step < 120
    assert run(["train", "--resume", str(path), "--quiet"]) == 0
    assert_same_end(long_references["numpy"], path)


@pytest.mark.parametrize(("backend", "moment"), [("numpy", 0), ("numpy", 1), ("torch", 2)])
@pytest.mark.row("BC23")
def test_a_run_killed_at_any_moment_goes_on_to_the_same_bits(long_references, text, tmp_path, backend, moment):
    path = tmp_path / "run"
    after = 16 + int(30 * Draws(moment).uniform("kill", (1,))[0])  # the first checkpoint is of step 15
    with started(train(text, backend, path, **LONG)) as child:
        read_lines(child, after)
        child.kill()
        child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert 15 <= newest(path).progress.step < 120
    assert run(["train", "--resume", str(path), "--quiet"]) == 0
    assert_same_end(long_references[backend], path)


@pytest.mark.parametrize("call", [1, 12])
def test_a_run_killed_before_its_first_checkpoint_is_begun_anew_by_resume_auto(references, text, tmp_path, call):
    path = tmp_path / "run"
    done = in_a_child(MODELS["numpy"], "train_step", call, [signal.SIGKILL], train(text, "numpy", path))
    assert done.returncode == -signal.SIGKILL
    assert run([*train(text, "numpy", path), "--resume", "auto", "--quiet"]) == 0
    assert_same_end(references["numpy"], path)


@pytest.mark.parametrize("call", [9, 11])
def test_a_run_killed_while_it_writes_a_checkpoint_goes_on_to_the_same_bits(references, text, tmp_path, call):
    """Every file takes two fsyncs, the first while it still has its temporary name."""
    path = tmp_path / "run"
    done = in_a_child("lstm_ref.core.atomic:os", "fsync", call, [signal.SIGKILL], train(text, "numpy", path))
    assert done.returncode == -signal.SIGKILL
    assert list(path.glob("checkpoints/.*.tmp"))
    assert run([*train(text, "numpy", path), "--resume", "auto", "--quiet"]) == 0
    assert not list(path.glob("checkpoints/.*"))
    assert_same_end(references["numpy"], path)


def test_ctrl_c_ends_a_sample_with_what_was_written_so_far(references):
    arguments = ["sample", str(references["numpy"]), "--size", "100000"]
    done = in_a_child(MODELS["numpy"], "choose", 30, [signal.SIGINT], arguments)
    assert (done.returncode, done.stderr) == (130, "error: stopped\n")
    assert done.stdout.startswith("The")
    assert len(done.stdout) == len("The") + 29


def test_a_stopped_demo_leaves_nothing_behind_and_sends_nobody_there(tmp_path):
    done = in_a_child(MODELS["numpy"], "train_step", 2, [signal.SIGTERM], ["demo"], TMPDIR=str(tmp_path))
    assert done.returncode == 143
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in done.stderr.splitlines()[-1]


def test_the_handlers_are_the_commands_only_while_it_trains():
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in numbers]
    with StopFlag() as stop:
        assert [signal.getsignal(number) for number in numbers] != before
        assert stop() == 0
        signal.raise_signal(signal.SIGTERM)
        assert stop() == signal.SIGTERM
    assert [signal.getsignal(number) for number in numbers] == before

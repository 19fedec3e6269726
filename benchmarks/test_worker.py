"""A contender's own process: it takes turns when told, holds nothing that its users would not load, and tells."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cases import CASES, Case, SampleCase, StepCase, case_from_json, case_to_json, characters
from benchmarks.small import AWD
from benchmarks.worker import Worker

STEP = StepCase(config=characters(12, 7, 7), batch_size=3, seq_length=5, lr=0.25, clip=0.125, seed=3)
SAMPLE = SampleCase(config=characters(15, 10, 10), length=8, top_k=4, weight_scale=3.0, precision="float64")


@pytest.mark.parametrize("case", [STEP, SAMPLE, AWD, *CASES.values()])
def test_a_case_survives_the_way_to_the_process(case: Case) -> None:
    assert case_from_json(case_to_json(case)) == case


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(SAMPLE, "NumpyLM") as worker:
        yield worker


def test_every_turn_is_answered_by_its_time_and_takes_cpu_time(worker: Worker) -> None:
    before = 0.0
    for _ in range(3):
        assert 0 < worker.turn() < 60
        assert worker.cpu_seconds > before
        before = worker.cpu_seconds


def test_a_process_tells_the_most_memory_it_held_since_its_model_was_built(worker: Worker) -> None:
    worker.turn()
    assert worker.peak_bytes is not None
    assert 30 << 20 < worker.peak_bytes < 1 << 30  # Python with NumPy and Numba


def test_building_a_model_is_not_in_the_peak() -> None:
    """The parameters come as float64 and are rounded: two arrays of 19 MB beside the decoder's own of 10."""
    case = replace(SAMPLE, config=characters(60_000, 40), precision="float32")
    program = "\n".join(
        [
            "from benchmarks.cases import case_from_json",
            "from benchmarks.memory import forget_peak, peak",
            "from benchmarks.worker import build_turn",
            f"turn = build_turn(case_from_json({case_to_json(case)!r}), 'NumpyLM')",
            "built = peak()",
            "forget_peak()",
            "print(built, peak())",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120)
    built, after = map(int, done.stdout.split())
    assert after < built - (16 << 20)


def test_the_threads_of_a_process_can_be_chosen() -> None:
    with Worker(SAMPLE, "NumpyLM", threads=1) as worker:
        environment = Path(f"/proc/{worker._process.pid}/environ").read_text(encoding="utf-8").split("\0")
    assert {"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1"} <= set(environment)


def test_a_process_that_fails_is_an_error_with_its_name_not_a_time(capfd: pytest.CaptureFixture[str]) -> None:
    with Worker(replace(SAMPLE, top_k=99), "NumpyLM") as worker, pytest.raises(RuntimeError, match="NumpyLM ended"):
        worker.turn()
    assert "the vocabulary has only 15 tokens" in capfd.readouterr().err


def test_numpys_process_never_loads_torch() -> None:
    program = "\n".join(
        [
            "import sys",
            "from benchmarks.cases import case_from_json",
            "from benchmarks.worker import build_turn",
            f"build_turn(case_from_json({case_to_json(STEP)!r}), 'NumpyLM')()",
            "sys.exit('torch' in sys.modules)",
        ]
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 0

"""A contender's own process: it takes turns when told, holds nothing that its users would not load, and tells."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.cases import SampleCase, StepCase, case_from_json, case_to_json
from benchmarks.worker import Worker

STEP = StepCase(vocab_size=12, hidden_sizes=(7, 7), batch_size=3, seq_length=5, lr=0.25, clip=0.125, seed=3)
SAMPLE = SampleCase(vocab_size=15, hidden_sizes=(10, 10), length=8, top_k=4, weight_scale=3.0, dtype="float64")


@pytest.mark.parametrize("case", [STEP, SAMPLE])
def test_a_case_survives_the_way_to_the_process(case: StepCase | SampleCase) -> None:
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

"""What all tests share: Hypothesis profiles, the texts that LSTM_DATA names, and the command as a subprocess.

Profiles, chosen with --hypothesis-profile: `ci` (the default: few examples, the same every time), `dev` (few, random),
`deep` (thousands, random). Hypothesis loads a `ci` profile of its own where the variable CI exists; ours replaces it.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", max_examples=20, deadline=None, derandomize=True, database=None, print_blob=True)
settings.register_profile("dev", max_examples=25, deadline=None, print_blob=True)
settings.register_profile("deep", max_examples=10_000, deadline=None, print_blob=True)


Completed = subprocess.CompletedProcess[str]
RunLstm = Callable[..., Completed]


def pytest_configure() -> None:
    """One thread each for BLAS and OpenMP, before NumPy and torch are loaded, and in every command that a test starts:
    the models here are tiny, and a second thread only waits; on a busy machine it waits long."""
    for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(pool, "1")


TEXTS = os.environ.get("LSTM_DATA")  # now: a test may have cleared the environment by the time somebody asks


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real texts; a test that takes it is skipped where LSTM_DATA does not name one."""
    if not TEXTS:
        pytest.skip("LSTM_DATA is not set: no real texts here")
    return Path(TEXTS)


@pytest.fixture
def run_lstm(tmp_path: Path) -> RunLstm:
    """`lstm` as a user calls it, in an empty folder: run_lstm("train", "tiny", env={...}) -> CompletedProcess.

    The caller's LSTM_* variables do not reach it, unless `env` says so."""

    def run(
        *arguments: str, env: dict[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_")}
        return subprocess.run(
            [sys.executable, "-m", "lstm_ref", *arguments],
            cwd=tmp_path,
            env=clean | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run

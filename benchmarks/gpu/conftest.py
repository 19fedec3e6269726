"""Dry runs in this process: shapes too small to share out between threads."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.gpu.device import Device


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cpu() -> Device:
    return Device("cpu")

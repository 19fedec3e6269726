"""Clocks and switches. What needs CUDA is skipped without it."""

import time

import pytest
import torch

from benchmarks.gpu.device import BrokenDeviceError, Device, Unavailable, captured, wall_seconds

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
CUDA = Device("cuda")


def test_a_time_is_of_one_call(cpu: Device) -> None:
    assert 0.01 <= cpu.seconds(lambda: time.sleep(0.01), 3) < 1
    assert 0.01 <= wall_seconds(lambda: time.sleep(0.01), 2, cpu) < 1


def test_a_cpu_says_what_it_lacks(cpu: Device) -> None:
    with pytest.raises(Unavailable, match="a CUDA graph needs CUDA"):
        cpu.require_cuda("a CUDA graph")
    assert (cpu.forget_peak(), cpu.peak(), cpu.allocated()) == (0, 0, 0)
    cpu.require_alive()


def test_a_lost_device_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(torch.cuda, "synchronize", lost)
    with pytest.raises(BrokenDeviceError, match=r"illegal memory access was encountered$"):
        CUDA.require_alive()


def test_autocast_rounds_where_it_is_asked_to(cpu: Device) -> None:
    a = torch.ones(2, 2)
    with cpu.autocast("bf16"):
        assert (a @ a).dtype == torch.bfloat16
    with cpu.autocast("float32"):
        assert (a @ a).dtype == torch.float32


@needs_cuda
def test_a_graph_repeats_what_it_captured() -> None:
    x = torch.zeros(3, device="cuda")
    replay = captured(lambda: x.add_(1))
    before = float(x[0])
    replay()
    assert float(x[0]) == before + 1


@needs_cuda
def test_tf32_rounds_and_float32_does_not() -> None:
    a = torch.randn(512, 512, device="cuda")
    errors = {}
    for precision in ("float32", "tf32"):
        CUDA.set_precision(precision)
        errors[precision] = float(((a @ a).double() - a.double() @ a.double()).norm())
    assert errors["tf32"] > 10 * errors["float32"]


@needs_cuda
def test_events_measure_what_the_device_did() -> None:
    a = torch.randn(4096, 4096, device="cuda")
    one, two = (CUDA.seconds(lambda count=count: [a @ a for _ in range(count)], 5) for count in (1, 2))
    assert 1.5 < two / one < 2.5

"""The device that is timed. `cpu` is for a dry run, which goes through every row at tiny shapes where no GPU is.

Device work is asynchronous, so a span of it is timed between two events on its stream: what the host needs to launch
it counts where the device waits for that.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float32", "tf32", "fp16", "bf16"]
AUTOCAST = {"fp16": torch.float16, "bf16": torch.bfloat16}
WARM_UPS = 3  # before a capture: cuDNN chooses, autograd and the optimizer allocate


class Unavailable(Exception):
    """What a contender needs is not here: a reason, not a fault."""


class BrokenDeviceError(Exception):
    """The process's CUDA context is lost: nothing after this can be measured in it."""


@dataclass(frozen=True, slots=True)
class Device:
    name: Literal["cuda", "cpu"]

    @property
    def is_cuda(self) -> bool:
        return self.name == "cuda"

    def require_cuda(self, what: str) -> None:
        if not self.is_cuda:
            raise Unavailable(f"{what} needs CUDA")

    def synchronize(self) -> None:
        if self.is_cuda:
            torch.cuda.synchronize()

    def seconds(self, run: Callable[[], object], count: int) -> float:
        """Of one call, the mean of `count` in a row."""
        if not self.is_cuda:
            return wall_seconds(run, count, self)
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        began.record()
        for _ in range(count):
            run()
        ended.record()
        torch.cuda.synchronize()
        return began.elapsed_time(ended) / 1e3 / count

    def forget_peak(self) -> int:
        """From now on `peak` counts anew. Returns `allocated`."""
        self.synchronize()
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats()
        return self.allocated()

    def allocated(self) -> int:
        """Bytes of tensors; 0 on a CPU, where nobody counts them."""
        return torch.cuda.memory_allocated() if self.is_cuda else 0

    def peak(self) -> int:
        """Most bytes of tensors at a time. What a CUDA graph uses counts when it is captured."""
        return torch.cuda.max_memory_allocated() if self.is_cuda else 0

    def release(self) -> None:
        """What nothing refers to any more goes back to the device."""
        gc.collect()
        if self.is_cuda:
            torch.cuda.empty_cache()

    def require_alive(self) -> None:
        """Raises BrokenDeviceError after an error that CUDA does not recover from."""
        if not self.is_cuda:
            return
        try:
            torch.cuda.synchronize()
            alive = int(torch.arange(3, device="cuda").sum()) == 3
        except RuntimeError as error:
            raise BrokenDeviceError(f"{error}".partition("\n")[0]) from None
        if not alive:
            raise BrokenDeviceError("a sum of three numbers came out wrong")

    def set_precision(self, precision: Precision) -> None:
        """TF32 on or off, in cuBLAS and in cuDNN's LSTM, for all that follows. float32 means float32.

        By the newer switches, which lstm_torch sets too: PyTorch refuses to read a mixture of them and the older."""
        if self.is_cuda:
            value = "tf32" if precision == "tf32" else "ieee"
            torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.rnn.fp32_precision = value

    def autocast(self, precision: Precision) -> torch.autocast:
        """Without a cache of rounded weights, which a captured graph would read after it is gone."""
        return torch.autocast(self.name, AUTOCAST.get(precision), enabled=precision in AUTOCAST, cache_enabled=False)

    def random(self, generator: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
        """Standard normal numbers times `scale`, float32."""
        return torch.randn(*shape, generator=generator, device=self.name) * scale


def wall_seconds(run: Callable[[], object], count: int, device: Device) -> float:
    """Of one call by the host's clock, everything it started done."""
    device.synchronize()
    began = time.perf_counter()
    for _ in range(count):
        run()
    device.synchronize()
    return (time.perf_counter() - began) / count


def captured(run: Callable[[], None], pool: tuple[int, int] | None = None) -> Callable[[], None]:
    """`run` as a CUDA graph, after warm-up on another stream as PyTorch asks; what it reads and writes stays where it
    is. pool: of torch.cuda.graph_pool_handle(), for graphs of which none reads what another left in it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        run()
    return graph.replay

"""Runs of a function that were captured once: a CUDA graph has no Python and no launches of single kernels in it.

A function reads arrays that stay where they are, and returns one array. The first run of a key is an ordinary one, and
so warms up what is made on demand: kernels, workspaces, the optimizer's moments. Nothing has to be put back after it,
because it counts. The second is captured, which computes nothing, and launched; every later one is launched.

Windows of drawn lengths make dozens of keys. Their graphs share one memory pool, which is sound because none reads what
another left there: what varies lies in arrays from outside, and a result is copied out before the next launch. Keys
beyond `most` stay ordinary.

Captured are addresses: whoever replaces an array that the function uses calls `clear`.

Proved by parity_tests/test_torch_step.py and test_torch_sampling.py, on the CPU with a tape in the graph's place.
"""

from collections.abc import Callable, Hashable
from typing import Protocol

import torch
from torch import Tensor

Function = Callable[[], Tensor]

MOST = 96  # of the lengths N(70, 5) and N(35, 5), some 75 occur


class Recorder(Protocol):
    def warm_up(self, function: Function) -> Tensor:
        """Runs it as it will be captured."""
        ...

    def capture(self, function: Function) -> tuple[Callable[[], object], Tensor]:
        """A launch, and the array that each launch writes. Nothing is computed yet."""
        ...


class CudaRecorder:
    """On a stream of its own, for both: a node of autograd that remembers another stream would break a capture."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()
        self.pool = torch.cuda.graph_pool_handle()

    def warm_up(self, function: Function) -> Tensor:
        now = torch.cuda.current_stream()
        self.stream.wait_stream(now)
        with torch.cuda.stream(self.stream):
            result = function()
        now.wait_stream(self.stream)
        result.record_stream(now)
        return result

    def capture(self, function: Function) -> tuple[Callable[[], object], Tensor]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            result = function()
        return graph.replay, result


class Graphs:
    """recorder: makes a recorder, with a memory pool of its own."""

    def __init__(self, recorder: Callable[[], Recorder] = CudaRecorder, most: int = MOST):
        self.new_recorder = recorder
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Forgets all runs; each key warms up anew."""
        self.recorder = self.new_recorder()
        self.warm: set[Hashable] = set()
        self.captured: dict[Hashable, tuple[Callable[[], object], Tensor]] = {}

    def run(self, key: Hashable, function: Function) -> Tensor:
        """What `function` returns, in an array of the caller's own. For one key always the same function."""
        if key not in self.captured:
            if key not in self.warm:
                if len(self.warm) < self.most:
                    self.warm.add(key)
                return self.recorder.warm_up(function)
            self.captured[key] = self.recorder.capture(function)
        launch, result = self.captured[key]
        launch()
        return result.clone()

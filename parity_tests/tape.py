"""A CUDA graph for the CPU: every operation that a function dispatches is written down with the arrays that it read and
wrote, and a replay runs that list again on the same arrays. No Python of the function runs a second time, so what was a
number when it was captured stays that number, and what a replay reads anew is only what lies in memory.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lstm_torch.graph import Function

TO_THE_HOST = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default, torch.ops.aten.nonzero.default}


class Tape(TorchDispatchMode):
    """Raises where a value goes to the host: a captured graph could not."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple, dict, Any]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in TO_THE_HOST:
            raise RuntimeError(f"{function} in a capture: a value would go to the host")
        returned = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, returned))
        return returned

    @torch.no_grad()
    def replay(self) -> None:
        for function, args, kwargs, returned in self.operations:
            read = {tensor.untyped_storage().data_ptr() for tensor in _tensors((args, kwargs))}
            for old, new in zip(_tensors(returned), _tensors(function(*args, **kwargs))):
                if old.untyped_storage().data_ptr() not in read:  # neither a view nor written in place
                    old.copy_(new)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class TapeRecorder:
    """lstm_torch.graph.Recorder. What the capture itself computes is put back: on CUDA it computes nothing.

    arrays: all that the function writes and that is not its own."""

    def __init__(self, arrays: Callable[[], list[Tensor]]):
        self.arrays = arrays
        self.warm_ups = self.captures = self.replays = 0

    def warm_up(self, function: Function) -> Tensor:
        self.warm_ups += 1
        return function()

    def capture(self, function: Function) -> tuple[Callable[[], object], Tensor]:
        self.captures += 1
        arrays = self.arrays()
        before = [array.detach().clone() for array in arrays]
        with Tape() as tape:
            result = function()
        with torch.no_grad():
            for array, value in zip(arrays, before):
                array.copy_(value)

        def replay() -> None:
            self.replays += 1
            result.fill_(torch.nan if result.is_floating_point() else -1)
            tape.replay()

        return replay, result

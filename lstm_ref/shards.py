"""Shards: the rows of a window in parts, each computed by a thread of its own with one BLAS thread.

Rows of a batch do not meet before their gradients are added up, so the threads meet once a step. With one thread of
ours and BLAS's own pool, whatever is no matrix product leaves the other cores idle.

Proved by parity_tests/test_shards.py.
"""

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from lstm_ref.network import Network

# A part: with fewer, reading all weights in every thread costs more than the idle cores. A step of 2x512 units and T=50
# takes 75 ms in one thread and 58 in two with 8 rows, 48 either way with 4, and the small ones lose.
LEAST_ROWS = 4

Result = TypeVar("Result")


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


class Shards:
    """`network`, and for every further thread that BLAS was allowed one that shares its parameters."""

    def __init__(self, network: Network):
        self.networks = [network]
        self.threads = max((pool["num_threads"] for pool in _blas().info()), default=1)

    @functools.cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="lstm-shard")

    def parts(self, rows: int) -> list[slice]:
        """Of near equal sizes."""
        count = max(1, min(self.threads, rows // LEAST_ROWS))
        borders = [rows * k // count for k in range(count + 1)]
        return [slice(*pair) for pair in itertools.pairwise(borders)]

    def each(self, rows: int, compute: Callable[[Network, slice], Result]) -> list[Result]:
        """What `compute` returns for every part of the rows, in their order."""
        parts = self.parts(rows)
        if len(parts) == 1:
            return [compute(self.networks[0], parts[0])]
        while len(self.networks) < len(parts):
            self.networks.append(self.networks[0].sharing())
        with _blas().limit(limits=1):
            return list(self._pool.map(compute, self.networks, parts))

    def add_gradients(self, rows: int) -> None:
        """Those of all parts, into the first network's."""
        first, *others = self.networks[: len(self.parts(rows))]
        for other in others:
            for name, gradient in first.grads.items():
                gradient += other.grads[name]

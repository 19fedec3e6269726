"""The processes of a run, connected by torch.distributed: gloo between CPUs, and NCCL between CUDA devices.

Decisions and bookkeeping go through the CPU on either device: a few numbers, and no wait for what the device still
computes. Gradients go from device to device.

A process that dies closes its connections, and gloo then fails at once in all others; one that hangs is noticed after
TIMEOUT. torchrun, which started them, ends those that are left.
"""

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.errors import ConfigError, PeerLostError
from lstm_ref.core.group import Ranks

# Rank 0 may write a checkpoint meanwhile, or still read its text. Torch's own default for NCCL; for gloo it has 30.
TIMEOUT = timedelta(minutes=10)


def join(device: str) -> "ProcessGroup":
    """As torchrun's variables say. Raises ConfigError if there is no CUDA device for this rank."""
    local_rank = int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"device='cuda': torch sees {torch.cuda.device_count()} CUDA devices here, and local rank {local_rank} "
                f"needs one of its own; start fewer processes with --nproc-per-node, or take --device cpu"
            )
        torch.cuda.set_device(local_rank)
    with _lost_peers_told():
        dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=TIMEOUT)
    atexit.register(_leave)  # not before: an error is to be told while the others still wait
    return ProcessGroup(Ranks(dist.get_rank(), dist.get_world_size()))


def _leave() -> None:
    """gloo's threads end with the last object that knows of the group, and DistributedDataParallel lies in cycles with
    it. Were it there when the interpreter ends, a thread that lets go of its last tensor then would abort the process:
    4 of 24 did."""
    gc.collect()
    dist.destroy_process_group()


@contextmanager
def _lost_peers_told() -> Iterator[None]:
    """torch raises the same RuntimeError for what gloo reports as for anything else, with gloo's words in it."""
    try:
        yield
    except RuntimeError as error:
        by_type = isinstance(
            error, dist.DistError | dist.DistBackendError | dist.DistNetworkError | dist.DistStoreError
        )
        if by_type or any(words in str(error) for words in ("gloo", "pair closure")):
            raise PeerLostError(_told(str(error))) from None
        raise


def _told(problem: str) -> str:
    if "imed out" in problem:
        return f"another process of this run has not answered for {TIMEOUT.total_seconds():g} seconds"
    if "by peer" in problem:  # closed or reset
        return "another process of this run ended before its time"
    return f"the connection to another process of this run failed: {problem.splitlines()[0]}"


class ProcessGroup:
    """A lstm_ref.core.group.Group, and what a model needs of it."""

    lost_peers_told = staticmethod(_lost_peers_told)

    def __init__(self, ranks: Ranks):
        self.ranks = ranks

    def build(
        self,
        config: LanguageModelConfig,
        *,
        optimizer: OptimizerConfig,
        device: str = "cpu",
        precision: str = "float32",
    ):
        from lstm_torch.distributed import DistributedLM  # it imports this file
        from lstm_torch.model import build

        return DistributedLM(self, build(config, optimizer=optimizer, device=device, precision=precision))

    def rows(self, batch_size: int) -> slice:
        """This rank's of batch_size rows. Where they cannot be shared equally, some ranks have one more, or none."""
        rank, size = self.ranks.rank, self.ranks.size
        return slice(rank * batch_size // size, (rank + 1) * batch_size // size)

    def largest(self, number: int) -> int:
        tensor = torch.tensor(number)
        with _lost_peers_told():
            dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def from_rank_0(self, text: str) -> str:
        mine = torch.frombuffer(bytearray(os.fsencode(text)), dtype=torch.uint8)
        length = torch.tensor(len(mine))
        with _lost_peers_told():
            dist.broadcast(length, src=0)
            theirs = mine if self.ranks.rank == 0 else mine.new_empty(int(length))
            dist.broadcast(theirs, src=0)
        return os.fsdecode(theirs.numpy().tobytes())

    def rank_0_ends(self, seconds: float | None = None) -> bool:
        """Asks rank 0 for a number that it never sends."""
        limit, begin = TIMEOUT if seconds is None else timedelta(seconds=seconds), monotonic()
        try:
            with _lost_peers_told():
                request = dist.irecv(torch.empty(1), src=0)
                assert request is not None
                request.wait(limit)
        except PeerLostError:
            return monotonic() - begin < limit.total_seconds()
        raise RuntimeError("rank 0 sent a number that nobody knows of")

    def mean(self, x: Tensor) -> Tensor:
        """Over the ranks, of equal shapes. Every rank adds up the same numbers in the same order, so the bits of the
        mean are the same everywhere, however they travelled."""
        return self._all(x).mean(0)

    def total(self, number: float) -> float:
        """As `mean`, of float64."""
        return float(self._all(torch.tensor(number, dtype=torch.float64)).sum())

    def joined(self, own: np.ndarray) -> np.ndarray:
        """All ranks' rows [b,N], in their order. They may have differently many."""
        counts = self._all(torch.tensor(len(own))).tolist()
        padded = np.zeros((max(counts), *own.shape[1:]), own.dtype)
        padded[: len(own)] = own
        return np.concatenate(
            [rows[:count] for rows, count in zip(self._all(torch.from_numpy(padded)).numpy(), counts)]
        )

    def _all(self, x: Tensor) -> Tensor:
        """[size, ...]"""
        everybodys = x.new_empty(self.ranks.size, *x.shape)
        with _lost_peers_told():
            dist.all_gather(list(everybodys), x)
        return everybodys

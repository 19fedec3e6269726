"""Processes that train one model together, each on rows of its own of every window: what the trainer's side knows.

torchrun starts them and tells each its rank by environment variables. All run the same command and the same steps, so
whatever a run decides by (losses, signals) has to be the same number in all of them. Rank 0 alone writes and speaks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from lstm_ref.core.errors import ConfigError, UsageError
from lstm_ref.core.language_model import Build, load_backend

# The -- is for torchrun, which else takes --run for the beginning of an option of its own.
START = "torchrun --standalone --nproc-per-node 2 -m -- lstm_ref train PRESET --backend torch --distributed"
VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which process this is, from 0, and of how many."""

    rank: int = 0
    size: int = 1

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Raises UsageError where torchrun did not start this process."""
        if missing := [name for name in VARIABLES if name not in environ]:
            raise UsageError(f"--distributed without {', '.join(missing)}, which torchrun sets: start with {START}")
        return cls(int(environ["RANK"]), int(environ["WORLD_SIZE"]))

    def check_rows(self, batch_size: int) -> None:
        """Equal shares: then the mean over ranks of their means is the mean over all rows."""
        if batch_size % self.size:
            raise ConfigError(
                f"batch_size={batch_size} rows cannot be shared equally by {self.size} processes: take a batch_size "
                f"that {self.size} divides, or another --nproc-per-node"
            )


class Group(Protocol):
    """The processes, once they are connected. All of them call these, in the same order. Where one is lost or does not
    answer, the others get a PeerLostError."""

    @property
    def ranks(self) -> Ranks: ...

    @property
    def build(self) -> Build:
        """Of a model whose windows, states and losses are those of all rows, while this process computes its own."""
        ...

    def largest(self, number: int) -> int:
        """Of all processes' numbers."""
        ...

    def from_rank_0(self, text: str) -> str:
        """Rank 0's text."""
        ...

    def rank_0_ends(self, seconds: float | None = None) -> bool:
        """For the other ranks, and the last that they call: waits for rank 0 to end; False if it has not by then."""
        ...


@runtime_checkable
class Joins(Protocol):
    """A backend that can train in several processes: what an entry point in the group `lstm.backends` may be besides
    `Build`."""

    def join(self, device: str) -> Group:
        """Connects with the other processes that the environment names, and takes the device of this rank."""
        ...


def join(backend: str, device: str) -> Group:
    """Raises UsageError if the backend trains in one process only."""
    found = load_backend(backend)
    if not isinstance(found, Joins):
        raise UsageError(f"--distributed: backend {backend!r} trains in one process only; take --backend torch")
    return found.join(device)

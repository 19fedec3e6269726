"""Interleaved timing: A B C A B C ..., so that what the machine does meanwhile befalls all contenders alike.

Seconds on a shared machine say little; the ratio of two turns of one round says more, and the median of the rounds'
ratios is what we claim.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Seconds = dict[str, list[float]]  # contender -> one time a round


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


def interleave(
    turns: Mapping[str, Callable[[], float]], rounds: int, progress: Callable[[str], None] = lambda line: None
) -> Seconds:
    """Takes every turn once a round, in the order given. A turn returns the seconds that count; `progress` gets a line
    before each."""
    seconds: Seconds = {name: [] for name in turns}
    for number in range(1, rounds + 1):
        for name, turn in turns.items():
            progress(f"round {number} of {rounds}: {name}")
            seconds[name].append(turn())
    return seconds


def fastest(seconds: Seconds, names: Iterable[str]) -> str:
    """By median."""
    return min(names, key=lambda name: statistics.median(seconds[name]))


def speed_beside(seconds: Seconds, peer: str) -> Seconds:
    """Contender -> by round, the peer's time over its own: 2 is twice as fast as the peer."""
    return {name: [theirs / own for theirs, own in zip(seconds[peer], times)] for name, times in seconds.items()}

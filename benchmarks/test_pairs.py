"""Interleaved timing and the figures made of it."""

import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pairs import Spread, fastest, interleave, speed_beside


def test_turns_come_interleaved_and_their_own_times_are_kept() -> None:
    taken: list[str] = []

    def turn(name: str, times: list[float]) -> Callable[[], float]:
        def take() -> float:
            taken.append(name)
            return times.pop(0)

        return take

    lines: list[str] = []
    seconds = interleave({"a": turn("a", [1.0, 2.0]), "b": turn("b", [3.0, 4.0])}, 2, lines.append)
    assert taken == ["a", "b", "a", "b"]
    assert seconds == {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    assert lines == ["round 1 of 2: a", "round 1 of 2: b", "round 2 of 2: a", "round 2 of 2: b"]


times = st.floats(1e-6, 1e3)


@given(times=st.lists(times, min_size=1), factor=st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_a_contender_that_is_so_many_times_faster_in_every_round_is_reported_so(times, factor) -> None:
    seconds = {"peer": times, "other": [t / factor for t in times]}  # exact: the factor is a power of two
    assert Spread.of(speed_beside(seconds, "peer")["other"]) == Spread(factor, factor, factor)
    assert fastest(seconds, seconds) == ("other" if factor > 1 else "peer")


@given(st.lists(times, min_size=1))
def test_the_quartiles_enclose_the_median_and_lie_within_the_values(values) -> None:
    spread = Spread.of(values)
    assert spread.median == pytest.approx(statistics.median(values))  # summed in another order
    assert min(values) <= spread.low <= spread.median <= spread.high <= max(values)


def test_one_slow_round_does_not_move_the_ratio() -> None:
    seconds = {"peer": [1.0, 1.0, 9.0, 1.0, 1.0], "own": [0.5, 0.5, 0.5, 0.5, 0.5]}
    assert Spread.of(speed_beside(seconds, "peer")["own"]).median == 2.0

"""The power law through measured points."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.fit import fitted, parts_of, steepness

laws = st.tuples(st.floats(1e-6, 1e3), st.floats(-2, 3))
points = st.lists(st.integers(1, 10_000), min_size=2, max_size=6, unique=True)


@given(law=laws, x=points)
def test_an_exact_power_law_is_found(law, x) -> None:
    factor, exponent = law
    found = fitted(x, [factor * value**exponent for value in x])
    assert found.exponent == pytest.approx(exponent, abs=1e-6)
    assert found.factor == pytest.approx(factor, rel=1e-4)
    assert found.spread == pytest.approx(0, abs=1e-6)
    assert found.at(7) == pytest.approx(factor * 7**exponent, rel=1e-4)


def test_the_fit_is_that_of_least_squares_by_hand() -> None:
    """x = 1, 2, 4 and y = 1, 4, 4 are u = 0, 1, 2 and w = 0, 2, 2 in binary logarithms: w = 1/3 + u, residuals -1/3,
    2/3, -1/3, of which the mean square is 2/9."""
    found = fitted([1, 2, 4], [1, 4, 4])
    assert found.exponent == pytest.approx(1)
    assert found.factor == pytest.approx(2 ** (1 / 3))
    assert found.spread == pytest.approx(2 ** ((2 / 9) ** 0.5) - 1)


def test_the_steepness_shows_where_a_fixed_cost_ends() -> None:
    assert steepness([1, 2, 4], [1, 1, 4]) == pytest.approx([0, 2])


@given(factors=st.tuples(*[st.sampled_from([0.0, 0.5, 2.0])] * 3))
def test_the_parts_that_a_cost_was_made_of_are_found(factors) -> None:
    x = [1, 2, 4, 8, 16]
    limits = [value**2 for value in x]
    y = [factors[0] + factors[1] * value + factors[2] * limit for value, limit in zip(x, limits)]
    assume(any(factors))
    found = parts_of(x, y, limits)
    assert (found.fixed, found.linear, found.products) == pytest.approx(factors, abs=1e-6)
    assert found.spread == pytest.approx(0, abs=1e-6)


def test_no_part_of_a_cost_is_negative() -> None:
    """y = 3x - 1 is not to be had without one."""
    found = parts_of([1, 2, 3, 4], [2, 5, 8, 11], [1, 8, 27, 64])
    assert min(found.fixed, found.linear, found.products) >= 0
    assert found.spread > 0.01

"""The power law through measured points."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fit import fitted, steepness

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

"""How cost grows: one size varies, the expected exponents are known, and what is off is named."""

from dataclasses import replace

import pytest

from benchmarks.fit import fitted
from benchmarks.products import flops
from benchmarks.sweep import BASE, VALUES, Sweep, points, thread_counts


def _sweep(times: list[float], **changes: object) -> Sweep:
    made = Sweep(
        dimension="T",
        base="base",
        values=[10, 20, 40],
        seconds={"ours": [[time, 1.1 * time, 1.2 * time] for time in times]},
        flops=[1, 2, 4],
        limits=[0.5, 1.0, 2.0],
        others=0.0,
    )
    return replace(made, **changes)


@pytest.mark.parametrize("dimension", VALUES)
def test_one_size_varies_and_nothing_else(dimension: str) -> None:
    found = points(dimension, quick=False)
    assert [point.value for point in found] == list(VALUES[dimension])
    for point in found:
        same = {"T": {"seq_length": 50}, "B": {"batch_size": 64}}.get(dimension)
        config = {"H": {"hidden_sizes": (256, 256)}, "V": {"vocab_size": 83}}.get(dimension)
        back = replace(point.case, **same) if same else replace(point.case, config=replace(point.case.config, **config))
        assert back == BASE
        assert point.threads is None


def test_work_grows_as_the_sizes_say() -> None:
    """T and B linearly; H between linearly, the decoder, and quadratically; V linearly beside a fixed part."""
    exponents = {}
    for dimension, values in VALUES.items():
        exponents[dimension] = fitted(values, [flops(point.case) for point in points(dimension, quick=False)]).exponent
    assert exponents["T"] == pytest.approx(1)
    assert exponents["B"] == pytest.approx(1)
    assert 1.8 < exponents["H"] < 2
    assert 0.3 < exponents["V"] < 1


def test_threads_vary_alone() -> None:
    found = points("threads", quick=False)
    assert [point.threads for point in found] == thread_counts()
    assert {point.case for point in found} == {BASE}


def test_what_grows_as_its_limit_does_is_no_surprise() -> None:
    made = _sweep([1.0, 2.0, 4.0])
    assert made.law("ours").exponent == pytest.approx(1)
    assert made.expected == pytest.approx(1)
    assert made.surprises("ours") == []
    assert "To be explained" not in made.to_markdown()


def test_another_exponent_and_another_shape_are_to_be_explained() -> None:
    assert "grows by 2.00 where 1.00" in " ".join(_sweep([1.0, 4.0, 16.0]).surprises("ours"))
    bent = _sweep([1.0, 4.0, 4.0])
    assert "off a power law" in " ".join(bent.surprises("ours"))
    assert "To be explained" in bent.to_markdown()


def test_a_fixed_part_beside_the_products_explains_a_flat_law() -> None:
    made = _sweep([11.0, 12.0, 14.0])
    assert "grows by" in " ".join(made.surprises("ours"))
    assert made.explanation("ours").startswith("11000 ms + 110 ms x T is off by 0%")
    assert "To be explained" not in made.to_markdown()


def test_threads_are_explained_by_what_one_does_alone() -> None:
    made = _sweep([4.0, 3.0, 2.5], values=[1, 2, 4], limits=None, flops=None, dimension="threads")
    assert made.explanation("ours") == "50% of the work done by one thread alone would explain it."


def test_without_limits_the_work_is_expected_and_with_threads_an_even_share() -> None:
    assert _sweep([1.0, 2.0, 4.0], limits=None, flops=[1, 4, 16]).expected == pytest.approx(2)
    assert _sweep([4.0, 2.0, 1.0], limits=None, flops=None).surprises("ours") == []


def test_the_exponent_of_every_round_counts() -> None:
    made = _sweep([1, 2, 4], seconds={"ours": [[1.0, 1.0], [2.0, 4.0], [4.0, 16.0]]})
    assert (made.exponents("ours").low, made.exponents("ours").high) == pytest.approx((1.25, 1.75))

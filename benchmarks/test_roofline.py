"""The measured limits: of the shapes that were asked for, and added up as they should be."""

import pytest

from benchmarks import roofline
from benchmarks.cases import CHARACTER_STEP
from benchmarks.products import Product, flops
from benchmarks.roofline import QUICK, Roofline, _single, best_seconds, groups, measured
from benchmarks.small import AWD, BF16, SAMPLE


def test_every_shape_is_measured_by_every_library_that_has_its_precision() -> None:
    found = measured([AWD, BF16, SAMPLE], QUICK, lambda line: None)
    assert set(found.flops) == {"float32", "bf16"}
    for precision, libraries in (("float32", {"numpy", "torch"}), ("bf16", {"torch"})):
        for group, rates in found.flops[precision].items():
            assert set(rates) == libraries, group
            assert all(1e3 < rate < 1e15 for rate in rates.values())
    assert set(found.copy) == {"numpy", "torch"}
    assert all(1e6 < rate < 1e13 for rate in found.copy.values())
    for case in (AWD, BF16, SAMPLE):
        assert 0 < found.limit(case) < 10


def test_the_limit_is_the_sum_over_products_at_the_faster_librarys_rate() -> None:
    asked = [_single(group) for group in groups(CHARACTER_STEP)]
    rates = {group: {"numpy": 1e9, "torch": 2e9} for group in asked}
    slow = Product(128, 512, 2048)
    rates[slow,] = {"numpy": 1e9, "torch": 5e8}
    expected = flops(CHARACTER_STEP) / 2e9 + (1 / 1e9 - 1 / 2e9) * sum(
        group[0].flops for group in groups(CHARACTER_STEP) if _single(group) == (slow,)
    )
    assert Roofline({"float32": rates}, {}).limit(CHARACTER_STEP) == pytest.approx(expected)


def test_the_products_of_a_character_are_timed_together() -> None:
    (group,) = groups(SAMPLE)
    assert sum(p.flops for p in group) == flops(SAMPLE)


@pytest.mark.parametrize("make", [roofline._products_of_numpy, roofline._products_of_torch])
def test_what_is_timed_is_the_product(make) -> None:
    """Of every pair: the last array is the product of the first two."""
    call = make((Product(3, 4, 5), Product(1, 6, 2)), "float32")
    call()
    arrays = dict(zip(call.__code__.co_freevars, (cell.cell_contents for cell in call.__closure__)))["arrays"]
    for a, b, out in arrays:
        assert float(abs(a @ b - out).max()) < 1e-6
        assert float(abs(out).max()) > 0
    assert [tuple(out.shape) for _, _, out in arrays] == [(3, 5), (1, 2)]


def test_the_best_of_the_repetitions_counts_and_the_first_does_not() -> None:
    slept = iter([0.0, 0.02, 0.005, 0.02])
    spent = best_seconds(lambda: roofline.time.sleep(next(slept)), 0.0)
    assert 0.005 <= spent < 0.02

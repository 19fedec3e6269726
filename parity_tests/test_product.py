"""The packed product against the plain one: values, rounding, and that nothing but the packed weights is read."""

import os
import platform
import subprocess
import sys

import llvmlite.binding
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.kernels.product import DEPTH, empty_panels, pack, product, product_plain, whole_panels
from lstm_ref.kernels.tile import ROWS, columns, registers, tile_of
from parity_tests.cases import seeds, values

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}


def factors(M: int, K: int, N: int, seed: int, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """x [M,K] and W [K,N]."""
    draws = Draws(seed)
    return values(draws, "x", M, K).astype(dtype), values(draws, "weight", K, N).astype(dtype)


def fast(x: np.ndarray, weight: np.ndarray, *, compiled: bool = True) -> np.ndarray:
    """What memory held before is NaN everywhere."""
    packed, times = (
        (pack, product) if compiled else (getattr(pack, "py_func", pack), getattr(product, "py_func", product))
    )
    panels = empty_panels(*weight.shape, x.dtype)
    panels[...] = np.nan
    packed(weight, panels)
    out = np.full((len(x), whole_panels(weight.shape[1], x.dtype)), np.nan, x.dtype)
    times(x, panels, out)
    return out


few = st.integers(1, 3 * ROWS)
around_a_panel = st.integers(1, 2 * columns(np.dtype(np.float32)) + 3)
around_a_block = st.sampled_from([1, 2, 3, 7, DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 5])


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "as written"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [False, True], ids=["rows", "transposed"])
@given(M=few, K=around_a_block, N=around_a_panel, seed=seeds)
def test_it_is_off_the_exact_product_by_no_more_than_the_rounding_of_its_sums(
    transposed, dtype, compiled, M, K, N, seed
):
    x, weight = factors(M, K, N, seed, dtype)
    out = fast(x, np.ascontiguousarray(weight.T).T if transposed else weight, compiled=compiled)
    assert out.dtype == dtype
    exact = product_plain(x.astype(np.longdouble), weight.astype(np.longdouble))
    bound = (K + 1) * UNIT[dtype] * (np.abs(x).astype(np.longdouble) @ np.abs(weight))
    assert np.all(np.abs(out[:, :N] - exact) <= bound)
    assert not out[:, N:].any()


@given(M=few, K=around_a_block, N=around_a_panel, seed=seeds)
def test_a_row_has_the_same_bits_in_whatever_company(M, K, N, seed):
    x, weight = factors(M, K, N, seed, np.float32)
    together = fast(x, weight)
    for m in range(M):
        np.testing.assert_array_equal(fast(x[m : m + 1], weight)[0], together[m])


def test_a_view_of_some_rows_and_columns_is_multiplied_where_it_lies():
    x, weight = factors(9, 40, 21, seed=3)
    wide = np.full((9, 60), np.nan)
    wide[:, 10:50] = x
    np.testing.assert_array_equal(fast(wide[2:7, 10:50], weight), fast(x[2:7], weight))


def test_a_long_sum_is_less_off_than_one_sum_would_be():
    """Half of sqrt(DEPTH) roundings bounds what is added up in blocks, and not what is added up one by one."""
    x, weight = factors(1, 4600, 256, seed=5, dtype=np.float32)
    exact = product_plain(x.astype(np.float64), weight.astype(np.float64))[0]
    one_by_one = np.cumsum(x[0][:, None] * weight, axis=0, dtype=np.float32)[-1]
    off, off_one_by_one = (
        np.linalg.norm(found - exact) / np.linalg.norm(exact) for found in (fast(x, weight)[0, :256], one_by_one)
    )
    assert off <= 0.5 * DEPTH**0.5 * UNIT[np.float32] < off_one_by_one


@pytest.mark.parametrize("place", [0, DEPTH + 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_reaches_its_own_row_and_no_other(value, place):
    x, weight = factors(ROWS + 1, DEPTH + 2, 5, seed=7)
    x[2, place] = value
    with np.errstate(invalid="ignore"):  # uncompiled, NumPy would warn
        out = fast(x, weight)[:, :5]
    assert not np.isfinite(out[2]).any()
    np.testing.assert_array_equal(np.delete(out, 2, axis=0), fast(np.delete(x, 2, axis=0), weight)[:, :5])


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("J", [3, 5])
def test_uncompiled_a_tile_refuses_the_shapes_that_the_compiled_form_takes_for_granted(rows, K, J):
    """It would read or write beside them."""
    x, panel, out = np.ones((2, 2)), np.ones((2, 4)), np.zeros((2, 4))
    tile = tile_of(2)
    tile(x, panel, out)
    np.testing.assert_array_equal(out, np.full((2, 4), 2.0))
    for wrong in (np.ones((rows, 2)), np.ones((2, K))):
        with pytest.raises(AssertionError):
            tile(wrong, panel, out)
    for wrong in (np.ones((rows, 4)), np.ones((2, J))):
        with pytest.raises(AssertionError):
            tile(x, panel, wrong)


@pytest.mark.parametrize(
    ("features", "expected", "count"),
    [({"avx512f": True, "avx": True}, (64, 4), 32), ({"avx": True}, (32, 2), 16), ({}, (16, 2), 16)],
    ids=["AVX-512", "AVX", "any"],
)
def test_a_tile_fits_into_the_registers_of_a_processor(features, expected, count):
    """Its sums, as many numbers of the panel as a row of them has, and one of x."""
    assert registers(features) == expected
    assert count / 2 < (ROWS + 1) * expected[1] + 1 <= count


ON_ANOTHER_PROCESSOR = """
import sys
import llvmlite.binding, numpy as np
features = llvmlite.binding.get_host_cpu_features()
features.update({name: False for name in features if name.startswith(tuple(sys.argv[1].split(",")))})
llvmlite.binding.get_host_cpu_features = lambda: features  # for tile.py's sizes and for the compiler
from lstm_ref.kernels.product import product_plain
from lstm_ref.kernels.tile import REGISTER_BYTES
from parity_tests.test_product import UNIT, factors, fast
for dtype in UNIT:
    x, weight = factors(7, 300, 100, 5, dtype)
    exact = product_plain(x.astype(np.longdouble), weight.astype(np.longdouble))
    bound = 301 * UNIT[dtype] * (np.abs(x).astype(np.longdouble) @ np.abs(weight))
    assert np.all(np.abs(fast(x, weight)[:, :100] - exact) <= bound)
print(REGISTER_BYTES)
"""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="not an x86 processor")
@pytest.mark.parametrize(
    ("lacks", "size"), [("avx512,amx", 32), ("avx,amx,fma,f16c,vaes,vpclmulqdq,gfni", 16)], ids=["AVX", "any"]
)
def test_it_is_right_on_a_processor_with_smaller_registers(lacks, size, tmp_path):
    """Or on this one, whose compiler does not know of the larger ones."""
    if size == 32 and not llvmlite.binding.get_host_cpu_features().get("avx"):
        pytest.skip("this processor has no AVX")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", ON_ANOTHER_PROCESSOR, lacks]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout, done.stderr) == (f"{size}\n", "")

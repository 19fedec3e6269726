"""Input kernels: one-hot encoding as the original notebook prints it; gather and scatter-add, plain and compiled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import DataError
from lstm_ref.kernels.embedding import gather, gather_plain, one_hot_encode, scatter_add, scatter_add_plain
from parity_tests.cases import seeds, values


@pytest.mark.row("C10", "BC6")
@given(ids=hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=4, max_side=5), elements=st.integers(0, 8)))
def test_one_hot_has_a_single_one_at_the_id_for_any_shape(ids):
    one_hot = one_hot_encode(ids, 9)
    assert one_hot.dtype == np.float32
    assert one_hot.shape == (*ids.shape, 9)
    np.testing.assert_array_equal(one_hot.argmax(-1), ids)
    np.testing.assert_array_equal(one_hot.sum(-1), np.ones(ids.shape))
    np.testing.assert_array_equal(np.abs(one_hot).sum(-1), np.ones(ids.shape))


@pytest.mark.row("C11")
def test_one_hot_of_the_notebooks_example():
    expected = [[[0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0]]]
    np.testing.assert_array_equal(one_hot_encode(np.array([[3, 5, 1]]), 8), np.array(expected, np.float32))


@pytest.mark.row("BC6")
@pytest.mark.parametrize("bad", [[-1, 2], [0, 4], [0, 5]])
def test_one_hot_refuses_ids_out_of_range_and_names_them(bad):
    with pytest.raises(DataError, match=f"ids from {min(bad)} to {max(bad)} do not fit 4 labels: expected 0 to 3"):
        one_hot_encode(np.array(bad), 4)


@given(V=st.integers(1, 6), E=st.integers(1, 5), N=st.integers(0, 20), seed=seeds, dtype=st.sampled_from(["f4", "f8"]))
def test_gather_and_scatter_add_equal_their_plain_forms(V, E, N, seed, dtype):
    draws = Draws(seed)
    weight, dy = values(draws, "w", V, E).astype(dtype), values(draws, "dy", N, E).astype(dtype)
    ids = (draws.uniform("ids", (N,)) * V).astype(np.int64)
    out = np.full((N, E), np.nan, dtype)
    gather(weight, ids, out)
    np.testing.assert_array_equal(out, gather_plain(weight, ids))
    actual, expected = weight.copy(), weight.copy()
    scatter_add(actual, ids, dy)
    scatter_add_plain(expected, ids, dy)
    np.testing.assert_array_equal(actual, expected)  # the same additions in the same order


def test_repeated_ids_accumulate():
    dweight = np.zeros((3, 2))
    scatter_add(dweight, np.array([1, 1, 2, 1]), np.array([[1.0, 10], [2, 20], [4, 40], [8, 80]]))
    np.testing.assert_array_equal(dweight, [[0, 0], [11, 110], [4, 40]])

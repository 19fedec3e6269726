r"""Input: an embedding, and one-hot vectors as the special case where the embedding is W_ih^T itself.

    y_n = W[ids_n]                                                      (1)  gather
    dW[v] = sum over n with ids_n = v of dy_n                           (2)  scatter-add: repeated ids accumulate

A one-hot x selects a column of W_ih, so x W_ih^T is (1) with W = W_ih^T, and no product is needed.

Shapes: ids int64 [N]; W [V,E]; y, dy [N,E].

Proved by parity_tests/test_embedding.py.
"""

import numpy as np

from lstm_ref.core.errors import DataError
from lstm_ref.core.jit import jit


def one_hot_encode(ids, n_labels, dtype=np.float32):
    """ids: integers of any shape, in [0, n_labels). Returns [*ids.shape, n_labels]. Raises DataError out of range."""
    ids = np.asarray(ids)
    if ids.size and not (ids.min() >= 0 and ids.max() < n_labels):
        raise DataError(
            f"ids from {ids.min()} to {ids.max()} do not fit {n_labels} labels: expected 0 to {n_labels - 1}"
        )
    one_hot = np.zeros((ids.size, n_labels), dtype)
    one_hot[np.arange(ids.size), ids.reshape(-1)] = 1
    return one_hot.reshape(*ids.shape, n_labels)


def gather_plain(weight, ids):
    """(1)."""
    return weight[ids]


def scatter_add_plain(dweight, ids, dy):
    """(2), adds into dweight."""
    np.add.at(dweight, ids, dy)


@jit
def gather(weight, ids, out):
    """(1) into out [N,E]."""
    for n in range(ids.size):
        row, out_row = weight[ids[n]], out[n]
        for e in range(out_row.size):
            out_row[e] = row[e]


@jit
def scatter_add(dweight, ids, dy):
    """(2), adds into dweight, in the order of n: the same bits every time."""
    for n in range(ids.size):
        row, dy_row = dweight[ids[n]], dy[n]
        for e in range(row.size):
            row[e] += dy_row[e]

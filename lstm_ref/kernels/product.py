r"""x W for a matrix W that meets many x of few rows: W is packed once, in the order in which it is read.

    y_mn = sum_k x_mk W_kn                                              (1)
    P_pkj = W_k,pJ+j,   j < J                                           (2)  panels of J columns; past N, 0

Shapes: x [M,K]; W [K,N]; P [ceil(N/J),K,J]; y [M,ceil(N/J) J], of which the first N columns are (1); J from tile.py.

BLAS packs W anew in every product. For 12,800 rows that is nothing; for the 64 rows of a step of an LSTM, which has the
same W at each of its T steps, it is a third of the time, and for 20 rows half of it. GFLOP/s of one thread of an EPYC
whose peak is 118, BLAS (OpenBLAS 0.3.31) and this: 76 and 114 at 64x512x2048, 52 and 93 at 20x1150x4600.

A sum of K numbers in float32 is off by some sqrt(K) roundings, so DEPTH of them are added up at a time, and then to
those before: at K = 4,600 that is a quarter of the error of one sum, and less than BLAS's.

Proved by parity_tests/test_product.py.
"""

import numpy as np

from lstm_ref.core.jit import jit
from lstm_ref.kernels.tile import ROWS, columns, tile_of

DEPTH = 256  # also so that what is read of a panel, 64 KB, stays in a cache close by for the next rows
STRIP = 64  # rows of W that are packed at a time: a transposed W is read along its own rows


def product_plain(x, weight):
    """(1)."""
    return x @ weight


def whole_panels(N, dtype):
    """N columns and those that fill up the last panel."""
    J = columns(np.dtype(dtype))
    return -(-N // J) * J


def empty_panels(K, N, dtype):
    """P for a W [K,N]."""
    J = columns(np.dtype(dtype))
    return np.empty((whole_panels(N, dtype) // J, K, J), dtype)


@jit
def pack(weight, panels):
    """(2). weight: [K,N] of any strides, so the transpose of an array too."""
    K, N = weight.shape
    J = panels.shape[2]
    for k0 in range(0, K, STRIP):
        for p in range(len(panels)):
            width = min(J, N - p * J)
            for k in range(k0, min(k0 + STRIP, K)):
                row, part = panels[p, k], weight[k, p * J : p * J + width]
                for j in range(width):
                    row[j] = part[j]
                for j in range(width, J):
                    row[j] = 0


_many, _one = tile_of(ROWS), tile_of(1)


@jit
def product(x, panels, out):
    """(1) from (2). x [M,K], rows contiguous; out [M,ceil(N/J) J]."""
    M, K = x.shape
    J = panels.shape[2]
    whole = M - M % ROWS
    out[...] = 0
    for p in range(len(panels)):
        columns = out[:, p * J : (p + 1) * J]
        for k in range(0, K, DEPTH):
            panel, part = panels[p, k : k + DEPTH], x[:, k : k + DEPTH]
            for m in range(0, whole, ROWS):
                _many(part[m : m + ROWS], panel, columns[m : m + ROWS])
            for m in range(whole, M):
                _one(part[m : m + 1], panel, columns[m : m + 1])

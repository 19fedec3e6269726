r"""The decoder with its loss, a block of rows at a time: no array of all logits ever stands in memory.

    z = x W^T + b                                                       (1)  loss and dz: kernels/softmax_loss.py
    dx = dz W,   dW = dz^T x,   db = sum_n dz_n                         (2)

Shapes: x, dx [N,H]; W, dW [V,H]; b, db [V]; z, dz [N,V]; targets int64 [N].

At N = 1,400 and V = 33,278 z is 186 MB in float32, and a plain program has three of its size. Here a block of z goes
through (1), its loss and (2), and the next takes its place. Its price is that each block but the first is added to dW,
a pass over [V,H]: with blocks of 64 MB a seventh of the time of one block for all, with 16 MB a third, with 4 MB more
than all of it. Blocks of rows, because a row's softmax needs the whole row: blocks of the vocabulary would make every
logit twice, a third more products.

Proved by parity_tests/test_decoder.py.
"""

import numpy as np

from lstm_ref.kernels.softmax_loss import softmax_loss_backward, softmax_loss_total

BLOCK = 1 << 24  # most logits of a block: 64 MB in float32
STRIP = 1024  # rows of dW that one product is added to


def decoder_plain(x, weight, bias):
    """(1)."""
    return x @ weight.T + bias


def decoder_backward_plain(dz, x, weight):
    """(2): dx, dW, db."""
    return dz @ weight, dz.T @ x, dz.sum(axis=0)


class Decoder:
    """Holds the one block, as large as the largest window asked for, up to BLOCK."""

    def __init__(self, H, V, dtype):
        self.block = np.empty((0, V), dtype)
        self.strip = np.empty((min(V, STRIP), H), dtype)
        self.db = np.empty(V)

    def _blocks(self, N):
        """(rows, the block's part for them), of near equal sizes. They depend on N and V alone, so results do too."""
        V = self.block.shape[1]
        count = -(-N // max(1, BLOCK // V))
        size = -(-N // count)
        if len(self.block) < size:
            self.block = np.empty((size, V), self.block.dtype)
        for start in range(0, N, size):
            rows = slice(start, min(start + size, N))
            yield rows, self.block[: rows.stop - start]

    def loss(self, x, weight, bias, targets):
        """N times the loss, float64."""
        total = 0.0
        for rows, z in self._blocks(len(x)):
            np.dot(x[rows], weight.T, out=z)
            total += softmax_loss_total(z, bias, targets[rows])
        return float(total)  # uncompiled, it is NumPy's

    def loss_and_gradients(self, x, weight, bias, targets, tokens, dx, dweight, dbias):
        """N times the loss, float64; writes the gradients of the sum over these rows / tokens."""
        total, self.db[...] = 0.0, 0
        for rows, z in self._blocks(len(x)):
            np.dot(x[rows], weight.T, out=z)
            total += softmax_loss_backward(z, bias, targets[rows], tokens, self.db)
            np.dot(z, weight, out=dx[rows])
            if rows.start == 0:
                np.dot(z.T, x[rows], out=dweight)
            else:
                self._add_product(z, x[rows], dweight)
        dbias[...] = self.db
        return float(total)

    def _add_product(self, dz, x, dweight):
        """dW += dz^T x. NumPy's products cannot add to what is there; strip by strip, the sum is read from cache."""
        for v in range(0, len(dweight), STRIP):
            part = dweight[v : v + STRIP]
            np.dot(dz[:, v : v + STRIP].T, x, out=self.strip[: len(part)])
            part += self.strip[: len(part)]

r"""An LSTM layer over a window of T steps, and back through time [Werbos 1990; truncation: Williams & Peng 1990].

    h_t, c_t = cell(x_t, h_t-1, c_t-1),   t = 1..T                      (1)
    dh_t = dy_t + da_t+1 W_hh,   dc_t = dc'_t+1,   t = T..1             (2)  da, dc' from cell's backward at t+1
    dW_ih = sum_t da_t^T x_t,   dW_hh = sum_t da_t^T h_t-1,   db_ih = db_hh = sum_t,b da_t,   dx_t = da_t W_ih   (3)

with dh_T+1 = dh_n and dc_T+1 = dc_n, the gradients of the final state. Truncated BPTT carries h_T, c_T into the next
window as its h_0, c_0, and drops dh_0, dc_0.

Shapes: x [T,B,I]; y and h [T,B,H]. Only the product with W_hh depends on the step before, so (1) has one [B,H]x[H,4H]
product a step and one [T*B,I]x[I,4H] product for all steps; (3) is one product for each weight gradient over all of
time, where a product a step would read and write the gradient T times.

Proved by parity_tests/test_sequence.py.
"""

import copy

import numpy as np

from lstm_ref.core.jit import jit
from lstm_ref.kernels.cell import CellParams, cell_backward_plain, cell_forward_plain, gates_backward, gates_forward
from lstm_ref.kernels.embedding import scatter_add
from lstm_ref.kernels.product import empty_panels, pack, product, whole_panels

STRIP = 64


def sequence_forward_plain(x, h0, c0, params):
    """(1). Returns y [T,B,H], h_T, c_T [B,H] and the caches, one a step."""
    h, c, outputs, caches = h0, c0, [], []
    for x_t in x:
        h, c, cache = cell_forward_plain(x_t, h, c, params)
        outputs.append(h)
        caches.append(cache)
    return np.stack(outputs), h, c, caches


def sequence_backward_plain(dy, dh_n, dc_n, caches, params, grads):
    """(2) and (3): adds into `grads`, returns dx [T,B,I], dh_0, dc_0 [B,H]."""
    dh, dc, dx = dh_n, dc_n, []
    for dy_t, cache in zip(dy[::-1], caches[::-1]):
        dx_t, dh, dc = cell_backward_plain(dh + dy_t, dc, cache, params, grads)
        dx.append(dx_t)
    return np.stack(dx[::-1]), dh, dc


class LayerWeights:
    """What a layer's windows compute with, made of its parameters; `load` them whenever they have changed.

    W_hh is packed (kernels/product.py), as W_hh^T for (1) and as it is for (2), once for T products of each. One row
    alone is better off with BLAS, which reads W_hh with all its threads.
    """

    def __init__(self, params: CellParams, one_hot=False):
        I, H = params.weight_ih.shape[1], params.weight_hh.shape[1]
        dtype = params.weight_hh.dtype
        self.bias = np.empty(4 * H, dtype)
        self.panels, self.panels_back = empty_panels(H, 4 * H, dtype), empty_panels(4 * H, H, dtype)
        self.table = np.empty((I, 4 * H), dtype) if one_hot else None  # W_ih^T, [V,4H]
        self.load(params)

    def load(self, params: CellParams, forward=True, backward=True):
        """forward, backward: whether `Layer.forward` and `backward` will be called with more than one row."""
        self.params = params
        np.add(params.bias_ih, params.bias_hh, out=self.bias)
        if forward:
            pack(params.weight_hh.T, self.panels)
        if backward:
            pack(params.weight_hh, self.panels_back)
        if self.table is not None:
            _transpose(params.weight_ih, self.table)


def _transpose(a, out):
    """Strip by strip, so that what is read and written stays in cache: five to eight times as fast as all at once."""
    for n in range(0, len(a), STRIP):
        out[:, n : n + STRIP] = a[n : n + STRIP].T


class Layer:
    """One layer's arrays for windows of one shape, allocated once; nothing is allocated in a step.

    After `forward`, h[1:] is y and h[-1], c[-1] are the final state. After `backward`, gates holds da.
    """

    def __init__(self, T, B, H, dtype, one_hot_size=0):
        self.gates = np.empty((T, B, 4 * H), dtype)  # i f g o, later da
        self.h, self.c = np.empty((T + 1, B, H), dtype), np.empty((T + 1, B, H), dtype)  # [0] is the state before
        self.dbias = np.empty((T, 4 * H), dtype)
        self.h_part = np.empty((B, whole_panels(4 * H, dtype)), dtype)
        self.dh_part = np.empty((B, whole_panels(H, dtype)), dtype)
        self.dh, self.dc = self.dh_part[:, :H], np.empty((B, H), dtype)
        self.rows = np.arange(T * B).reshape(T, B)  # of what is computed for all steps at once
        self.dtable = np.empty((one_hot_size, 4 * H), dtype)  # dW_ih^T, [V,4H]

    def first(self, T):
        """This layer for a shorter window: the first part of each array."""
        part = copy.copy(self)
        part.gates, part.dbias, part.rows = self.gates[:T], self.dbias[:T], self.rows[:T]
        part.h, part.c = self.h[: T + 1], self.c[: T + 1]
        return part

    def forward(self, weights: LayerWeights, x, h0, c0):
        """x [T,B,I]. Returns y [T,B,H], a view."""
        x_part = _flat(self.gates)
        np.dot(_flat(x), weights.params.weight_ih.T, out=x_part)
        return self._recur(weights, h0, c0, x_part, self.rows)

    def forward_one_hot(self, weights: LayerWeights, ids, h0, c0):
        """ids int64 [T,B] stand for one-hot vectors x: x W_ih^T is then row ids of W_ih^T, no product at all."""
        return self._recur(weights, h0, c0, weights.table, ids)

    def _recur(self, weights: LayerWeights, h0, c0, x_part, rows):
        """(1). x_part [*,4H], whose row rows[t,b] is x W_ih^T of step t and batch row b."""
        self.h[0], self.c[0] = h0, c0
        kept = self.h_part, self.gates, self.h, self.c
        if len(h0) > 1:
            steps_forward(x_part, rows, weights.panels, weights.bias, *kept)
        else:
            _one_row_forward(x_part, rows, weights.params.weight_hh, weights.bias, *kept)
        return self.h[1:]

    def backward(self, weights: LayerWeights, x, dy, dh_n, dc_n, grads: CellParams, dx):
        """Writes grads and dx [T,B,I]; leaves dh_0, dc_0 in self.dh, self.dc. dh_n, dc_n: [B,H] or 0."""
        self._through_time(weights, dy, dh_n, dc_n, grads)
        np.dot(_flat(self.gates).T, _flat(x), out=grads.weight_ih)
        np.dot(_flat(self.gates), weights.params.weight_ih, out=_flat(dx))

    def backward_one_hot(self, weights: LayerWeights, ids, dy, dh_n, dc_n, grads: CellParams):
        """As `backward`; there is no dx, and dW_ih^T gets da_t added to row ids_t."""
        self._through_time(weights, dy, dh_n, dc_n, grads)
        self.dtable[...] = 0
        scatter_add(self.dtable, ids.reshape(-1), _flat(self.gates))
        _transpose(self.dtable, grads.weight_ih)

    def _through_time(self, weights: LayerWeights, dy, dh_n, dc_n, grads: CellParams):
        """(2), and what of (3) does not depend on the input."""
        self.dh[...], self.dc[...] = dh_n, dc_n
        kept = self.dh_part, self.dc, self.gates, self.c, self.dbias
        if len(self.dc) > 1:
            steps_backward(dy, weights.panels_back, *kept)
        else:
            _one_row_backward(dy, weights.params.weight_hh, *kept)
        np.dot(_flat(self.gates).T, _flat(self.h[:-1]), out=grads.weight_hh)
        np.sum(self.dbias, axis=0, out=grads.bias_ih)  # B terms, then T: one sum of T*B would round off five times more
        grads.bias_hh[...] = grads.bias_ih


# All steps of a layer in one call, so that a thread beside others asks for the interpreter's lock once a window and not
# twice a step. A training step of 2x32 units, 16 rows in two threads, took 4.3 ms with calls a step, and takes 1.7.


@jit
def steps_forward(x_part, rows, panels, bias, h_part, gates, h, c):
    """(1) for h [T+1,B,H] and c, whose [0] is given. panels: of W_hh^T. The others as in `gates_forward`, which see,
    with T before."""
    for t in range(len(gates)):
        product(h[t], panels, h_part)
        gates_forward(x_part, rows[t], h_part, bias, gates[t], c[t], c[t + 1], h[t + 1])


@jit
def steps_backward(dy, panels, dh_part, dc, gates, c, dbias):
    """(2): dy [T,B,H]; dh_part [B,>=H] and dc [B,H] from the state after the window to that before it; gates become da.
    panels: of W_hh. dbias [T,4H]: da summed over the rows of each step."""
    for t in range(len(gates) - 1, -1, -1):
        gates_backward(dy[t], dh_part, dc, gates[t], c[t], c[t + 1])
        product(gates[t], panels, dh_part)
        total = dbias[t]
        total[:] = 0
        for da in gates[t]:
            for j in range(da.size):
                total[j] += da[j]


def _one_row_forward(x_part, rows, weight_hh, bias, h_part, gates, h, c):
    """`steps_forward` for B = 1, where reading W_hh is all there is: BLAS does that with all its threads."""
    h_part = h_part[:, : len(bias)]
    for t in range(len(gates)):
        np.dot(h[t], weight_hh.T, out=h_part)
        gates_forward(x_part, rows[t], h_part, bias, gates[t], c[t], c[t + 1], h[t + 1])


def _one_row_backward(dy, weight_hh, dh_part, dc, gates, c, dbias):
    """`steps_backward` for B = 1."""
    dh = dh_part[:, : dc.shape[1]]
    for t in reversed(range(len(gates))):
        gates_backward(dy[t], dh, dc, gates[t], c[t], c[t + 1])
        np.dot(gates[t], weight_hh, out=dh)
        dbias[t] = gates[t, 0]


def _flat(x):
    """[T,B,N] as [T*B,N], a view."""
    return x.reshape(-1, x.shape[-1])

r"""One LSTM step [Hochreiter & Schmidhuber 1997; forget gate Gers et al. 2000]. Gate order i,f,g,o, as torch.nn.LSTM.

    a  = x W_ih^T + b_ih + h W_hh^T + b_hh,   a = [a_i a_f a_g a_o]     (1)
    i, f, o = sigmoid(a_i, a_f, a_o);   g = tanh(a_g)                   (2)
    c' = f*c + i*g                                                      (3)
    h' = o*tanh(c')                                                     (4)

Shapes: x [B,I]; h, c and each gate [B,H]; a [B,4H]; W_ih [4H,I]; W_hh [4H,H]; b_ih, b_hh [4H].

The two biases look redundant in (1), and the forward pass sees only their sum. But each gets the same gradient, so
their sum moves twice a step, and the clipping norm counts both: a twin with one bias drifts away after one update.

Proved by parity_tests/test_cell.py.
"""

from typing import NamedTuple

import numpy as np

from lstm_ref.core.jit import jit
from lstm_ref.kernels.activations import sigmoid, sigmoid_plain, tanh


class CellParams(NamedTuple):
    """The parameters of one layer, or their gradients."""

    weight_ih: np.ndarray  # [4H,I]
    weight_hh: np.ndarray  # [4H,H]
    bias_ih: np.ndarray  # [4H]
    bias_hh: np.ndarray  # [4H]


class CellCache(NamedTuple):
    """What the backward pass needs of the forward pass. x [B,I], the rest [B,H]."""

    x: np.ndarray
    h: np.ndarray
    c: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    tanh_c: np.ndarray


def cell_forward_plain(x, h, c, params):
    """Lines (1) to (4). Returns h' [B,H], c' [B,H] and the cache."""
    a = x @ params.weight_ih.T + params.bias_ih + h @ params.weight_hh.T + params.bias_hh  # (1)  [B,4H]
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    i, f, g, o = sigmoid_plain(a_i), sigmoid_plain(a_f), np.tanh(a_g), sigmoid_plain(a_o)  # (2)
    c_next = f * c + i * g  # (3)
    tanh_c = np.tanh(c_next)
    return o * tanh_c, c_next, CellCache(x, h, c, i, f, g, o, tanh_c)  # (4)


def cell_backward_plain(dh, dc, cache, params, grads):
    """Lines (4) to (1) reversed: adds into `grads`, returns dx [B,I], dh_prev [B,H], dc_prev [B,H].

    dh, dc [B,H]: all that reaches h' and c' from later steps and from above; they belong to the caller.
    """
    x, h, c, i, f, g, o, tanh_c = cache
    do = dh * tanh_c  # (4)
    dc = dc + dh * o * (1 - tanh_c**2)  # (4)  not in place: dc is the caller's
    di, df, dg, dc_prev = dc * g, dc * c, dc * i, dc * f  # (3)
    da = np.concatenate([di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)], axis=1)  # (2)  [B,4H]
    grads.weight_ih[...] += da.T @ x  # (1)
    grads.weight_hh[...] += da.T @ h  # (1)
    grads.bias_ih[...] += da.sum(axis=0)  # (1)
    grads.bias_hh[...] += da.sum(axis=0)  # (1)  equal to bias_ih's, and kept: see the module docstring
    return da @ params.weight_ih, da @ params.weight_hh, dc_prev


# The Numba forms do (2) to (4) of one step, row by row; the products of (1) are BLAS's (kernels/sequence.py). Each
# inner loop touches few arrays, all 1-D: LLVM gives up on a loop whose arrays it must check for overlap in too many
# pairs. And none reads under one name what it writes under another: where the two are the same memory the check fails,
# and the loop runs one number at a time (three times the time). No literal 1 or 0.5 stands in them: it would make
# float32 arithmetic float64.


@jit
def gates_forward(x_part, rows, h_part, bias, gates, c_prev, c, h):
    """x_part [*,4H], of which row rows[b] is x W_ih^T of batch row b; h_part [B,4H] = h W_hh^T, which becomes a; bias
    [4H] = b_ih + b_hh; c_prev [B,H]. Writes gates [B,4H] = i f g o (x_part itself may be written to), and c and h
    [B,H]."""
    B, H = c.shape
    tanh_c = np.empty(H, c.dtype)
    for b in range(B):
        x_row, a, row = x_part[rows[b]], h_part[b], gates[b]
        for j in range(4 * H):
            a[j] = x_row[j] + a[j] + bias[j]
        for j in range(2 * H):
            row[j] = sigmoid(a[j])  # i, f
        for j in range(2 * H, 3 * H):
            row[j] = tanh(a[j])  # g
        for j in range(3 * H, 4 * H):
            row[j] = sigmoid(a[j])  # o
        i, f, g, o = row[:H], row[H : 2 * H], row[2 * H : 3 * H], row[3 * H :]
        c_prev_row, c_row, h_row = c_prev[b], c[b], h[b]
        for j in range(H):
            c_row[j] = f[j] * c_prev_row[j] + i[j] * g[j]  # (3)
        for j in range(H):
            tanh_c[j] = tanh(c_row[j])
        for j in range(H):
            h_row[j] = o[j] * tanh_c[j]  # (4)


@jit
def gates_backward(dy, dh_next, dc, gates, c_prev, c):
    """dy [B,H] from above and dh_next [B,H] from the next step add up to dh; dc [B,H] becomes dc_prev in place.
    Overwrites gates [B,4H] with da. tanh(c) is computed again: kept, it would be a tenth of a window's memory."""
    B, H = dc.shape
    dh, tanh_c = np.empty(H, dc.dtype), np.empty(H, dc.dtype)
    for b in range(B):
        row = gates[b]
        i, f, g, o = row[:H], row[H : 2 * H], row[2 * H : 3 * H], row[3 * H :]
        dy_row, dh_row, dc_row, c_prev_row, c_row = dy[b], dh_next[b], dc[b], c_prev[b], c[b]
        for j in range(H):
            dh[j] = dy_row[j] + dh_row[j]
        for j in range(H):
            tanh_c[j] = tanh(c_row[j])
        for j in range(H):
            t = tanh_c[j]
            through_tanh = dh[j] * o[j]
            dc_row[j] += through_tanh - through_tanh * t * t  # (4)
        for j in range(H):
            o[j] = dh[j] * tanh_c[j] * (o[j] - o[j] * o[j])  # (4), (2)
        for j in range(H):
            i_j, g_j = i[j], g[j]
            through_i = dc_row[j] * i_j
            i[j] = through_i * (g_j - g_j * i_j)  # (3), (2)  dc g i (1-i)
            g[j] = through_i - through_i * g_j * g_j  # (3), (2)  dc i (1-g^2)
        for j in range(H):
            through_f = dc_row[j] * f[j]
            f[j] = through_f * (c_prev_row[j] - c_prev_row[j] * f[j])  # (3), (2)  dc c f (1-f)
            dc_row[j] = through_f  # (3)  dc_prev

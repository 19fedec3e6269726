"""The forward pass by which `identify` judges: plain NumPy in float64, many gate orders at once.

    a = x W_ih^T + h W_hh^T + b,   i, f, o = sigmoid(a_i, a_f, a_o),   g = tanh(a_g)
    c' = f*c + i*g,   h' = o*tanh(c')

with P_i*c, P_f*c added to a_i, a_f and P_o*c' to a_o where there are peepholes, and h' = W_hr (o*tanh(c')) where h is
projected. Core imports no kernels, so it has its own; the judge of a layout must not share code with what it judges.
"""

from typing import NamedTuple

import numpy as np

from lstm_ref.core.layouts.ours import GATES, Arrays, to_blocks


class Cell(NamedTuple):
    """One layer in one direction, float64. The four blocks may stand in any order: see `run`."""

    W: np.ndarray  # [4,H,I]
    R: np.ndarray  # [4,H,P], P = H without projection
    b: np.ndarray  # [4,H]
    peephole: np.ndarray | None = None  # [3,H], i f o
    projection: np.ndarray | None = None  # [P,H]
    old_cell: bool = False  # the output gate's peephole sees c of the step before
    forget_bias: float = 0.0  # added to a_f


class Outputs(NamedTuple):
    y: np.ndarray  # [...,T,B,D*P]
    h_n: np.ndarray  # [...,B,P]
    c_n: np.ndarray  # [...,B,H]


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * a))


def run(cell: Cell, x: np.ndarray, h0: np.ndarray, c0: np.ndarray, orders: np.ndarray) -> Outputs:
    """orders int [K,4]: in order k, gate n of i f g o is block orders[k,n]. x [T,B,I]; h0 [B,P]; c0 [B,H].

    Returns y [K,T,B,P], h_n [K,B,P], c_n [K,B,H].
    """
    K, (_, H, I), B = len(orders), cell.W.shape, x.shape[1]
    x_part = (x @ cell.W.reshape(4 * H, I).T).reshape(*x.shape[:2], 4, H) + cell.b
    recurrent = cell.R.reshape(4 * H, -1).T
    p_i, p_f, p_o = np.zeros((3, H)) if cell.peephole is None else cell.peephole
    h, c, y = h0[None], c0[None], []
    for x_t in x_part:
        a = np.broadcast_to(x_t + (h @ recurrent).reshape(-1, B, 4, H), (K, B, 4, H))
        a_i, a_f, a_g, a_o = a[np.arange(K)[:, None], :, orders].swapaxes(0, 1)
        c_new = sigmoid(a_f + cell.forget_bias + p_f * c) * c + sigmoid(a_i + p_i * c) * np.tanh(a_g)
        h = sigmoid(a_o + p_o * (c if cell.old_cell else c_new)) * np.tanh(c_new)
        h = h if cell.projection is None else h @ cell.projection.T
        c = c_new
        y.append(h)
    return Outputs(np.stack(y, axis=1), h, c)


def run_ours(weights: Arrays, x: np.ndarray, h0: np.ndarray, c0: np.ndarray, old_cell: bool = False) -> Outputs:
    """All layers and directions of weights in our form. h0 [L*D,B,P], c0 [L*D,B,H]; so are h_n and c_n."""
    sizes, blocks = to_blocks({name: np.asarray(value, np.float64) for name, value in weights.items()})
    own, states = np.arange(len(GATES))[None], []
    for layer in range(sizes.layers):
        outputs = []
        for direction in range(sizes.directions):
            where, k = (layer, direction), layer * sizes.directions + direction
            zero = np.zeros((4, sizes.hidden))
            b = blocks.get(("bias_ih", where), zero) + blocks.get(("bias_hh", where), zero)
            extras = (blocks.get(("peephole", where)), blocks.get(("weight_hr", where)), old_cell)
            cell = Cell(blocks["weight_ih", where], blocks["weight_hh", where], b, *extras)
            result = run(cell, x[::-1] if direction else x, h0[k], c0[k], own)
            outputs.append(result.y[0][::-1] if direction else result.y[0])
            states.append((result.h_n[0], result.c_n[0]))
        x = np.concatenate(outputs, axis=-1)
    return Outputs(x, *(np.stack(state) for state in zip(*states)))

r"""LSTM layers and their gradients in multi-precision, from the equations.

    a = x W_ih^T + b_ih + h W_hh^T + b_hh,   a = [a_i a_f a_g a_o]      (1)  [Hochreiter & Schmidhuber 1997]
    a_i += p_i*c,   a_f += p_f*c                                        (2)  peepholes [Gers & Schmidhuber 2000]
    c' = sigmoid(a_f)*c + sigmoid(a_i)*tanh(a_g)                        (3)  forget gate [Gers et al. 2000]
    a_o += p_o*c'                                                       (4)  peepholes
    m = sigmoid(a_o)*tanh(c');   h' = m W_hr^T or m                     (5)  projection [Sak et al. 2014]

x [T,B,I]; h [B,H] or [B,P]; c, m [B,H]; a [B,4H]. All arrays are object arrays of mpmath numbers. A row past its length
keeps its state and gives y = 0. Proved by parity_tests/suite_tests/test_vectors.py: central differences, torch, ONNX.
"""

import numpy as np

from parity_tests.suite.question import layer_names
from parity_tests.vectors.multiprecision import Exact, sigmoid, sigmoid_slope, tanh, tanh_slope, zeros


def cell(x, h, c, w: Exact):
    """(1) to (5). Returns h', c' and what `cell_backward` needs."""
    p_i, p_f, p_o = np.split(w.get("peephole", zeros(3 * c.shape[1])), 3)
    a = x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    a_i, a_f = a_i + p_i * c, a_f + p_f * c
    c_next = sigmoid(a_f) * c + sigmoid(a_i) * tanh(a_g)
    a_o = a_o + p_o * c_next
    m = sigmoid(a_o) * tanh(c_next)
    h_next = m @ w["weight_hr"].T if "weight_hr" in w else m
    return h_next, c_next, (x, h, c, a_i, a_f, a_g, a_o, c_next, m)


def cell_backward(dh, dc, tape, w: Exact, dw: Exact):
    """(5) to (1) reversed: adds into dw, returns dx, dh_prev, dc_prev."""
    x, h, c, a_i, a_f, a_g, a_o, c_next, m = tape
    p_i, p_f, p_o = np.split(w.get("peephole", zeros(3 * c.shape[1])), 3)
    dm = dh
    if "weight_hr" in w:
        dm = dh @ w["weight_hr"]
        dw["weight_hr"] += dh.T @ m
    da_o = dm * tanh(c_next) * sigmoid_slope(a_o)
    dc = dc + dm * sigmoid(a_o) * tanh_slope(c_next) + da_o * p_o
    da_i = dc * tanh(a_g) * sigmoid_slope(a_i)
    da_f = dc * c * sigmoid_slope(a_f)
    da_g = dc * sigmoid(a_i) * tanh_slope(a_g)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
    dw["weight_ih"] += da.T @ x
    dw["weight_hh"] += da.T @ h
    dw["bias_ih"] += da.sum(axis=0)
    dw["bias_hh"] += da.sum(axis=0)
    if "peephole" in w:
        dw["peephole"] += np.concatenate([da_i * c, da_f * c, da_o * c_next], axis=1).sum(axis=0)
    return da @ w["weight_ih"], da @ w["weight_hh"], dc * sigmoid(a_f) + da_i * p_i + da_f * p_f


def layer(x, h, c, w: Exact, lengths, reverse: bool):
    """One layer in one direction. lengths int64 [B]. Returns y [T,B,H], h_T, c_T and the tape."""
    y, tape = [h] * len(x), []
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        inside = (t < lengths)[:, None]
        h_next, c_next, step = cell(x[t], h, c, w)
        h, c = np.where(inside, h_next, h), np.where(inside, c_next, c)
        y[t] = np.where(inside, h_next, zeros(h.shape))
        tape.append((t, inside, step))
    return np.stack(y), h, c, tape


def layer_backward(dy, dh, dc, tape, w: Exact, dw: Exact):
    """Back through time: adds into dw, returns dx [T,B,I], dh0, dc0."""
    dx = [dy] * len(dy)
    for t, inside, step in reversed(tape):
        nothing = zeros(dh.shape), zeros(dc.shape)
        dh_here, dc_here = np.where(inside, dh + dy[t], nothing[0]), np.where(inside, dc, nothing[1])
        dx[t], dh_prev, dc_prev = cell_backward(dh_here, dc_here, step, w, dw)
        dh, dc = dh_prev + np.where(inside, nothing[0], dh), dc_prev + np.where(inside, nothing[1], dc)
    return np.stack(dx), dh, dc


def weights_of(arrays: Exact, suffix: str) -> Exact:
    return {name.removesuffix(suffix): array for name, array in arrays.items() if name.endswith(suffix)}


def forward(arrays: Exact, lengths):
    """All layers and directions, as `forward` in parity_tests/suite/question.py. Returns y, h_n, c_n and the tapes."""
    names, x, h_n, c_n, tapes = layer_names(arrays), arrays["x"], [], [], []
    directions = _directions(names)
    for first in range(0, len(names), directions):
        outputs = []
        for k in range(first, first + directions):
            weights = weights_of(arrays, names[k])
            y, h, c, tape = layer(x, arrays["h0"][k], arrays["c0"][k], weights, lengths, reverse=k > first)
            outputs.append(y)
            h_n.append(h)
            c_n.append(c)
            tapes.append(tape)
        x = np.concatenate(outputs, axis=2)
    return x, np.stack(h_n), np.stack(c_n), tapes


def backward(arrays: Exact, lengths) -> Exact:
    """Gradients of sum(dy*y) + sum(dh_n*h_n) + sum(dc_n*c_n) by x, h0, c0 and each weight; an entry for each."""
    *_, tapes = forward(arrays, lengths)
    names, dx = layer_names(arrays), arrays["dy"]
    directions = _directions(names)
    parts: Exact = {}
    dh0: dict[int, np.ndarray] = {}
    dc0: dict[int, np.ndarray] = {}
    for first in reversed(range(0, len(names), directions)):
        dys, dx = np.split(dx, directions, axis=2), zeros(())
        for k, dy in zip(range(first, first + directions), dys):
            weights = weights_of(arrays, names[k])
            dw = {name: zeros(weight.shape) for name, weight in weights.items()}
            dx_k, dh0[k], dc0[k] = layer_backward(dy, arrays["dh_n"][k], arrays["dc_n"][k], tapes[k], weights, dw)
            dx = dx + dx_k
            parts |= {f"d{name}{names[k]}": gradient for name, gradient in dw.items()}
    states = {"dh0": np.stack([dh0[k] for k in sorted(dh0)]), "dc0": np.stack([dc0[k] for k in sorted(dc0)])}
    return {"dx": dx, **states, **parts}


def _directions(names: list[str]) -> int:
    return 2 if any(name.endswith("_reverse") for name in names) else 1

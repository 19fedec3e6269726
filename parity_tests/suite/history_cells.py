r"""Whole cells in the styles of those who wrote them: the forward pass of a layer, right ones beside wrong ones.

A style is a way to store the weights and to walk through a sequence. Each takes the question's weights, turns them into
its own layout, as a loader would, and computes in that. Where a project had a fault, the fault is an argument, and the
right cell is the same code without it. What happened is told in history.py; no code is anybody else's.

Shapes: x [T,B,I]; h0, c0 [L*D,B,H]; returns y [T,B,D*H], h_n, c_n [L*D,B,H].
"""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

Params = Mapping[str, np.ndarray]
Forward = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def sigmoid(a: np.ndarray) -> np.ndarray:
    """By tanh, which neither overflows nor warns."""
    return 0.5 * (1 + np.tanh(0.5 * a))


def _gate(params: Params, name: str, gate: str) -> np.ndarray:
    """One gate's block of an array in PyTorch's layout."""
    return np.split(params[name], 4)["ifgo".index(gate)]


# ---- a matrix for each gate, on [h, x] joined (numpy-ml) -----------------------------------------------------------

OWN = {"i": "i", "f": "f", "g": "g", "o": "o"}  # which bias each gate adds


def separate_gates(biases: Mapping[str, str] = OWN) -> Forward:
    """A dictionary of four matrices [(H+I),H] and four biases [H]; h stands before x."""

    def forward(params: Params, x: np.ndarray, h0: np.ndarray, c0: np.ndarray):
        W = {g: np.hstack([_gate(params, "weight_hh_l0", g), _gate(params, "weight_ih_l0", g)]).T for g in "ifgo"}
        b = {g: _gate(params, "bias_ih_l0", g) + _gate(params, "bias_hh_l0", g) for g in "ifgo"}
        h, c, y = h0[0], c0[0], []
        for x_t in x:
            z = np.hstack([h, x_t])
            a = {g: z @ W[g] + b[biases[g]] for g in "ifgo"}
            c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
            h = sigmoid(a["o"]) * np.tanh(c)
            y.append(h)
        return np.stack(y), h[None], c[None]

    return forward


# ---- one matrix on [x, h] joined, i j f o, with a forget bias that is added on the fly (TensorFlow 1) ----------------

FORGET_BIAS = 1.0


def basic_cell(has_forget_bias: Callable[[int], bool] = lambda layer: True) -> Forward:
    """kernel [(I+H),4H], bias [4H]. The loader takes the forget bias out of the weights, and the cell of every layer
    puts it back, or only that of some."""

    def load(params: Params, layer: int) -> tuple[np.ndarray, np.ndarray]:
        joined = {g: [_gate(params, f"weight_{s}_l{layer}", g) for s in ("ih", "hh")] for g in "igfo"}
        kernel = np.vstack([np.hstack(joined[g]) for g in "igfo"]).T
        both = params[f"bias_ih_l{layer}"] + params[f"bias_hh_l{layer}"]
        i, f, g, o = np.split(both, 4)
        return kernel, np.concatenate([i, g, f - both.dtype.type(FORGET_BIAS), o])

    def forward(params: Params, x: np.ndarray, h0: np.ndarray, c0: np.ndarray):
        h_n, c_n = [], []
        for layer in range(len(h0)):
            kernel, bias = load(params, layer)
            h, c, y = h0[layer], c0[layer], []
            for x_t in x:
                i, j, f, o = np.split(np.hstack([x_t, h]) @ kernel + bias, 4, axis=1)
                c = sigmoid(f + (FORGET_BIAS if has_forget_bias(layer) else 0)) * c + sigmoid(i) * np.tanh(j)
                h = sigmoid(o) * np.tanh(c)
                y.append(h)
            h_n.append(h)
            c_n.append(c)
            x = np.stack(y)
        return x, np.stack(h_n), np.stack(c_n)

    return forward


# ---- kernels [in,4H], batch first inside (Keras) -------------------------------------------------------------------


def keras_layer(params: Params, x: np.ndarray, h0: np.ndarray, c0: np.ndarray):
    """kernel [I,4H], recurrent_kernel [H,4H], one bias; order i, f, c, o; the input's product for all steps at once."""
    kernel, recurrent_kernel = params["weight_ih_l0"].T.copy(), params["weight_hh_l0"].T.copy()
    inputs = np.swapaxes(x, 0, 1) @ kernel + (params["bias_ih_l0"] + params["bias_hh_l0"])  # [B,T,4H]
    H, outputs, states = h0.shape[-1], [], [h0[0], c0[0]]
    for t in range(inputs.shape[1]):
        z = inputs[:, t] + states[0] @ recurrent_kernel
        i, f, o = sigmoid(z[:, :H]), sigmoid(z[:, H : 2 * H]), sigmoid(z[:, 3 * H :])
        c = f * states[1] + i * np.tanh(z[:, 2 * H : 3 * H])
        states = [o * np.tanh(c), c]
        outputs.append(states[0])
    return np.stack(outputs, axis=1).swapaxes(0, 1), states[0][None], states[1][None]


# ---- W, R, B of ONNX, one or two directions -------------------------------------------------------------------------

ONNX_ORDER = "iofg"


def onnx_runtime(read_as: str = ONNX_ORDER) -> Forward:
    """W [D,4H,I], R [D,4H,H], B [D,8H] = Wb, Rb, stored in ONNX's order; `read_as` is what the runtime takes it for."""

    def export(params: Params, name: str, suffix: str) -> np.ndarray:
        return np.concatenate([_gate(params, f"{name}_l0{suffix}", gate) for gate in ONNX_ORDER])

    def direction(W: np.ndarray, R: np.ndarray, B: np.ndarray, x: Iterable[np.ndarray], h: np.ndarray, c: np.ndarray):
        Wb, Rb = np.split(B, 2)
        for x_t in x:
            blocks = np.split(x_t @ W.T + h @ R.T + Wb + Rb, 4, axis=1)
            a = dict(zip(read_as, blocks))
            c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["g"])
            h = sigmoid(a["o"]) * np.tanh(c)
            yield h, c

    def forward(params: Params, x: np.ndarray, h0: np.ndarray, c0: np.ndarray):
        sides, h_n, c_n = [], [], []
        for d, suffix in enumerate(["", "_reverse"][: len(h0)]):
            W, R = export(params, "weight_ih", suffix), export(params, "weight_hh", suffix)
            B = np.concatenate([export(params, "bias_ih", suffix), export(params, "bias_hh", suffix)])
            steps = list(direction(W, R, B, x[::-1] if d else x, h0[d], c0[d]))
            side = [h for h, _ in steps]
            sides.append(np.stack(side[::-1] if d else side))
            h_n.append(steps[-1][0])
            c_n.append(steps[-1][1])
        return np.concatenate(sides, axis=-1), np.stack(h_n), np.stack(c_n)

    return forward


# ---- peepholes, zero where there are none (Graves) -------------------------------------------------------------------


def graves_layer(params: Params, x: np.ndarray, h0: np.ndarray, c0: np.ndarray):
    """Always with three peephole vectors; a layer without them has zeros."""
    H = h0.shape[-1]
    p_i, p_f, p_o = np.split(params.get("peephole_l0", np.zeros(3 * H, x.dtype)), 3)
    h, c, y = h0[0], c0[0], []
    for x_t in x:
        a = x_t @ params["weight_ih_l0"].T + h @ params["weight_hh_l0"].T + params["bias_ih_l0"] + params["bias_hh_l0"]
        i, f = sigmoid(a[:, :H] + p_i * c), sigmoid(a[:, H : 2 * H] + p_f * c)
        c = f * c + i * np.tanh(a[:, 2 * H : 3 * H])
        h = sigmoid(a[:, 3 * H :] + p_o * c) * np.tanh(c)
        y.append(h)
    return np.stack(y), h[None], c[None]


# ---- loops over numbers, a row of the batch after the other (C) ------------------------------------------------------


def scalar_loops(
    params: Params, x: np.ndarray, h0: np.ndarray, c0: np.ndarray, lengths=None, batch_first: bool = False
):
    """No matrix product: each number by itself, in float64, as a program in C would for one row at a time."""
    rows = x if batch_first else np.swapaxes(x, 0, 1)
    B, T, H = *rows.shape[:2], h0.shape[-1]
    W, R = params["weight_ih_l0"].tolist(), params["weight_hh_l0"].tolist()
    bias = (params["bias_ih_l0"].astype(float) + params["bias_hh_l0"]).tolist()
    y, h_n, c_n = np.zeros((B, T, H), x.dtype), np.zeros_like(h0), np.zeros_like(c0)
    for b in range(B):
        h, c = h0[0, b].tolist(), c0[0, b].tolist()
        for t in range(T if lengths is None else int(lengths[b])):
            xs = rows[b, t].tolist()
            dots = [math.fsum(w * v for w, v in zip([*W[r], *R[r], bias[r]], [*xs, *h, 1.0])) for r in range(4 * H)]
            for j in range(H):
                i, f, o = (0.5 * (1 + math.tanh(0.5 * dots[g * H + j])) for g in (0, 1, 3))
                c[j] = f * c[j] + i * math.tanh(dots[2 * H + j])
                h[j] = o * math.tanh(c[j])
            y[b, t] = h
        h_n[0, b], c_n[0, b] = h, c
    return y if batch_first else np.swapaxes(y, 0, 1), h_n, c_n

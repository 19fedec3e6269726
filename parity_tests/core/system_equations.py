"""What each system computes in one step, as its own source states it: with its own names, splits and order of states.

Nothing here knows of lstm_ref.core.layouts. EQUATIONS has all systems of its table but PyTorch, for which there is
torch. Each takes the arrays of one layer in one direction, x [B,I] and the state in the system's order, and returns the
next state.
"""

from collections.abc import Callable

import numpy as np

Weights = dict[str, np.ndarray]
State = tuple[np.ndarray, np.ndarray]


def sig(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def cudnn(a: Weights, x: np.ndarray, state: State) -> State:
    """cuDNN API, CUDNN_LSTM: matrices 0-3 on x and 4-7 on h; input, forget, new memory, output."""
    h, c = state
    z = [x @ a[f"matrix{k}"].T + h @ a[f"matrix{k + 4}"].T + a[f"bias{k}"] + a[f"bias{k + 4}"] for k in range(4)]
    c = sig(z[1]) * c + sig(z[0]) * np.tanh(z[2])
    return sig(z[3]) * np.tanh(c), c


def keras(a: Weights, x: np.ndarray, state: State) -> State:
    """keras LSTMCell.call: z0 i, z1 f, z2 the candidate, z3 o."""
    h, c = state
    z0, z1, z2, z3 = np.split(x @ a["kernel"] + h @ a["recurrent_kernel"] + a["bias"], 4, axis=1)
    c = sig(z1) * c + sig(z0) * np.tanh(z2)
    return sig(z3) * np.tanh(c), c


def tf1(a: Weights, x: np.ndarray, state: State, forget_bias: float = 1.0) -> State:
    """BasicLSTMCell.call: state (c, h), one product of [x, h], i, j, f, o."""
    c, h = state
    i, j, f, o = np.split(np.concatenate([x, h], axis=1) @ a["kernel"] + a["bias"], 4, axis=1)
    c = c * sig(f + forget_bias) + sig(i) * np.tanh(j)
    return c, np.tanh(c) * sig(o)


def flax(a: Weights, x: np.ndarray, state: State) -> State:
    """OptimizedLSTMCell: carry (c, h), a Dense for each gate, a bias on the recurrent ones."""
    c, h = state
    i, f, g, o = (x @ a[f"i{n}/kernel"] + h @ a[f"h{n}/kernel"] + a[f"h{n}/bias"] for n in "ifgo")
    c = sig(f) * c + sig(i) * np.tanh(g)
    return c, sig(o) * np.tanh(c)


def onnx(a: Weights, x: np.ndarray, state: State, d: int = 0) -> State:
    """Operators.md, LSTM: it = f(Xt*(Wi^T) + Ht-1*(Ri^T) + Pi (.) Ct-1 + Wbi + Rbi), ..., ot with Po (.) Ct."""
    h, c = state
    w_i, w_o, w_f, w_c = np.split(a["W"][d], 4)
    r_i, r_o, r_f, r_c = np.split(a["R"][d], 4)
    wb_i, wb_o, wb_f, wb_c, rb_i, rb_o, rb_f, rb_c = np.split(a["B"][d], 8)
    p_i, p_o, p_f = np.split(a["P"][d], 3) if "P" in a else (0.0, 0.0, 0.0)
    i = sig(x @ w_i.T + h @ r_i.T + p_i * c + wb_i + rb_i)
    f = sig(x @ w_f.T + h @ r_f.T + p_f * c + wb_f + rb_f)
    new = f * c + i * np.tanh(x @ w_c.T + h @ r_c.T + wb_c + rb_c)
    o = sig(x @ w_o.T + h @ r_o.T + p_o * new + wb_o + rb_o)
    return o * np.tanh(new), new


def webnn(a: Weights, x: np.ndarray, state: State, layout: str = "iofg") -> State:
    """The emulation of lstmCell: gates by MLLstmWeightLayout, peepholes i, o, f, all of them on the old cell."""
    h, c = state
    H = h.shape[1]

    def gate(name: str, peephole: int | None) -> np.ndarray:
        rows = slice(layout.index(name) * H, (layout.index(name) + 1) * H)
        seen = c * a["peepholeWeight"][0, peephole * H :][:H] if peephole is not None and "peepholeWeight" in a else 0.0
        biases = a["bias"][0, rows] + a["recurrentBias"][0, rows]
        return seen + biases + x @ a["weight"][0, rows].T + h @ a["recurrentWeight"][0, rows].T

    new = sig(gate("f", 2)) * c + sig(gate("i", 0)) * np.tanh(gate("g", None))
    return sig(gate("o", 1)) * np.tanh(new), new


def webnn_ifgo(a: Weights, x: np.ndarray, state: State) -> State:
    return webnn(a, x, state, "ifgo")


def onednn(a: Weights, x: np.ndarray, state: State) -> State:
    """The RNN primitive: weights ldigo, bias ldgo, gates i, f, c~, o; peepholes ldgo in the order i, f, o."""
    h, c = state
    z = np.einsum("bi,igo->gbo", x, a["weights_layer"][0, 0]) + np.einsum("bi,igo->gbo", h, a["weights_iter"][0, 0])
    z = z + a["bias"][0, 0][:, None, :]
    p = a["weights_peephole"][0, 0] if "weights_peephole" in a else np.zeros((3, c.shape[1]))
    new = sig(z[1] + p[1] * c) * c + sig(z[0] + p[0] * c) * np.tanh(z[2])
    return sig(z[3] + p[2] * new) * np.tanh(new), new


def openvino(a: Weights, x: np.ndarray, state: State) -> State:
    """LSTMSequence: gate order fico in W, R and B."""
    h, c = state
    f, i, g, o = np.split(x @ a["W"][0].T + h @ a["R"][0].T + a["B"][0], 4, axis=1)
    c = sig(f) * c + sig(i) * np.tanh(g)
    return sig(o) * np.tanh(c), c


def cldnn(order: str) -> Callable[[Weights, np.ndarray, State], State]:
    """GetOffsetIndex of the GPU plugin: where i, o, f and z are."""
    at = {"iofz": (0, 1, 2, 3), "ifoz": (0, 2, 1, 3), "izof": (0, 3, 1, 2)}[order]

    def step(a: Weights, x: np.ndarray, state: State) -> State:
        h, c = state
        blocks = np.split(x @ a["weights"][0].T + h @ a["recurrent"][0].T + a["bias"][0], 4, axis=1)
        i, o, f, z = (blocks[k] for k in at)
        c = sig(f) * c + sig(i) * np.tanh(z)
        return sig(o) * np.tanh(c), c

    return step


def char_rnn(a: Weights, x: np.ndarray, state: State) -> State:
    """model/LSTM.lua: i2h + h2h, reshaped to (4, rnn_size): in, forget, out, in_transform; state prev_c, prev_h."""
    c, h = state
    sums = (x @ a["i2h.weight"].T + a["i2h.bias"]) + (h @ a["h2h.weight"].T + a["h2h.bias"])
    n = sums.reshape(len(x), 4, -1)
    c = sig(n[:, 1]) * c + sig(n[:, 0]) * np.tanh(n[:, 3])
    return c, sig(n[:, 2]) * np.tanh(c)


def torch_rnn(a: Weights, x: np.ndarray, state: State) -> State:
    """LSTM.lua: weight (D + H, 4H), the first D rows for x; i, f, o, then g; called with {c0, h0, x}."""
    (c, h), D, H = state, x.shape[1], state[1].shape[1]
    gates = a["bias"] + x @ a["weight"][:D] + h @ a["weight"][D:]
    sigmoids, g = sig(gates[:, : 3 * H]), np.tanh(gates[:, 3 * H :])
    i, f, o = sigmoids[:, :H], sigmoids[:, H : 2 * H], sigmoids[:, 2 * H :]
    c = f * c + i * g
    return c, np.tanh(c) * o


def caffe2(a: Weights, x: np.ndarray, state: State) -> State:
    """rnn_cell.py LSTMCell, lstm_unit_op.h LSTMUnit: X[d], X[D + d], X[2 D + d], X[3 D + d] are i, f, o, g."""
    (h, c), D = state, state[0].shape[1]
    X = (h @ a["gates_t_w"].T + a["gates_t_b"]) + (x @ a["i2h_w"].T + a["i2h_b"])
    c = sig(X[:, D : 2 * D]) * c + sig(X[:, :D]) * np.tanh(X[:, 3 * D :])
    return sig(X[:, 2 * D : 3 * D]) * np.tanh(c), c


def haste(a: Weights, x: np.ndarray, state: State) -> State:
    """lib/lstm_forward_gpu: the blocks of kernel, recurrent_kernel and bias are i, g, f, o."""
    h, c = state
    i, g, f, o = np.split(x @ a["kernel"] + h @ a["recurrent_kernel"] + a["bias"], 4, axis=1)
    c = sig(f) * c + sig(i) * np.tanh(g)
    return sig(o) * np.tanh(c), c


def numpy_ml(a: Weights, x: np.ndarray, state: State) -> State:
    """layers.py LSTMCell: Zt = [A, X]; f forget, u update, c candidate, o output."""
    A, C = state
    Zt = np.hstack([A, x])
    C = sig(Zt @ a["Wf"] + a["bf"]) * C + sig(Zt @ a["Wu"] + a["bu"]) * np.tanh(Zt @ a["Wc"] + a["bc"])
    return sig(Zt @ a["Wo"] + a["bo"]) * np.tanh(C), C


def flashrnn(a: Weights, x: np.ndarray, state: State) -> State:
    """vanilla_fwbw/fw.py, one head: R (gates, heads, Dout, Din), b (gates, heads, D); i, f, z, o; Wx from outside."""
    h, c = state
    raw = np.einsum("bi,gndi->bgnd", x, a["W"]) + np.einsum("bnp,gndp->bgnd", h[:, None, :], a["R"]) + a["b"]
    i, f, z, o = (raw[:, k, 0] for k in range(4))
    c = sig(f) * c + sig(i) * np.tanh(z)
    return sig(o) * np.tanh(c), c


EQUATIONS: dict[str, Callable[[Weights, np.ndarray, State], State]] = {
    "cudnn": cudnn,
    "keras": keras,
    "tf1": tf1,
    "flax": flax,
    "onnx": onnx,
    "webnn": webnn,
    "webnn-ifgo": webnn_ifgo,
    "onednn": onednn,
    "openvino": openvino,
    "cldnn-iofz": cldnn("iofz"),
    "cldnn-ifoz": cldnn("ifoz"),
    "cldnn-izof": cldnn("izof"),
    "char-rnn": char_rnn,
    "torch-rnn": torch_rnn,
    "caffe2": caffe2,
    "haste": haste,
    "numpy-ml": numpy_ml,
    "flashrnn": flashrnn,
}

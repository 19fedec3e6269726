r"""Whole cells that learn, in the styles of those who wrote them: a layer with its backward pass, a language model.

As in history_cells.py, a fault is an argument or a method, and the right one is the same code without it.
"""

from collections.abc import Callable, Mapping

import numpy as np

from parity_tests.suite.history_cells import sigmoid

Params = Mapping[str, np.ndarray]
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def cell(x, h, c, W, R, b, bb):
    """One step, with all that it computed kept for the way back."""
    i, f, g, o = np.split(x @ W.T + h @ R.T + b + bb, 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c_next = f * c + i * g
    return o * np.tanh(c_next), c_next, (x, h, c, i, f, g, o, c_next)


def cell_back(dh, dc, kept, W, R):
    """dc: all that reaches c'. Returns dx, dh, dc of the step before, and the four gradients of the weights."""
    x, h, c, i, f, g, o, c_next = kept
    da = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * np.tanh(c_next) * o * (1 - o)]
    da = np.concatenate(da, axis=1)
    return da @ W, da @ R, dc * f, (da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0))


# ---- one layer, a list of steps (MXNet's example in Python) ----------------------------------------------------------


def plus(carried: np.ndarray, new: np.ndarray) -> np.ndarray:
    """dC += ..."""
    return carried + new


def assign(carried: np.ndarray, new: np.ndarray) -> np.ndarray:
    """dC = ..."""
    return new


def step_list(cell_gradient: Callable[[np.ndarray, np.ndarray], np.ndarray] = plus) -> dict[str, Callable]:
    """`forward` and `backward` of one layer. cell_gradient: what becomes of the dC that came from the next step."""

    def run(params: Params, x, h0, c0):
        weights = [params[f"{name}_l0"] for name in NAMES]
        h, c, steps = h0[0], c0[0], []
        for x_t in x:
            h, c, kept = cell(x_t, h, c, *weights)
            steps.append((h, kept))
        return np.stack([h for h, _ in steps]), h[None], c[None], steps, weights

    def forward(params: Params, x, h0, c0):
        return run(params, x, h0, c0)[:3]

    def backward(params: Params, x, h0, c0, dy, dh_n, dc_n):
        *_, steps, weights = run(params, x, h0, c0)
        totals = [np.zeros_like(w) for w in weights]
        dH, dC, dx = dh_n[0], dc_n[0], []
        for (_, kept), dy_t in zip(reversed(steps), dy[::-1]):
            dH = dH + dy_t
            o, c_next = kept[-2:]
            dC = cell_gradient(dC, dH * o * (1 - np.tanh(c_next) ** 2))
            dx_t, dH, dC, parts = cell_back(dH, dC, kept, *weights[:2])
            totals = [total + part for total, part in zip(totals, parts)]
            dx.append(dx_t)
        named = {f"d{name}_l0": total for name, total in zip(NAMES, totals)}
        return {"dx": np.stack(dx[::-1]), "dh0": dH[None], "dc0": dC[None], **named}

    return {"forward": forward, "backward": backward}


# ---- a language model, unrolled step by step (TensorFlow's static_rnn, the word models in PyTorch) -------------------


class UnrolledModel:
    """The operation `model`: all layers of step 1, then all layers of step 2, and back the same way. `scales` holds
    m / (1-p) of each place that has a mask."""

    def mask_of_step(self, mask: np.ndarray, t: int) -> np.ndarray:
        return mask[t]

    def recurrent_mask(self, mask: np.ndarray) -> np.ndarray:
        return mask

    def model(self, params: Params, inputs, targets, masks=None, rates=None, tied: bool = False, **states):
        real = params["decoder.bias"].dtype.type
        scales = {where: mask * real(1 / (1 - (rates or {})[where])) for where, mask in (masks or {}).items()}
        h, c = ([states[f"{letter}0_l{k}"] for k in range(len(states) // 2)] for letter in "hc")
        tape = self.forward(params, inputs, h, c, scales)
        loss, grads = self.backward(params, inputs, targets, tape, scales)
        finals = {f"{letter}_l{k}": a for letter, state in (("h", h), ("c", c)) for k, a in enumerate(state)}
        return {"loss": np.asarray(loss), **finals, **{f"d{name}": grad for name, grad in grads.items()}}

    def scale(self, scales: Params, where: str, t: int):
        return self.mask_of_step(scales[where], t) if where in scales else 1

    def recurrent_scale(self, scales: Params, k: int):
        where = f"weight_hh_l{k}"
        return self.recurrent_mask(scales[where]) if where in scales else 1

    def layers(self, params: Params, scales: Params, L: int) -> list[list[np.ndarray]]:
        """W, R, b, bb of each layer as they are multiplied with."""
        found = [[params[f"lstm.{name}_l{k}"] for name in NAMES] for k in range(L)]
        return [[W, R * self.recurrent_scale(scales, k), b, bb] for k, (W, R, b, bb) in enumerate(found)]

    def forward(self, params: Params, inputs, h: list, c: list, scales: Params):
        """Leaves the last state in h and c. Returns for each step what the cells kept, what the decoder read, and the
        log probabilities."""
        layers, table, tape = self.layers(params, scales, len(h)), params.get("embedding.weight"), []
        decoder, bias = params.get("decoder.weight", table), params["decoder.bias"]
        for t, ids in enumerate(inputs):
            if table is None:
                x = np.eye(len(bias), dtype=bias.dtype)[ids]
            else:
                words = scales["embedding"][ids][:, None] if "embedding" in scales else 1
                x = table[ids] * words * self.scale(scales, "input", t)
            kept = []
            for k, weights in enumerate(layers):
                h[k], c[k], step = cell(x, h[k], c[k], *weights)
                x = h[k] * self.scale(scales, f"l{k}", t)
                kept.append(step)
            z = x @ decoder.T + bias
            z = z - z.max(axis=1, keepdims=True)
            tape.append((kept, x, z - np.log(np.exp(z).sum(axis=1, keepdims=True))))
        return tape

    def backward(self, params: Params, inputs, targets, tape: list, scales: Params):
        """Returns the loss and the gradient of every parameter."""
        grads = {name: np.zeros_like(p) for name, p in params.items()}
        decoder = "decoder.weight" if "decoder.weight" in params else "embedding.weight"
        dh, dc = [0] * len(tape[0][0]), [0] * len(tape[0][0])
        layers, loss = self.layers(params, scales, len(dh)), params["decoder.bias"].dtype.type(0)
        for t in reversed(range(len(inputs))):
            kept, top, logp = tape[t]
            rows = np.arange(len(targets[t]))
            loss -= logp[rows, targets[t]].sum() / inputs.size
            dz = np.exp(logp)
            dz[rows, targets[t]] -= 1
            dz /= inputs.size
            grads["decoder.bias"] += dz.sum(axis=0)
            grads[decoder] += dz.T @ top
            dx = dz @ params[decoder]
            for k in reversed(range(len(layers))):
                dh[k] = dh[k] + dx * self.scale(scales, f"l{k}", t)
                o, c_next = kept[k][-2:]
                dC = dc[k] + dh[k] * o * (1 - np.tanh(c_next) ** 2)
                dx, dh[k], dc[k], parts = cell_back(dh[k], dC, kept[k], *layers[k][:2])
                for name, part in zip(NAMES, parts):
                    grads[f"lstm.{name}_l{k}"] += part * (self.recurrent_scale(scales, k) if name == "weight_hh" else 1)
            if "embedding.weight" in params:
                words = scales["embedding"][inputs[t]][:, None] if "embedding" in scales else 1
                np.add.at(grads["embedding.weight"], inputs[t], dx * words * self.scale(scales, "input", t))
        return loss, grads


class SeededAtEveryStep(UnrolledModel):
    """The dropout of each unrolled step has the same seed, and so the same mask."""

    def mask_of_step(self, mask, t):
        return mask[0]


class FlatWeights(UnrolledModel):
    """The recurrent weights are read from a flat copy that was made before weight drop put its own in their place."""

    def recurrent_mask(self, mask):
        return mask.dtype.type(1)

r"""A language model on a window of text, with every gradient, in multi-precision.

    x = W_emb[inputs] or onehot(inputs);   x = drop(x, "input")
    y = LSTM_l(x);                         x = drop(y, "l<l>")          l = 0..L-1
    z = x W_dec^T + b_dec;                 loss = mean cross-entropy(z, targets)

drop(x, where) = x*mask/(1-p) [Srivastava et al. 2014]. The mask "embedding" drops whole rows of W_emb [Gal & Ghahramani
2016], "weight_hh_l<l>" entries of W_hh [Merity et al. 2017]; one mask for the window. Tied: W_dec is W_emb, and its
gradient is the sum of both uses. The state that comes in has no gradient: truncated BPTT [Williams & Peng 1990].
"""

import numpy as np

from parity_tests.vectors.layers import layer, layer_backward, weights_of
from parity_tests.vectors.multiprecision import Exact, zeros
from parity_tests.vectors.operations import clip, cross_entropy, cross_entropy_backward, one_hot, sample


class Window:
    """One forward pass over inputs, targets [T,B], and the way back. drops: where -> mask/(1-p)."""

    def __init__(self, params: Exact, inputs, targets, state, drops: Exact, tied: bool):
        self.params, self.inputs, self.targets, self.drops = params, inputs, targets.reshape(-1), drops
        self.decoder = "embedding.weight" if tied else "decoder.weight"
        self.lengths = np.full(inputs.shape[1], len(inputs))
        self.state, self.tapes = [], []
        if "embedding.weight" in params:
            x = self.drop(self.drop(params["embedding.weight"], "embedding")[inputs], "input")
        else:
            x = one_hot(inputs, len(params["decoder.bias"]))
        for k, (h, c) in enumerate(state):
            y, h, c, tape = layer(x, h, c, self.layer_weights(k), self.lengths, reverse=False)
            self.state.append((h, c))
            self.tapes.append(tape)
            x = self.drop(y, f"l{k}")
        self.top = x.reshape(-1, x.shape[2])
        self.logits = self.top @ params[self.decoder].T + params["decoder.bias"]

    def drop(self, x, where: str):
        """x * mask / (1-p) where there is a mask; the same for a gradient, on the way back."""
        if where == "embedding" and where in self.drops:
            return x * self.drops[where][:, None]
        return x * self.drops[where] if where in self.drops else x

    def layer_weights(self, k: int) -> Exact:
        weights = {name.removeprefix("lstm."): w for name, w in weights_of(self.params, f"_l{k}").items()}
        return {**weights, "weight_hh": self.drop(weights["weight_hh"], f"weight_hh_l{k}")}

    def loss(self):
        return cross_entropy(self.logits, self.targets)

    def gradients(self) -> Exact:
        params, grads = self.params, {name: zeros(p.shape) for name, p in self.params.items()}
        dlogits = cross_entropy_backward(self.logits, self.targets)
        grads[self.decoder] += dlogits.T @ self.top
        grads["decoder.bias"] += dlogits.sum(axis=0)
        dx = (dlogits @ params[self.decoder]).reshape(*self.inputs.shape, -1)
        for k in reversed(range(len(self.tapes))):
            dy, (h, c), weights = self.drop(dx, f"l{k}"), self.state[k], self.layer_weights(k)
            dw = {name: zeros(w.shape) for name, w in weights.items()}
            dx, _, _ = layer_backward(dy, zeros(h.shape), zeros(c.shape), self.tapes[k], weights, dw)
            dw["weight_hh"] = self.drop(dw["weight_hh"], f"weight_hh_l{k}")
            grads |= {f"lstm.{name}_l{k}": gradient for name, gradient in dw.items()}
        if "embedding.weight" in params:
            dx, demb = self.drop(dx, "input"), zeros(params["embedding.weight"].shape)
            for id, row in zip(self.inputs.reshape(-1), dx.reshape(-1, dx.shape[2])):
                demb[id] += row
            grads["embedding.weight"] += self.drop(demb, "embedding")
        return grads


def train(params: Exact, inputs, targets, state, drops: list[Exact], tied: bool, lr, max_norm: float) -> Exact:
    """K windows of SGD with clipping, the state carried on. Returns the losses [K] and the last parameters."""
    losses = []
    for k in range(len(lr)):
        window = Window(params, inputs[k], targets[k], state, drops[k], tied)
        state = window.state
        losses.append(window.loss())
        clipped = clip(window.gradients(), max_norm)
        params = {name: p - lr[k] * clipped[name] for name, p in params.items()}
    return {"loss": np.array(losses, object), **params}


def generate(params: Exact, prime, u, tied: bool, **policy) -> np.ndarray:
    """From the zero state: the prime runs through, then each draw is the next input. ids int64 [K]."""
    layers = sum(name.startswith("lstm.weight_hh") for name in params)
    sizes = [params[f"lstm.weight_hh_l{k}"].shape[1] for k in range(layers)]
    state, ids, inputs = [(zeros((1, H)), zeros((1, H))) for H in sizes], [], prime[:, None]
    for u_k in u:
        window = Window(params, inputs, inputs, state, {}, tied)
        state = window.state
        ids.append(sample(window.logits[-1], u_k, **policy))
        inputs = np.array([[ids[-1]]])
    return np.array(ids, np.int64)

r"""The judge: a third implementation of everything that is asked, written to be obviously right and not to be fast.

    a  = x W_ih^T + b_ih + h W_hh^T + b_hh,   a = [a_i a_f a_g a_o]     (1)
    a_i += p_i*c,  a_f += p_f*c                                         (2)  peepholes only [Gers & Schmidhuber 2000]
    i, f = sigmoid(a_i, a_f);   g = tanh(a_g)                           (3)
    c' = f*c + i*g                                                      (4)
    o = sigmoid(a_o (+ p_o*c'))                                         (5)
    h' = o*tanh(c'),  (h' = h' W_hr^T: projections only [Sak et al. 2014])   (6)

It holds no derivative: gradients are complex steps, df/dx = Im f(x + ih) / h with h = 1e-30 [Squire & Trapp 1998],
exact to rounding, because nothing is subtracted. All inputs are moved at once, each in a copy of its own: every array
may have leading axes, and the first of them tells which input was moved.

`wobble` is called on what a computer would round. The judge's own answer has none; bounds come from one that adds
rounding errors (rounding.py).

It imports neither twin. It is checked against multi-precision, and by the mutants that it must tell from right ones.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from parity_tests.suite.question import Answer, Question, layer_names

Weights = Mapping[str, np.ndarray]
STEP = 1e-30
CLIP_EPSILON = 1e-6  # torch.nn.utils.clip_grad_norm_'s


class Referee:
    """Answers every question in float64 (gradients: complex128). `wobble(x, units=1)` returns x, or x with an error of
    up to `units` units in the last place."""

    name = "referee"

    def __init__(self, wobble: Callable[..., np.ndarray] | None = None):
        self.wobble = wobble or (lambda x, units=1: x)

    def answer(self, question: Question) -> Answer:
        wide = question.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
            return getattr(self, f"_{question.op}")(dict(wide.arrays), dict(wide.settings))

    # ---- layers ---------------------------------------------------------------------------------------------------

    def _forward(self, arrays: dict[str, np.ndarray], settings: dict[str, Any]) -> Answer:
        y, h_n, c_n = self.layers(arrays, settings)
        return {"y": y, "h_n": h_n, "c_n": c_n}

    def layers(self, arrays: Weights, settings: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All layers and directions. Leading axes of any array broadcast."""
        batch_first = settings.get("batch_first", False)
        x = np.swapaxes(arrays["x"], -3, -2) if batch_first else arrays["x"]
        names = layer_names(arrays)
        directions = 2 if any(name.endswith("_reverse") for name in names) else 1
        h_n, c_n = [], []
        for first in range(0, len(names), directions):
            outputs = []
            for k in range(first, first + directions):
                weights = {key.removesuffix(names[k]): a for key, a in arrays.items() if key.endswith(names[k])}
                h0, c0 = arrays["h0"][..., k, :, :], arrays["c0"][..., k, :, :]
                y, h, c = self.layer(x, h0, c0, weights, arrays.get("lengths"), reverse=k > first)
                outputs.append(y)
                h_n.append(h)
                c_n.append(c)
            x = np.concatenate(np.broadcast_arrays(*outputs), axis=-1) if directions == 2 else outputs[0]
        y = np.swapaxes(x, -3, -2) if batch_first else x
        return y, np.stack(np.broadcast_arrays(*h_n), axis=-3), np.stack(np.broadcast_arrays(*c_n), axis=-3)

    def layer(self, x, h, c, weights: Weights, lengths=None, reverse=False):
        """One layer in one direction. x [...,T,B,I]; returns y [...,T,B,H], h_T, c_T. A row past its length keeps its
        state and gives y = 0."""
        T = x.shape[-3]
        y: list[np.ndarray] = [h] * T
        for t in reversed(range(T)) if reverse else range(T):
            h_next, c_next = self.cell(x[..., t, :, :], h, c, weights)
            if lengths is None:
                h, c, y[t] = h_next, c_next, h_next
            else:
                inside = (t < lengths)[:, None]
                h, c = np.where(inside, h_next, h), np.where(inside, c_next, c)
                y[t] = np.where(inside, h_next, 0)
        return np.stack(np.broadcast_arrays(*y), axis=-3), h, c

    def cell(self, x, h, c, weights: Weights):
        """(1) to (6). x [...,B,I]; h, c [...,B,H]."""
        wobble = self.wobble
        a = wobble(self.product(x, weights["weight_ih"]) + self.product(h, weights["weight_hh"]))
        a = wobble(a + weights["bias_ih"][..., None, :] + weights["bias_hh"][..., None, :])  # (1)
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=-1)
        if "peephole" in weights:
            p_i, p_f, p_o = np.split(weights["peephole"][..., None, :], 3, axis=-1)
            a_i, a_f = wobble(a_i + p_i * c), wobble(a_f + p_f * c)  # (2)
        i, f, g = self.sigmoid(a_i), self.sigmoid(a_f), self.tanh(a_g)  # (3)
        c = wobble(wobble(f * c) + wobble(i * g))  # (4)
        o = self.sigmoid(a_o + p_o * c if "peephole" in weights else a_o)  # (5)
        h = wobble(o * self.tanh(c))  # (6)
        return (self.product(h, weights["weight_hr"]) if "weight_hr" in weights else h), c

    def product(self, x, weight):
        """x W^T. A sum of products rounds as each product does, so the weights wobble one by one."""
        return self.wobble(self.wobble(x) @ np.swapaxes(self.wobble(weight), -1, -2))

    def sigmoid(self, a):
        """1 / (1 + exp(-a)), by the form of it that keeps small values exact."""
        e = np.exp(np.where(a.real > 0, -a, a))
        s = np.where(a.real > 0, 1, e) / (1 + e)
        by_tanh = (self.wobble(np.ones(a.shape)) - 1) / 2  # 0.5 (1 + tanh(a/2)) is off by that much where s is small
        if np.iscomplexobj(a):
            by_tanh = by_tanh * (1 + 1j * a.imag * (1 - 2 * s.real))  # and with it the slope s (1 - s)
        return self.wobble(s, 4) + by_tanh + self._cancelled(a, s.real)

    def tanh(self, a):
        t = np.tanh(a)
        return self.wobble(t, 4) + self._cancelled(a, t.real**2)

    def _cancelled(self, a, subtracted):
        """What rounding does to a slope that is computed as s (1 - s) or 1 - t^2, as a hand-written backward does: an
        error of a unit of what is subtracted, however little is left. Zero without wobble, or without a slope."""
        return 1j * a.imag * subtracted * (self.wobble(np.ones(a.shape), 4) - 1) if np.iscomplexobj(a) else 0.0

    def _backward(self, arrays, settings) -> Answer:
        upstream = [arrays.pop(name) for name in ("dy", "dh_n", "dc_n")]
        moving = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}

        def total(moved: dict[str, np.ndarray]) -> np.ndarray:
            outputs = self.layers({**arrays, **moved}, settings)
            return sum(np.sum(d * out, axis=(-3, -2, -1)) for d, out in zip(upstream, outputs))

        return {f"d{name}": gradient for name, gradient in self.gradients(total, moving).items()}

    def gradients(self, f: Callable[[dict[str, np.ndarray]], np.ndarray], inputs: Weights) -> dict[str, np.ndarray]:
        """df/dx for every number of every input. f takes complex arrays with leading axes and keeps those axes."""
        size = sum(array.size for array in inputs.values())
        moved, first = {}, 0
        for name, array in inputs.items():
            copies = np.repeat(array[None].astype(np.complex128), size, axis=0)
            copies.reshape(size, -1)[np.arange(first, first + array.size), np.arange(array.size)] += 1j * STEP
            moved[name], first = copies, first + array.size
        slopes = np.asarray(f(moved)).imag / STEP
        parts = np.split(slopes, np.cumsum([array.size for array in inputs.values()])[:-1])
        return {name: part.reshape(array.shape) for (name, array), part in zip(inputs.items(), parts)}

    # ---- loss, clip, optimizers, batches --------------------------------------------------------------------------

    def log_softmax(self, z):
        shifted = self.wobble(z - np.max(z.real, axis=-1, keepdims=True))
        total = np.sum(self.wobble(np.exp(shifted), 4), axis=-1, keepdims=True)
        return self.wobble(shifted - self.wobble(np.log(total), 4))

    def cross_entropy(self, logits, targets):
        """Mean over all targets, nats. logits [...,N,V]; targets [N]."""
        logp = self.log_softmax(logits)
        at = np.broadcast_to(targets[:, None], (*logits.shape[:-1], 1))
        picked = self.wobble(np.take_along_axis(logp, at, axis=-1)[..., 0])
        if np.iscomplexobj(logits):  # p - 1 of the target cancels, as 1 - s does in a sigmoid's slope
            p = np.exp(logp.real)
            picked = picked + 1j * np.sum(logits.imag * (self.wobble(p, 4) - p), axis=-1)
        return self.wobble(-np.mean(picked, axis=-1))

    def _loss(self, arrays, settings) -> Answer:
        logits, targets = self.wobble(arrays["logits"]), arrays["targets"]
        slopes = self.gradients(lambda moved: self.cross_entropy(moved["logits"], targets), {"logits": logits})
        return {"loss": self.cross_entropy(logits, targets), "dlogits": self.wobble(slopes["logits"], 4)}

    def _clip(self, arrays, settings) -> Answer:
        norm = self.wobble(np.sqrt(sum(np.sum(self.wobble(g) ** 2) for g in arrays.values())))
        factor = np.minimum(1.0, self.wobble(settings["max_norm"] / (norm + CLIP_EPSILON)))
        return {"norm": norm, **{name: self.wobble(g * factor) for name, g in arrays.items()}}

    def _adam(self, arrays, settings) -> Answer:
        """[Kingma & Ba 2015, Alg. 1], eps outside the root."""
        p, beta1, beta2 = arrays["p"], settings["beta1"], settings["beta2"]
        m, v, after, wobble = np.zeros_like(p), np.zeros_like(p), [], self.wobble
        for t, (g, lr) in enumerate(zip(arrays["g"], arrays["lr"]), start=1):
            m = wobble(wobble(beta1 * m) + wobble((1 - beta1) * g))
            v = wobble(wobble(beta2 * v) + wobble((1 - beta2) * g * g))
            m_hat, v_hat = wobble(m / (1 - beta1**t)), wobble(v / (1 - beta2**t))
            p = wobble(p - wobble(lr * m_hat / wobble(np.sqrt(v_hat) + settings["eps"]), 4))
            after.append(p)
        return {"p": np.stack(after)}

    def _sgd(self, arrays, settings) -> Answer:
        p, after = arrays["p"], []
        for g, lr in zip(arrays["g"], arrays["lr"]):
            p = self.wobble(p - self.wobble(lr * g))
            after.append(p)
        return {"p": np.stack(after)}

    def _batches(self, arrays, settings) -> Answer:
        """Row b reads the b-th part of the text; windows of T follow each other; the target is the text's next id."""
        ids, B, T = arrays["ids"], settings["batch_size"], settings["seq_length"]
        windows = (len(ids) - 1) // (B * T)
        place = np.array(
            [[[b * windows * T + w * T + t for b in range(B)] for t in range(T)] for w in range(windows)], np.int64
        ).reshape(windows, T, B)
        return {"inputs": ids[place], "targets": ids[place + 1]}

    def _evaluate(self, arrays, settings) -> Answer:
        """Over all tokens: windows count by their tokens, not one each."""
        loss = np.asarray(math.fsum(self.wobble(arrays["nll"])) / int(arrays["tokens"].sum()))
        loss = self.wobble(loss)
        return {"loss": loss, "perplexity": self.wobble(np.exp(loss), 4)}

    # ---- language models ------------------------------------------------------------------------------------------

    def logits(self, params: Weights, inputs, state, masks: Weights, settings: Mapping[str, Any]):
        """inputs int64 [T,B] -> logits [...,T,B,V] and the next state, a list of (h, c). A mask scales by 1/(1-p)."""
        rates = settings.get("rates", {})

        def drop(x, where):
            return self.wobble(x * masks[where] / (1 - rates[where])) if where in masks else x

        V = params["decoder.bias"].shape[-1]
        embedding = params.get("embedding.weight")
        if embedding is None:
            x = np.eye(V)[inputs]
        else:
            if "embedding" in masks:
                embedding = self.wobble(embedding * masks["embedding"][:, None] / (1 - rates["embedding"]))
            x = drop(embedding[..., inputs, :], "input")
        next_state = []
        for k, (h, c) in enumerate(state):
            suffix = f"_l{k}"
            weights = {n[5:].removesuffix(suffix): w for n, w in params.items() if n.endswith(suffix)}
            weights["weight_hh"] = drop(weights["weight_hh"], f"weight_hh_l{k}")
            y, h, c = self.layer(x, h, c, weights)
            next_state.append((h, c))
            x = drop(y, f"l{k}")
        decoder = params["embedding.weight"] if settings.get("tied") else params["decoder.weight"]
        logits = self.product(x, decoder[..., None, :, :]) + params["decoder.bias"][..., None, None, :]
        return self.wobble(logits), next_state

    def window(self, params: Weights, inputs, targets, state, masks, settings):
        """Loss, next state and gradients of one window."""

        def loss(moved):
            logits, _ = self.logits(moved, inputs, state, masks, settings)
            return self.cross_entropy(logits.reshape(*logits.shape[:-3], -1, logits.shape[-1]), targets.reshape(-1))

        _, next_state = self.logits(params, inputs, state, masks, settings)
        return loss(params), next_state, self.gradients(loss, params)

    def _parts(self, arrays):
        question = Question("model", arrays)
        layers = sum(name.startswith("h0_l") for name in arrays)
        state = [(arrays[f"h0_l{k}"], arrays[f"c0_l{k}"]) for k in range(layers)]
        return question.weights(), state, question.masks()

    def _model(self, arrays, settings) -> Answer:
        params, state, masks = self._parts(arrays)
        loss, state, gradients = self.window(params, arrays["inputs"], arrays["targets"], state, masks, settings)
        answer = {"loss": loss, **{f"{n}_l{k}": a for k, pair in enumerate(state) for n, a in zip("hc", pair)}}
        return answer | {f"d{name}": g for name, g in gradients.items()}

    def _train(self, arrays, settings) -> Answer:
        """Truncated BPTT [Williams & Peng 1990]: the state goes on into the next window, its gradient does not."""
        params, state, masks = self._parts(arrays)
        losses = []
        for k, lr in enumerate(arrays["lr"]):
            now = {where: mask[k] for where, mask in masks.items()}
            loss, state, gradients = self.window(
                params, arrays["inputs"][k], arrays["targets"][k], state, now, settings
            )
            losses.append(loss)
            clipped = self._clip(gradients, {"max_norm": settings["clip"]})
            params = {name: self.wobble(p - self.wobble(lr * clipped[name])) for name, p in params.items()}
        return {"loss": np.stack(losses), **params}

    # ---- sampling -------------------------------------------------------------------------------------------------

    def probabilities(self, logits, settings) -> tuple[np.ndarray, np.ndarray]:
        """The ids that may be drawn, likeliest first (ties: the smaller id first), and their cumulative weights."""
        z = logits / settings.get("temperature", 1.0)
        order = np.array(sorted(range(len(z)), key=lambda v: (-z[v], v)))[: settings.get("top_k")]
        cumulative = np.cumsum(np.exp(z[order] - z[order[0]]))
        top_p = settings.get("top_p")
        if top_p is not None:
            kept = 1 + int(np.sum(cumulative[:-1] < top_p * cumulative[-1]))
            order, cumulative = order[:kept], cumulative[:kept]
        return order, cumulative

    def draw(self, logits, u, settings) -> np.int64:
        order, cumulative = self.probabilities(logits, settings)
        return np.int64(order[np.sum(cumulative <= u * cumulative[-1])])

    def _sample(self, arrays, settings) -> Answer:
        return {"id": np.asarray(self.draw(arrays["logits"], float(arrays["u"]), settings))}

    def _generate(self, arrays, settings) -> Answer:
        params = Question("generate", arrays).weights()
        layers = sum(name.startswith("lstm.weight_hh") for name in params)
        sizes = [params[f"lstm.weight_hh_l{k}"].shape[1] for k in range(layers)]
        state = [(np.zeros((1, H)), np.zeros((1, H))) for H in sizes]
        logits, state = self.logits(params, arrays["prime"][:, None], state, {}, settings)
        ids: list[np.int64] = []
        for u in arrays["u"]:
            ids.append(self.draw(logits[-1, 0], float(u), settings))
            logits, state = self.logits(params, np.array([[ids[-1]]]), state, {}, settings)
        return {"ids": np.array(ids, np.int64)}

"""Our own implementations under test: `numpy_twin` (the plain forms), `numba_twin` (what NumpyLM runs), `torch_twin`.

They answer with the functions that the twins themselves call; the adapters only stack layers, as the twins do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.language_model import LanguageModel
from lstm_ref.kernels.adam import adam, adam_plain
from lstm_ref.kernels.cell import CellParams
from lstm_ref.kernels.clip import clip_factor, clip_global_norm_plain, global_norm
from lstm_ref.kernels.sampling import sample_token, sample_token_plain
from lstm_ref.kernels.sequence import Layer, LayerWeights, sequence_backward_plain, sequence_forward_plain
from lstm_ref.kernels.sgd import sgd, sgd_plain
from lstm_ref.kernels.softmax_loss import softmax_loss_backward, softmax_loss_backward_plain, softmax_loss_plain
from lstm_ref.model import NumpyLM
from lstm_ref.plain_model import PlainState, loss_and_gradients_plain, loss_plain
from parity_tests.suite.adapters.twin_base import SGD, Twin, config_of, masks_of, policy_of
from parity_tests.suite.question import Answer, Question


class NumbaTwin(Twin):
    """The compiled kernels, as NumpyLM calls them."""

    name = "numba"

    def language_model(self, config: LanguageModelConfig, dtype: np.dtype, optimizer: OptimizerConfig) -> LanguageModel:
        return NumpyLM(config, dtype=dtype, optimizer=optimizer)

    def forward(self, question: Question) -> Answer:
        layers = self._stack(question)
        h_n, c_n = (np.stack([getattr(layer, name)[-1] for layer in layers]) for name in "hc")
        return {"y": layers[-1].h[1:].copy(), "h_n": h_n, "c_n": c_n}

    def backward(self, question: Question) -> Answer:
        arrays, layers = question.arrays, self._stack(question)
        grads = {f"d{name}": np.empty_like(weight) for name, weight in question.weights().items()}
        dy = arrays["dy"]
        for k in reversed(range(len(layers))):
            x = arrays["x"] if k == 0 else layers[k - 1].h[1:]
            dx, layer_grads = np.empty_like(x), _layer(grads, k, "d")
            layers[k].backward(
                _layer_weights(question, k), x, dy, arrays["dh_n"][k], arrays["dc_n"][k], layer_grads, dx
            )
            dy = dx
        dh0, dc0 = (np.stack([getattr(layer, name) for layer in layers]) for name in ("dh", "dc"))
        return {"dx": dy, "dh0": dh0, "dc0": dc0, **grads}

    def _stack(self, question: Question) -> list[Layer]:
        """The layers, bottom first, after their forward pass."""
        x, h0, c0 = (np.ascontiguousarray(question.arrays[name]) for name in ("x", "h0", "c0"))
        (T, B, _), layers = x.shape, []
        for k in range(len(h0)):
            layer = Layer(T, B, h0.shape[2], x.dtype)
            x = layer.forward(_layer_weights(question, k), x, h0[k], c0[k])
            layers.append(layer)
        return layers

    def loss(self, question: Question) -> Answer:
        logits, targets = question.arrays["logits"].copy(), question.arrays["targets"]
        no_bias, db = np.zeros(logits.shape[1], logits.dtype), np.zeros(logits.shape[1])  # no decoder
        total = softmax_loss_backward(logits, no_bias, targets, targets.size, db)
        return {"loss": np.asarray(total / targets.size), "dlogits": logits}

    def clip(self, question: Question) -> Answer:
        norm = global_norm({name: np.ascontiguousarray(g) for name, g in question.arrays.items()})
        factor = clip_factor(norm, question.settings["max_norm"])
        return {"norm": np.asarray(norm), **{name: g * g.dtype.type(factor) for name, g in question.arrays.items()}}

    def adam(self, question: Question) -> Answer:
        p, config = question.arrays["p"].copy(), OptimizerConfig(**question.settings)
        m, v, after = np.zeros_like(p), np.zeros_like(p), []
        for t, (g, lr) in enumerate(zip(question.arrays["g"], question.arrays["lr"].tolist()), start=1):
            adam(p, g, m, v, t, lr, config)
            after.append(p.copy())
        return {"p": np.stack(after)}

    def sgd(self, question: Question) -> Answer:
        p, after = question.arrays["p"].copy(), []
        for g, lr in zip(question.arrays["g"], question.arrays["lr"].tolist()):
            sgd(p, g, lr, SGD)
            after.append(p.copy())
        return {"p": np.stack(after)}

    def sample(self, question: Question) -> Answer:
        token = sample_token(question.arrays["logits"], policy_of(question), float(question.arrays["u"]))
        return {"id": np.asarray(token, np.int64)}


class NumpyTwin(NumbaTwin):
    """The plain forms: written to be read."""

    name = "numpy"

    def forward(self, question: Question) -> Answer:
        y, state, _ = self._forward(question)
        return {"y": y, "h_n": np.stack([h for h, _ in state]), "c_n": np.stack([c for _, c in state])}

    def _forward(self, question: Question) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]], list[Any]]:
        x, state, tape = question.arrays["x"], [], []
        for k, (h, c) in enumerate(zip(question.arrays["h0"], question.arrays["c0"])):
            x, h, c, caches = sequence_forward_plain(x, h, c, _layer(question.weights(), k))
            state.append((h, c))
            tape.append(caches)
        return x, state, tape

    def backward(self, question: Question) -> Answer:
        arrays, (_, _, tape) = question.arrays, self._forward(question)
        grads = {f"d{name}": np.zeros_like(weight) for name, weight in question.weights().items()}
        dy, states = arrays["dy"], []
        for k in reversed(range(len(tape))):
            params, dh_n, dc_n = _layer(question.weights(), k), arrays["dh_n"][k], arrays["dc_n"][k]
            dy, *dstate = sequence_backward_plain(dy, dh_n, dc_n, tape[k], params, _layer(grads, k, "d"))
            states.append(dstate)
        dh0, dc0 = (np.stack(each) for each in zip(*reversed(states)))
        return {"dx": dy, "dh0": dh0, "dc0": dc0, **grads}

    def loss(self, question: Question) -> Answer:
        logits, targets = question.arrays["logits"], question.arrays["targets"]
        loss = np.asarray(softmax_loss_plain(logits, targets))
        return {"loss": loss, "dlogits": softmax_loss_backward_plain(logits, targets)}

    def clip(self, question: Question) -> Answer:
        norm, clipped = clip_global_norm_plain(dict(question.arrays), question.settings["max_norm"])
        return {"norm": np.asarray(norm), **clipped}

    def adam(self, question: Question) -> Answer:
        p, config = question.arrays["p"], OptimizerConfig(**question.settings)
        m, v, after = np.zeros_like(p), np.zeros_like(p), []
        for t, (g, lr) in enumerate(zip(question.arrays["g"], question.arrays["lr"].tolist()), start=1):
            p, m, v = adam_plain(p, g, m, v, t, lr, config)
            after.append(p)
        return {"p": np.stack(after)}

    def sgd(self, question: Question) -> Answer:
        p, after = question.arrays["p"], []
        for g, lr in zip(question.arrays["g"], question.arrays["lr"].tolist()):
            p = sgd_plain(p, g, lr, SGD)
            after.append(p)
        return {"p": np.stack(after)}

    def model(self, question: Question) -> Answer:
        arrays, config, state = question.arrays, config_of(question), _first_state(question)
        window = Window(arrays["inputs"], arrays["targets"])
        run, gradients = loss_and_gradients_plain(config, question.weights(), window, state, question.masks())
        answer = {f"{name}_l{k}": array for k, pair in enumerate(run.state) for name, array in zip("hc", pair)}
        return {"loss": np.asarray(run.loss), **answer, **{f"d{name}": g for name, g in gradients.items()}}

    def train(self, question: Question) -> Answer:
        arrays, config, params = question.arrays, config_of(question), question.weights()
        state, losses = _first_state(question), []
        for k, lr in enumerate(arrays["lr"].tolist()):
            window = Window(arrays["inputs"][k], arrays["targets"][k])
            run, gradients = loss_and_gradients_plain(config, params, window, state, masks_of(question, k))
            _, clipped = clip_global_norm_plain(gradients, question.settings["clip"])
            params = {name: sgd_plain(p, clipped[name], lr, SGD) for name, p in params.items()}
            state = run.state
            losses.append(run.loss)
        return {"loss": np.array(losses, question.dtype), **params}

    def sample(self, question: Question) -> Answer:
        token = sample_token_plain(question.arrays["logits"], policy_of(question), float(question.arrays["u"]))
        return {"id": np.asarray(token, np.int64)}

    def generate(self, question: Question) -> Answer:
        config, params, policy = config_of(question), question.weights(), policy_of(question)
        state = [(np.zeros((1, H), question.dtype), np.zeros((1, H), question.dtype)) for H in config.hidden_sizes]
        inputs, ids = question.arrays["prime"][:, None], []
        for u in question.arrays["u"].tolist():
            run = loss_plain(config, params, Window(inputs, inputs), state, {})
            state = run.state
            ids.append(sample_token_plain(run.logits[-1], policy, u))
            inputs = np.array([[ids[-1]]])
        return {"ids": np.array(ids, np.int64)}


def _first_state(question: Question) -> PlainState:
    """(h, c) of each layer, bottom first."""
    arrays = question.arrays
    return [(arrays[f"h0_l{k}"], arrays[f"c0_l{k}"]) for k in range(sum(name.startswith("h0_l") for name in arrays))]


def _layer(arrays: Mapping[str, np.ndarray], k: int, prefix: str = "") -> CellParams:
    return CellParams(*(np.ascontiguousarray(arrays[f"{prefix}{name}_l{k}"]) for name in CellParams._fields))


def _layer_weights(question: Question, k: int) -> LayerWeights:
    return LayerWeights(_layer(question.weights(), k))


numpy_twin, numba_twin = NumpyTwin(), NumbaTwin()


def __getattr__(name: str) -> Twin:
    if name != "torch_twin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from parity_tests.suite.adapters.torch_twin import torch_twin  # only who asks for it needs torch

    return torch_twin

r"""A language model of stacked LSTM layers: one window, training by windows, and writing. Operations `model`, `train`,
`generate`.

    x_t = W_e[id_t]  (embedding, [T,B,E]),  or one-hot [T,B,V]                          (1)
    x = layer_k(drop(x)),  k = 0..L-1;  logits = drop(x) W_d^T + b_d                    (2)
    drop(x) = x m / (1-p),  m the mask of this place; the gradient passes the same way  (3)  [Srivastava et al. 2014]
    W_d = W_e where the decoder is tied: its gradient is the sum of both uses           (4)  [Press & Wolf 2017]
    window k starts from the state in which window k-1 ended, without its gradient      (5)  [Williams & Peng 1990]

Masks: input [T,B,E], l<k> [T,B,H_k] on what layer k gives out, embedding [V] for whole words, weight_hh_l<k> for single
weights of a layer [Merity et al. 2018]; each is used for one window. Without a mask nothing is dropped, nor scaled.

Proved by parity_tests/suite_tests/test_subject.py.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity_tests.suite.question import Answer, Question
from parity_tests.suite.subject_cell import Gradients, Weights
from parity_tests.suite.subject_layers import Layers, Run, State
from parity_tests.suite.subject_numbers import Loss, Optimizers
from parity_tests.suite.subject_sampling import Sampling

Parameters = Mapping[str, np.ndarray]
Masks = Mapping[str, np.ndarray]


class Tape(NamedTuple):
    """What the backward pass of one window needs of its forward pass."""

    params: Parameters
    inputs: np.ndarray
    masks: Masks
    rates: Mapping[str, float]
    runs: list[Run]  # one a layer
    top: np.ndarray  # [T*B,H], what the decoder reads


class Dropout:
    """(3)."""

    def scale(self, p: float) -> float:
        return 1 / (1 - p)

    def mask_at(self, where: str, masks: Masks) -> np.ndarray:
        return masks[where]

    def dropped(self, x: np.ndarray, where: str, masks: Masks, rates: Mapping[str, float]) -> np.ndarray:
        if where not in masks:
            return self.without_mask(x, where, rates)
        return x * self.mask_at(where, masks) * self.scale(rates[where])

    def without_mask(self, x: np.ndarray, where: str, rates: Mapping[str, float]) -> np.ndarray:
        return x

    def d_dropped(self, dy: np.ndarray, where: str, masks: Masks, rates: Mapping[str, float]) -> np.ndarray:
        return self.dropped(dy, where, masks, rates)

    def masks_of_window(self, masks: Masks, k: int) -> Masks:
        return {where: mask[k] for where, mask in masks.items()}


class LanguageModel(Layers, Dropout, Loss, Optimizers, Sampling):
    """(1) to (5)."""

    # ---- one window, forward ----------------------------------------------------------------------------------------

    def dropped_embedding(self, table: np.ndarray, inputs: np.ndarray, masks: Masks, rates: Mapping) -> np.ndarray:
        """The rows W_e[inputs], [T,B,E], with whole words dropped."""
        if "embedding" not in masks:
            return self.without_mask(table[inputs], "embedding", rates)
        keep = self.kept_words(self.mask_at("embedding", masks), inputs)
        return table[inputs] * keep * self.embedding_scale(rates["embedding"])

    def kept_words(self, mask: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """bool [T,B,1]: a dropped word is dropped wherever it stands."""
        return mask[inputs][..., None]

    def embedding_scale(self, p: float) -> float:
        return self.scale(p)

    def input_of(self, params: Parameters, inputs: np.ndarray, masks: Masks, rates: Mapping) -> np.ndarray:
        if "embedding.weight" not in params:
            return np.eye(params["decoder.bias"].size, dtype=params["decoder.bias"].dtype)[inputs]
        x = self.dropped_embedding(params["embedding.weight"], inputs, masks, rates)  # (1)
        return self.dropped(x, "input", masks, rates)

    def recurrent_weight(self, weight_hh: np.ndarray, layer: int, masks: Masks, rates: Mapping) -> np.ndarray:
        return self.dropped(weight_hh, f"weight_hh_l{layer}", masks, rates)

    def lstm_layers(self, params: Parameters, masks: Masks, rates: Mapping) -> list[Weights]:
        prefix = "lstm."
        loaded = self.layers_of({n.removeprefix(prefix): v for n, v in params.items() if n.startswith(prefix)})
        return [
            w._replace(weight_hh=self.recurrent_weight(w.weight_hh, k, masks, rates)) for k, (w,) in enumerate(loaded)
        ]

    def decoder_weight(self, params: Parameters) -> np.ndarray:
        return params["decoder.weight"] if "decoder.weight" in params else params["embedding.weight"]  # (4)

    def logits_of(self, top: np.ndarray, params: Parameters) -> np.ndarray:
        return top @ self.decoder_weight(params).T + params["decoder.bias"]

    def where_of_layer(self, k: int, L: int) -> str:
        """The name of the place above layer k of L."""
        return f"l{k}"

    def kept_state(self, final: State, dropped_y: np.ndarray) -> State:
        """What a layer passes on to its next window. dropped_y [T,B,H]: what it passes up."""
        return final

    def window_forward(
        self, params: Parameters, inputs: np.ndarray, states: Sequence[State], masks: Masks, rates: Mapping
    ) -> tuple[np.ndarray, list[State], Tape]:
        """inputs [T,B]. Returns logits [T*B,V], the next states, and the tape."""
        x = self.input_of(params, inputs, masks, rates)
        next_states, tape = [], []
        layers = self.lstm_layers(params, masks, rates)
        for k, w in enumerate(layers):
            y, (final,), (run,) = self.layer_forward(x, self.states_of_layer(states, k, 1), [w], None)
            x = self.dropped(y, self.where_of_layer(k, len(layers)), masks, rates)  # (2), (3)
            next_states.append(self.kept_state(final, x))
            tape.append(run)
        top = x.reshape(-1, x.shape[-1])
        return self.logits_of(top, params), next_states, Tape(params, inputs, masks, rates, tape, top)

    # ---- one window, backward ---------------------------------------------------------------------------------------

    def scatter(self, total: np.ndarray, ids: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """total[id] += dx, for every place where the id stands."""
        total = total.copy()
        np.add.at(total, ids, dx)
        return total

    def d_embedding(self, table: np.ndarray, dx: np.ndarray, tape: Tape) -> np.ndarray:
        if "embedding" in tape.masks:
            keep = self.kept_words(self.mask_at("embedding", tape.masks), tape.inputs)
            dx = dx * keep * self.embedding_scale(tape.rates["embedding"])
        return self.scatter(np.zeros_like(table), tape.inputs, dx)

    def d_recurrent_weight(self, grad: np.ndarray, layer: int, tape: Tape) -> np.ndarray:
        return self.d_dropped(grad, f"weight_hh_l{layer}", tape.masks, tape.rates)

    def tied_gradient(self, by_input: np.ndarray, by_decoder: np.ndarray) -> np.ndarray:
        return by_input + by_decoder  # (4)

    def stack_backward(self, dx: np.ndarray, finals: Sequence[State], tape: Tape) -> tuple[Gradients, list[State]]:
        """dx [T,B,H]: the gradient of what the decoder reads; finals: (dh_n, dc_n) of each layer. Returns the
        gradients of the embedding and the layers, and (dh0, dc0) of each layer."""
        grads, initials = {}, []
        for k in reversed(range(len(tape.runs))):
            dy = self.d_dropped(dx, self.where_of_layer(k, len(tape.runs)), tape.masks, tape.rates)
            dx, initial, (grad,) = self.layer_backward(dy, [finals[k]], [tape.runs[k]])
            grad["weight_hh"] = self.d_recurrent_weight(grad["weight_hh"], k, tape)
            grads |= {f"lstm.{name}_l{k}": value for name, value in grad.items()}
            initials = initial + initials
        if "embedding.weight" in tape.params:
            dx = self.d_dropped(dx, "input", tape.masks, tape.rates)
            grads["embedding.weight"] = self.d_embedding(tape.params["embedding.weight"], dx, tape)
        return grads, initials

    def window_backward(self, dlogits: np.ndarray, tape: Tape) -> tuple[Gradients, list[State]]:
        """The gradient of every parameter, and (dh0, dc0) of each layer."""
        weight = self.decoder_weight(tape.params)
        dx = (dlogits @ weight).reshape(*tape.inputs.shape, -1)
        zeros = [tuple(np.zeros_like(s) for s in _first_state(run)) for run in tape.runs]
        grads, initials = self.stack_backward(dx, zeros, tape)
        grads["decoder.bias"] = dlogits.sum(axis=0)
        d_weight = dlogits.T @ tape.top
        if "decoder.weight" in tape.params:
            grads["decoder.weight"] = d_weight
        else:
            grads["embedding.weight"] = self.tied_gradient(grads["embedding.weight"], d_weight)
        return grads, initials

    # ---- operations -------------------------------------------------------------------------------------------------

    def first_states(self, arrays: Mapping[str, np.ndarray]) -> list[State]:
        layers = sum(name.startswith("h0_l") for name in arrays)
        return [(arrays[f"h0_l{k}"], arrays[f"c0_l{k}"]) for k in range(layers)]

    def answer_model(self, question: Question) -> Answer:
        arrays, rates = question.arrays, question.settings.get("rates") or {}
        params = question.weights()
        states = self.first_states(arrays)
        logits, states, tape = self.window_forward(params, arrays["inputs"], states, question.masks(), rates)
        loss, dlogits = self.loss_and_gradient(logits, arrays["targets"])
        grads, _ = self.window_backward(dlogits, tape)
        answer = {"loss": np.asarray(loss)}
        for k, (h, c) in enumerate(states):
            answer |= {f"h_l{k}": h, f"c_l{k}": c}
        return answer | {f"d{name}": grads[name] for name in params}

    def carried(self, states: list[State], first: list[State]) -> list[State]:
        return states  # (5)

    def before_the_window(self, grads: Gradients, initials: list[State], earlier: list[Tape]) -> Gradients:
        """The gradient ends where the window begins; earlier: the tapes of the windows before."""
        return grads

    def after_dropout(self, params: Parameters, tape: Tape) -> Parameters:
        """What the update starts from: dropout drops from copies."""
        return params

    def fresh(self, grads: Gradients, before: Gradients) -> Gradients:
        """An update takes this window's gradient alone; before: what the last update took."""
        return grads

    def update(self, params: Parameters, grads: Gradients, lr: np.ndarray, max_norm: float) -> dict[str, np.ndarray]:
        _, clipped = self.clip(grads, max_norm)
        return {name: self.sgd_step(p, clipped[name], lr) for name, p in params.items()}

    def answer_train(self, question: Question) -> Answer:
        arrays, settings = question.arrays, question.settings
        params = question.weights()
        first = states = self.first_states(arrays)
        losses, tapes, grads = [], [], {}
        for k, (inputs, targets) in enumerate(zip(arrays["inputs"], arrays["targets"])):
            masks = self.masks_of_window(question.masks(), k)
            logits, states, tape = self.window_forward(params, inputs, states, masks, settings.get("rates") or {})
            loss, dlogits = self.loss_and_gradient(logits, targets)
            new, initials = self.window_backward(dlogits, tape)
            grads = self.fresh(self.before_the_window(new, initials, tapes), grads)
            params = self.after_dropout(params, tape)
            params = self.update(params, grads, self.rate(arrays["lr"], k), settings["clip"])
            states = self.carried(states, first)
            losses.append(loss)
            tapes.append(tape)
        return {"loss": np.stack(losses), **params}

    def zero_states(self, params: Parameters) -> list[State]:
        """[1,P], [1,H] of each layer."""
        states = []
        for w in self.lstm_layers(params, {}, {}):
            P, H = w.weight_hh.shape[1], w.weight_hh.shape[0] // 4
            states.append((np.zeros((1, P), w.weight_hh.dtype), np.zeros((1, H), w.weight_hh.dtype)))
        return states

    def read_first(self, prime: np.ndarray) -> np.ndarray:
        """The ids that are read before the first is chosen."""
        return prime

    def state_for_next_token(self, states: list[State], zeros: list[State]) -> list[State]:
        return states

    def answer_generate(self, question: Question) -> Answer:
        params, arrays = question.weights(), question.arrays
        states = zeros = self.zero_states(params)
        read, written = self.read_first(arrays["prime"]), []
        for u in arrays["u"]:
            logits, states, _ = self.window_forward(params, np.asarray(read)[:, None], states, {}, {})
            written.append(self.sample_id(logits[-1], u, question.settings))
            read, states = written[-1:], self.state_for_next_token(states, zeros)
        return {"ids": np.array(written, np.int64)}


def _first_state(run: Run) -> State:
    step = run.steps[0]
    return step.h, step.c

"""The whole language model in plain NumPy, composed of the plain kernels: to read, and to differentiate.

    x = drop(drop(W_emb)[ids]) or onehot(ids)                           words are dropped as rows of W_emb
    y = LSTM_l(x) with drop(W_hh);   x = drop(y)                        l = 0..L-1
    z = x W_dec^T + b_dec;           loss = cross-entropy(z, targets)   W_dec = W_emb where tied
    penalty = AR(x) + TAR(y)                                            of the last layer; see kernels/regularizers.py

It takes complex parameters, so the complex step gives its exact derivative, and it is what `NumpyLM` is checked
against. Slow, and allocates at will.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.masks import dropout_rates
from lstm_ref.kernels.cell import CellParams
from lstm_ref.kernels.dropout import dropout_plain
from lstm_ref.kernels.embedding import gather_plain, one_hot_encode, scatter_add_plain
from lstm_ref.kernels.regularizers import (
    activation_backward_plain,
    activation_plain,
    temporal_backward_plain,
    temporal_plain,
)
from lstm_ref.kernels.sequence import sequence_backward_plain, sequence_forward_plain
from lstm_ref.kernels.softmax_loss import softmax_loss_backward_plain, softmax_loss_plain

PlainState = list[tuple[np.ndarray, np.ndarray]]  # (h, c) of each layer, [B,H]
Masks = Mapping[str, np.ndarray]


class PlainRun(NamedTuple):
    """A forward pass: what it gives, and what its backward pass needs."""

    loss: Any  # nats a token; a complex number where the parameters are
    penalty: Any
    state: PlainState
    logits: np.ndarray  # [T*B,V]
    y: np.ndarray  # [T,B,H] of the last layer
    x: np.ndarray  # [T,B,H], y after dropout
    caches: list[Any]  # of each layer


def layer_params(params: Mapping[str, np.ndarray], layer: int) -> CellParams:
    return CellParams(*(params[f"lstm.{name}_l{layer}"] for name in CellParams._fields))


def decoder_name(config: LanguageModelConfig) -> str:
    return "embedding.weight" if config.tied else "decoder.weight"


class _Dropout:
    """Drops where there is a mask: the same on the way back."""

    def __init__(self, config: LanguageModelConfig, masks: Masks):
        self.rates, self.masks = dropout_rates(config), masks

    def __call__(self, x, where):
        return dropout_plain(x, self.masks[where], self.rates[where]) if where in self.masks else x

    def rows(self, weight):
        """`embedding`: a mask of rows."""
        if "embedding" not in self.masks:
            return weight
        return dropout_plain(weight, self.masks["embedding"][:, None], self.rates["embedding"])

    def recurrent(self, params: CellParams, layer: int) -> CellParams:
        return params._replace(weight_hh=self(params.weight_hh, f"weight_hh_l{layer}"))


def loss_plain(
    config: LanguageModelConfig,
    params: Mapping[str, np.ndarray],
    window: Window,
    state: PlainState,
    masks: Masks,
) -> PlainRun:
    """The forward pass over one window."""
    drop = _Dropout(config, masks)
    if config.embedding_size:
        x = drop(gather_plain(drop.rows(params["embedding.weight"]), window.inputs), "input")
    else:
        x = one_hot_encode(window.inputs, config.vocab_size, params["decoder.bias"].dtype)
    next_state, all_caches = [], []
    for layer, (h, c) in enumerate(state):
        y, h, c, caches = sequence_forward_plain(x, h, c, drop.recurrent(layer_params(params, layer), layer))
        next_state.append((h, c))
        all_caches.append(caches)
        x = drop(y, f"l{layer}")
    logits = x.reshape(-1, x.shape[-1]) @ params[decoder_name(config)].T + params["decoder.bias"]
    loss = softmax_loss_plain(logits, window.targets.reshape(-1))
    penalty = activation_plain(x, config.ar_alpha) + temporal_plain(y, config.tar_beta)
    return PlainRun(loss, penalty, next_state, logits, y, x, all_caches)


def loss_and_gradients_plain(
    config: LanguageModelConfig,
    params: Mapping[str, np.ndarray],
    window: Window,
    state: PlainState,
    masks: Masks,
) -> tuple[PlainRun, dict[str, np.ndarray]]:
    """As `loss_plain`, and the gradient of loss + penalty by every parameter, name -> array."""
    run, drop, decoder = loss_plain(config, params, window, state, masks), _Dropout(config, masks), decoder_name(config)
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dlogits = softmax_loss_backward_plain(run.logits, window.targets.reshape(-1))
    grads[decoder] += dlogits.T @ run.x.reshape(len(dlogits), -1)
    grads["decoder.bias"] += dlogits.sum(axis=0)
    dx = (dlogits @ params[decoder]).reshape(run.x.shape) + activation_backward_plain(run.x, config.ar_alpha)
    top = len(state) - 1
    for layer in reversed(range(len(state))):
        dy = drop(dx, f"l{layer}")
        if layer == top:
            dy = dy + temporal_backward_plain(run.y, config.tar_beta)
        dh_n = dc_n = np.zeros_like(state[layer][0])  # the state is detached between windows
        weights, layer_grads = drop.recurrent(layer_params(params, layer), layer), layer_params(grads, layer)
        dx, _, _ = sequence_backward_plain(dy, dh_n, dc_n, run.caches[layer], weights, layer_grads)
        layer_grads.weight_hh[...] = drop(layer_grads.weight_hh, f"weight_hh_l{layer}")
    if config.embedding_size:
        by_input = np.zeros_like(params["embedding.weight"])
        scatter_add_plain(by_input, window.inputs, drop(dx, "input"))
        grads["embedding.weight"] += drop.rows(by_input)
    return run, grads

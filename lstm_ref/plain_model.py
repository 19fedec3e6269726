"""The whole language model in plain NumPy, composed of the plain kernels: to read, and to differentiate.

    x = W_emb[ids] or onehot(ids);   x = drop(x)
    y = LSTM_l(x);                   x = drop(y)                        l = 0..L-1
    z = x W_dec^T + b_dec;           loss = cross-entropy(z, targets)

It takes complex parameters, so the complex step gives its exact derivative, and it is what `NumpyLM` is checked
against. Slow, and allocates at will.
"""

from collections.abc import Mapping

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.masks import dropout_rates
from lstm_ref.kernels.cell import CellParams
from lstm_ref.kernels.dropout import dropout_plain
from lstm_ref.kernels.embedding import gather_plain, one_hot_encode, scatter_add_plain
from lstm_ref.kernels.sequence import sequence_backward_plain, sequence_forward_plain
from lstm_ref.kernels.softmax_loss import softmax_loss_backward_plain, softmax_loss_plain

PlainState = list[tuple[np.ndarray, np.ndarray]]  # (h, c) of each layer, [B,H]


def layer_params(params: Mapping[str, np.ndarray], layer: int) -> CellParams:
    return CellParams(*(params[f"lstm.{name}_l{layer}"] for name in CellParams._fields))


def loss_plain(
    config: LanguageModelConfig,
    params: Mapping[str, np.ndarray],
    window: Window,
    state: PlainState,
    masks: Mapping[str, np.ndarray],
):
    """Returns the loss, the next state, and what backward needs: (logits, top [T*B,H], caches of each layer)."""
    rates = dropout_rates(config)

    def drop(x, where):
        return dropout_plain(x, masks[where], rates[where]) if where in masks else x

    if config.embedding_size:
        x = drop(gather_plain(params["embedding.weight"], window.inputs), "input")
    else:
        x = one_hot_encode(window.inputs, config.vocab_size, params["decoder.bias"].dtype)
    next_state, tape = [], []
    for layer, (h, c) in enumerate(state):
        y, h, c, caches = sequence_forward_plain(x, h, c, layer_params(params, layer))
        next_state.append((h, c))
        tape.append(caches)
        x = drop(y, f"l{layer}")
    top = x.reshape(-1, x.shape[-1])
    logits = top @ params["decoder.weight"].T + params["decoder.bias"]
    return softmax_loss_plain(logits, window.targets.reshape(-1)), next_state, (logits, top, tape)


def loss_and_gradients_plain(config, params, window, state, masks):
    """As `loss_plain`, and the gradient of the loss by every parameter, name -> array."""
    rates = dropout_rates(config)
    loss, next_state, (logits, top, tape) = loss_plain(config, params, window, state, masks)
    grads = {name: np.zeros_like(value) for name, value in params.items()}
    dlogits = softmax_loss_backward_plain(logits, window.targets.reshape(-1))
    grads["decoder.weight"] += dlogits.T @ top
    grads["decoder.bias"] += dlogits.sum(axis=0)
    dx = (dlogits @ params["decoder.weight"]).reshape(*window.inputs.shape, -1)
    for layer in reversed(range(len(state))):
        where = f"l{layer}"
        dy = dropout_plain(dx, masks[where], rates[where]) if where in masks else dx
        dh_n = dc_n = np.zeros_like(state[layer][0])  # the state is detached between windows
        dx, _, _ = sequence_backward_plain(
            dy, dh_n, dc_n, tape[layer], layer_params(params, layer), layer_params(grads, layer)
        )
    if config.embedding_size:
        dx = dropout_plain(dx, masks["input"], rates["input"]) if "input" in masks else dx
        scatter_add_plain(grads["embedding.weight"], window.inputs, dx)
    return loss, grads, next_state

"""Network: embedding, layers and decoder on the fast kernels, forward and backward, with every regulariser.

The same function as `plain_model`, on arrays that are allocated once; one BLAS thread pool and no other.
"""

import copy
from collections.abc import Mapping

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.language_model import State
from lstm_ref.core.masks import dropout_rates
from lstm_ref.core.params import parameter_shapes
from lstm_ref.kernels.decoder import Decoder
from lstm_ref.kernels.dropout import dropout, dropout_in_place, dropout_words
from lstm_ref.kernels.embedding import gather, scatter_add
from lstm_ref.kernels.regularizers import activation, temporal
from lstm_ref.kernels.sequence import Layer, LayerWeights
from lstm_ref.plain_model import decoder_name, layer_params

Masks = Mapping[str, np.ndarray]  # see core.masks; one that is not there costs nothing


class Network:
    """Parameters and their gradients, name -> array, and what computes with them.

    Made by `sharing`, it reads the parameters of another and has gradients and arrays of its own, so that the two may
    compute at the same time.
    """

    def __init__(self, config: LanguageModelConfig, dtype: np.dtype):
        self.config, self.dtype = config, dtype
        self.params, self.grads = _zeros(config, dtype), _zeros(config, dtype)
        layers = [layer_params(self.params, k) for k in range(len(config.hidden_sizes))]
        one_hot = config.embedding_size == 0
        self._weights = [LayerWeights(params, one_hot and k == 0) for k, params in enumerate(layers)]
        self._dropped_hh = [np.empty_like(params.weight_hh) for params in layers if config.weight_drop]
        self._scales = {where: dtype.type(1 / (1 - rate)) for where, rate in dropout_rates(config).items()}
        self._decoder_name = decoder_name(config)
        self._begin()

    def _begin(self) -> None:
        """What is not shared, besides the gradients."""
        self._decoder = Decoder(self.config.hidden_sizes[-1], self.config.vocab_size, self.dtype)
        self._arrays: dict[int, Arrays] = {}

    def sharing(self) -> "Network":
        other = copy.copy(self)
        other.grads = _zeros(self.config, self.dtype)
        other._begin()
        return other

    def load(self, masks: Masks, rows: int, *, backward: bool) -> None:
        """What is computed from now on, of at most so many rows at once, reads the parameters as they are now, less
        what `masks` drop of them. backward: whether gradients will be."""
        for k, weights in enumerate(self._weights):
            params, where = layer_params(self.params, k), f"weight_hh_l{k}"
            if where in masks:
                params = params._replace(weight_hh=self._drop(params.weight_hh, where, masks, self._dropped_hh[k]))
            weights.load(params, forward=rows > 1, backward=backward and rows > 1)

    def arrays(self, shape: tuple[int, ...]) -> "Arrays":
        """Those for windows of shape [T,B]."""
        T, B = shape
        if B not in self._arrays or self._arrays[B].T < T:
            self._arrays[B] = Arrays(self.config, T, B, self.dtype)
        return self._arrays[B].first(T)

    def forward(self, arrays: "Arrays", inputs: np.ndarray, state: State, masks: Masks) -> tuple[np.ndarray, State]:
        """What the decoder reads, [T,B,H], a view, and the next state, a copy."""
        embedded = self.config.embedding_size > 0
        x = self._embed(arrays.x[0], inputs, masks) if embedded else inputs
        for k, (layer, weights, (h0, c0)) in enumerate(zip(arrays.layers, self._weights, state)):
            forward = layer.forward if embedded or k > 0 else layer.forward_one_hot
            y = forward(weights, x, h0, c0)
            x = self._drop(y, f"l{k}", masks, out=arrays.x[k + 1])
        return x, [(layer.h[-1].copy(), layer.c[-1].copy()) for layer in arrays.layers]

    def _embed(self, x: np.ndarray, inputs: np.ndarray, masks: Masks) -> np.ndarray:
        gather(self.params["embedding.weight"], inputs.reshape(-1), _flat(x))
        self._drop_words(x, inputs, masks)
        return self._drop(x, "input", masks, out=x)

    def backward(self, arrays: "Arrays", window: Window, masks: Masks, rows: int) -> tuple[float, float]:
        """After `forward` of this window: every gradient of loss + penalty, into self.grads. Returns both.

        rows: over so many they are means, the window's own and those that others compute; B where there are none.
        """
        config, dx, top = self.config, arrays.dx, len(arrays.layers) - 1
        tokens, share = rows * arrays.T, arrays.B / rows
        loss = self._decoder_backward(arrays, window, masks, tokens)
        penalty = activation(self._read_by(arrays, top + 1, masks), config.ar_alpha * share, dx[top + 1])
        for k in reversed(range(top + 1)):
            layer, weights, grads = arrays.layers[k], self._weights[k], layer_params(self.grads, k)
            dy = self._drop(dx[k + 1], f"l{k}", masks, out=dx[k + 1])
            if k == top:
                penalty += temporal(layer.h[1:], config.tar_beta * share, dy)
            if k == 0 and not config.embedding_size:
                layer.backward_one_hot(weights, window.inputs, dy, 0, 0, grads)
            else:
                layer.backward(weights, self._read_by(arrays, k, masks), dy, 0, 0, grads, dx[k])
            self._drop(grads.weight_hh, f"weight_hh_l{k}", masks, out=grads.weight_hh)
        if config.embedding_size:
            self._embedding_backward(dx[0], window.inputs, masks)
        return loss, penalty

    def _decoder_backward(self, arrays: "Arrays", window: Window, masks: Masks, tokens: int) -> float:
        name, top = self._decoder_name, len(arrays.layers)
        weight, bias, x = self.params[name], self.params["decoder.bias"], _flat(self._read_by(arrays, top, masks))
        dx, dweight, dbias = _flat(arrays.dx[top]), self.grads[name], self.grads["decoder.bias"]
        targets = window.targets.reshape(-1)
        total = self._decoder.loss_and_gradients(x, weight, bias, targets, tokens, dx, dweight, dbias)
        return total / tokens

    def _embedding_backward(self, dx: np.ndarray, inputs: np.ndarray, masks: Masks) -> None:
        gradient = self.grads["embedding.weight"]
        if not self.config.tied:  # tied, it holds the decoder's part
            gradient[...] = 0
        dx = self._drop(dx, "input", masks, out=dx)
        self._drop_words(dx, inputs, masks)
        scatter_add(gradient, inputs.reshape(-1), _flat(dx))

    def _read_by(self, arrays: "Arrays", k: int, masks: Masks) -> np.ndarray:
        """The input of layer k, or of the decoder: the output below itself, where nothing of it was dropped."""
        return arrays.x[k] if k == 0 or f"l{k - 1}" in masks else arrays.layers[k - 1].h[1:]

    def _drop(self, x: np.ndarray, where: str, masks: Masks, out: np.ndarray) -> np.ndarray:
        """`out`, or x itself where nothing is dropped."""
        if where not in masks:
            return x
        mask = masks[where].reshape(-1)
        rows, scale = x.reshape(-1, mask.size), self._scales[where]
        if out is x:
            dropout_in_place(rows, mask, scale)
        else:
            dropout(rows, mask, scale, out.reshape(-1, mask.size))
        return out

    def _drop_words(self, x: np.ndarray, inputs: np.ndarray, masks: Masks) -> None:
        if "embedding" in masks:
            dropout_words(_flat(x), inputs.reshape(-1), masks["embedding"], self._scales["embedding"])

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Of what `forward` returned, [T,B,V], new."""
        logits = np.dot(_flat(x), self.params[self._decoder_name].T)
        logits += self.params["decoder.bias"]
        return logits.reshape(*x.shape[:2], -1)

    def total_loss(self, x: np.ndarray, targets: np.ndarray) -> float:
        """Summed over all tokens, of what `forward` returned."""
        weight, bias = self.params[self._decoder_name], self.params["decoder.bias"]
        return self._decoder.loss(_flat(x), weight, bias, targets.reshape(-1))


class Arrays:
    """What a window of T x B tokens leaves on its way up and down; a shorter window takes the first part of each.

    x[k]: the input of layer k (x[0] unused for one-hot input), x[L] the decoder's. dx[k]: its gradient; all of them lie
    in the same memory, because a layer has read all of dx[k+1] when it writes dx[k]: 26 MiB less at the character step.
    """

    def __init__(self, config: LanguageModelConfig, T: int, B: int, dtype: np.dtype):
        self.T, self.B = T, B
        sizes = (config.embedding_size, *config.hidden_sizes)
        one_hot_sizes = [0 if config.embedding_size else config.vocab_size] + [0] * len(config.hidden_sizes)
        self.layers = [Layer(T, B, H, dtype, V) for H, V in zip(config.hidden_sizes, one_hot_sizes)]
        self.x = [np.empty((T, B, size), dtype) for size in sizes]
        dx = np.empty(T * B * max(sizes), dtype)
        self.dx = [dx[: T * B * size].reshape(T, B, size) for size in sizes]

    def first(self, T: int) -> "Arrays":
        if self.T == T:
            return self
        part = object.__new__(Arrays)
        part.T, part.B = T, self.B
        part.layers = [layer.first(T) for layer in self.layers]
        part.x, part.dx = [x[:T] for x in self.x], [dx[:T] for dx in self.dx]
        return part


def _zeros(config: LanguageModelConfig, dtype: np.dtype) -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, dtype) for name, shape in parameter_shapes(config).items()}


def _flat(x: np.ndarray) -> np.ndarray:
    """[T,B,N] as [T*B,N], a view."""
    return x.reshape(-1, x.shape[-1])

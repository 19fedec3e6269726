"""SingleStream: the network for one row, a token at a time, as sampling needs it: no dropout and no gradients.

What a token takes is to read all weights once. They come from a cache further out than the one that the interpreter
runs from, and sweep that at every token, so each Python call costs several times what it does elsewhere: 80 of 170 µs a
character at 2x512 units, when this was `Network.forward` for a window of one token. So there is little of it, and as
few products as there can be: what reads the h of a layer, W_hh at the next token and W_ih of the layer above or the
decoder at this one, stands in one matrix, and is multiplied at once.

Proved by parity_tests/test_single_stream.py.
"""

from typing import NamedTuple

import numpy as np

from lstm_ref.core.language_model import State
from lstm_ref.kernels.cell import gates_forward
from lstm_ref.network import Network
from lstm_ref.plain_model import decoder_name, layer_params

FIRST = np.zeros(1, np.int64)


class LayerMatrices(NamedTuple):
    """bias [4H] = b_ih + b_hh; readers: W_hh [4H,H] and what is above [N,H], as one, or each by itself if N > 4H."""

    bias: np.ndarray
    readers: list[np.ndarray]
    above_size: int  # N


class StreamWeights:
    """Of a network's parameters as they are now: copies, but for the embedding and a decoder of many words."""

    def __init__(self, network: Network):
        config, params = network.config, network.params
        layers = [layer_params(params, k) for k in range(len(config.hidden_sizes))]
        above = [*(layer.weight_ih for layer in layers[1:]), params[decoder_name(config)]]
        self.layers = []
        for layer, reader in zip(layers, above):
            together = len(reader) <= len(layer.weight_hh)
            readers = [np.concatenate([layer.weight_hh, reader])] if together else [layer.weight_hh, reader]
            self.layers.append(LayerMatrices(layer.bias_ih + layer.bias_hh, readers, len(reader)))
        self.embedding = params["embedding.weight"] if config.embedding_size else None
        self.weight_ih_T = np.ascontiguousarray(layers[0].weight_ih.T)
        self.decoder_bias = params["decoder.bias"].copy()


class SingleStream:
    """Begins with a state of one row."""

    def __init__(self, weights: StreamWeights, state: State):
        self._weights = weights
        self._layers = [_Layer(matrices, h, c) for matrices, (h, c) in zip(weights.layers, state)]
        self._token = np.zeros(1, np.int64)
        self._logits = np.empty_like(weights.decoder_bias)

    def step(self, token: int) -> np.ndarray:
        """The logits [V] of what follows; the next step writes over them."""
        weights, self._token[0] = self._weights, token
        if weights.embedding is None:
            x_part, row = weights.weight_ih_T, self._token
        else:
            x_part, row = np.dot(weights.embedding[self._token], weights.weight_ih_T), FIRST
        for layer in self._layers:
            x_part, row = layer.step(x_part, row), FIRST
        return np.add(x_part[0], weights.decoder_bias, out=self._logits)


class _Layer:
    def __init__(self, matrices: LayerMatrices, h: np.ndarray, c: np.ndarray):
        (gates,), dtype = matrices.bias.shape, h.dtype
        self._bias = matrices.bias
        self._h, self._c, self._next_c = h.copy(), c.copy(), np.empty_like(c)
        self._gates = np.empty((1, gates), dtype)
        self._products = [(matrix.T, np.empty((1, len(matrix)), dtype)) for matrix in matrices.readers]
        self._h_part = self._products[0][1][:, :gates]
        self._above = self._products[-1][1][:, -matrices.above_size :]
        self._multiply()

    def step(self, x_part: np.ndarray, row: np.ndarray) -> np.ndarray:
        """What is above makes of the next h, [1,N]. x_part [*,4H], of which the row is x W_ih^T."""
        c, next_c = self._c, self._next_c
        gates_forward(x_part, row, self._h_part, self._bias, self._gates, c, next_c, self._h)
        self._c, self._next_c = next_c, c
        self._multiply()
        return self._above

    def _multiply(self) -> None:
        for matrix, out in self._products:
            np.dot(self._h, matrix, out=out)

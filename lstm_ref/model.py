"""NumpyLM: the kernels composed into a language model that trains, evaluates and samples.

The same model as `plain_model`, on the fast kernels: no allocation in a step, one BLAS thread pool and no other.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError
from lstm_ref.core.language_model import (
    Evaluation,
    LossAndGradients,
    SamplingPolicy,
    State,
    StepResult,
    StepSettings,
)
from lstm_ref.core.masks import dropout_masks, dropout_rates
from lstm_ref.core.params import check_parameters, parameter_shapes
from lstm_ref.kernels.adam import adam
from lstm_ref.kernels.clip import clip_factor, global_norm
from lstm_ref.kernels.dropout import dropout
from lstm_ref.kernels.embedding import gather, scatter_add
from lstm_ref.kernels.sampling import sample_token
from lstm_ref.kernels.sequence import Layer
from lstm_ref.kernels.softmax_loss import softmax_loss_backward, softmax_loss_total
from lstm_ref.plain_model import layer_params


def build(config: LanguageModelConfig, *, optimizer: OptimizerConfig, device: str = "cpu", precision: str = "float32"):
    """The entry point of the `numpy` backend."""
    if device != "cpu":
        raise ConfigError(f"device={device!r}: the numpy backend runs on the cpu; take --backend torch")
    if precision not in ("float32", "float64"):
        raise ConfigError(f"precision={precision!r}: the numpy backend has float32 and float64; take --backend torch")
    return NumpyLM(config, optimizer=optimizer, dtype=np.dtype(precision))


class NumpyLM:
    """A `LanguageModel`. dtype: float32 or float64, of everything but the loss, which is summed in float64."""

    def __init__(
        self,
        config: LanguageModelConfig,
        *,
        optimizer: OptimizerConfig | None = None,
        dtype: np.typing.DTypeLike = np.float32,
    ):
        self.config = config
        self.optimizer = optimizer or OptimizerConfig()
        self.dtype: np.dtype = np.dtype(dtype)
        shapes = parameter_shapes(config)
        self._params, self._grads, self._m, self._v = (
            {name: np.zeros(shape, self.dtype) for name, shape in shapes.items()} for _ in range(4)
        )
        self._updates = 0
        self._arrays: dict[int, _Arrays] = {}
        layers = range(len(config.hidden_sizes))
        self._layer_params = [layer_params(self._params, layer) for layer in layers]
        self._layer_grads = [layer_params(self._grads, layer) for layer in layers]

    # ---- state of the model -------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: value.copy() for name, value in self._params.items()}

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        check_parameters(self.config, params)
        for name, value in self._params.items():
            value[...] = params[name]

    def optimizer_state(self) -> dict[str, np.ndarray]:
        state = {"step": np.array(self._updates, np.int64)}
        state |= {f"exp_avg.{name}": value.copy() for name, value in self._m.items()}
        return state | {f"exp_avg_sq.{name}": value.copy() for name, value in self._v.items()}

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        for moments, prefix in ((self._m, "exp_avg."), (self._v, "exp_avg_sq.")):
            arrived = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
            check_parameters(self.config, arrived)
            for name, value in moments.items():
                value[...] = arrived[name]
        self._updates = int(state["step"])

    def zero_state(self, batch_size: int) -> State:
        return [tuple(np.zeros((batch_size, H), self.dtype) for _ in "hc") for H in self.config.hidden_sizes]

    def state_arrays(self, state: State) -> dict[str, np.ndarray]:
        return {f"{name}_l{k}": array for k, pair in enumerate(state) for name, array in zip("hc", pair)}

    def state_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> State:
        return [
            tuple(arrays[f"{name}_l{k}"].astype(self.dtype) for name in "hc")
            for k in range(len(self.config.hidden_sizes))
        ]

    # ---- forward and backward -----------------------------------------------------------------------------------

    def _arrays_for(self, T: int, B: int) -> "_Arrays":
        if B not in self._arrays or self._arrays[B].T < T:
            self._arrays[B] = _Arrays(self.config, T, B, self.dtype)
        return self._arrays[B].first(T)

    def _loaded(self, T: int, B: int) -> "_Arrays":
        """The arrays for windows of this shape, with the parameters as they are now."""
        arrays = self._arrays_for(T, B)
        for layer, params in zip(arrays.layers, self._layer_params):
            layer.load(params)
        return arrays

    def _forward(self, arrays: "_Arrays", inputs: np.ndarray, state: State, masks: Mapping[str, np.ndarray]) -> State:
        """Leaves the logits less the decoder's bias, [T*B,V], in the arrays' `logits`; returns the next state."""
        if self.config.embedding_size:
            gather(self._params["embedding.weight"], inputs.reshape(-1), _flat(arrays.x[0]))
            x = self._drop(arrays.x[0], "input", masks, out=arrays.x[0])
        for k, (layer, (h0, c0)) in enumerate(zip(arrays.layers, state)):
            if k == 0 and not self.config.embedding_size:
                y = layer.forward_one_hot(inputs, h0, c0)
            else:
                y = layer.forward(x, h0, c0)
            x = self._drop(y, f"l{k}", masks, out=arrays.x[k + 1])
        np.dot(_flat(x), self._params["decoder.weight"].T, out=arrays.logits)
        return [(layer.h[-1].copy(), layer.c[-1].copy()) for layer in arrays.layers]

    def _drop(self, x: np.ndarray, where: str, masks: Mapping[str, np.ndarray], out: np.ndarray) -> np.ndarray:
        if where not in masks:
            return x
        scale = np.asarray(1 / (1 - dropout_rates(self.config)[where]), self.dtype)[()]
        dropout(x.reshape(-1), masks[where].reshape(-1), scale, out.reshape(-1))
        return out

    def _backward(self, window: Window, arrays: "_Arrays", masks: Mapping[str, np.ndarray]) -> float:
        """From the logits to every gradient, into self._grads. Returns the loss."""
        top = len(arrays.layers) - 1
        total = float(softmax_loss_backward(arrays.logits, self._params["decoder.bias"], window.targets.reshape(-1)))
        dlogits = arrays.logits
        output = arrays.x[top + 1] if f"l{top}" in masks else arrays.layers[top].h[1:]
        np.dot(dlogits.T, _flat(output), out=self._grads["decoder.weight"])
        self._grads["decoder.bias"][...] = dlogits.sum(axis=0, dtype=np.float64)
        np.dot(dlogits, self._params["decoder.weight"], out=_flat(arrays.dx[top + 1]))
        for k in reversed(range(top + 1)):
            dy = self._drop(arrays.dx[k + 1], f"l{k}", masks, out=arrays.dx[k + 1])
            layer, grads = arrays.layers[k], self._layer_grads[k]
            if k == 0 and not self.config.embedding_size:
                layer.backward_one_hot(window.inputs, dy, 0, 0, grads)
                continue
            below = f"l{k - 1}" if k else "input"
            x = arrays.x[k] if k == 0 or below in masks else arrays.layers[k - 1].h[1:]
            layer.backward(x, dy, 0, 0, grads, arrays.dx[k])
        if self.config.embedding_size:
            dx = self._drop(arrays.dx[0], "input", masks, out=arrays.dx[0])
            self._grads["embedding.weight"][...] = 0
            scatter_add(self._grads["embedding.weight"], window.inputs.reshape(-1), _flat(dx))
        return total / window.tokens

    def _loss_into_gradients(self, window: Window, state: State, draws: Draws | None) -> tuple[float, State]:
        masks = dropout_masks(self.config, draws, *window.inputs.shape)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is reported, not warned about
            arrays = self._loaded(*window.inputs.shape)
            next_state = self._forward(arrays, window.inputs, state, masks)
            return self._backward(window, arrays, masks), next_state

    # ---- what the trainer calls ---------------------------------------------------------------------------------

    def logits(self, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        arrays = self._loaded(*inputs.shape)
        next_state = self._forward(arrays, inputs, state, {})
        return (arrays.logits + self._params["decoder.bias"]).reshape(*inputs.shape, -1), next_state

    def loss_and_gradients(self, window: Window, state: State, draws: Draws | None) -> LossAndGradients:
        loss, next_state = self._loss_into_gradients(window, state, draws)
        return LossAndGradients(loss, {name: grad.copy() for name, grad in self._grads.items()}, next_state)

    def train_step(self, window: Window, state: State, draws: Draws, settings: StepSettings) -> StepResult:
        loss, next_state = self._loss_into_gradients(window, state, draws)
        norm = global_norm(self._grads)
        if np.isfinite(loss) and np.isfinite(norm):
            self._updates += 1
            factor = clip_factor(norm, settings.clip)
            for name, p in self._params.items():
                adam(
                    p,
                    self._grads[name],
                    self._m[name],
                    self._v[name],
                    self._updates,
                    settings.lr,
                    self.optimizer,
                    factor,
                )
        return StepResult(loss, norm, next_state)

    def evaluate(self, window: Window, state: State) -> Evaluation:
        arrays = self._loaded(*window.inputs.shape)
        with np.errstate(over="ignore", invalid="ignore"):  # as in training
            next_state = self._forward(arrays, window.inputs, state, {})
        nll = softmax_loss_total(arrays.logits, self._params["decoder.bias"], window.targets.reshape(-1))
        return Evaluation(float(nll), window.tokens, next_state)

    def choose(self, logits: np.ndarray, policy: SamplingPolicy, u: float) -> int:
        return sample_token(logits, policy, u)

    def sample(
        self, prime: Sequence[int], length: int, policy: SamplingPolicy, draws: Draws, first_draw: int = 0
    ) -> Iterator[int]:
        policy.check_vocabulary(self.config.vocab_size)
        primed, state = self.logits(np.asarray(prime, np.int64)[:, None], self.zero_state(1))
        arrays, bias, logits = self._loaded(1, 1), self._params["decoder.bias"], primed[-1, 0]
        uniforms = draws.at(first_draw).one_each_step("sample")
        token = np.empty((1, 1), np.int64)
        for n in range(length):
            if n > 0:
                state = self._forward(arrays, token, state, {})
                logits = arrays.logits[0] + bias
            token[0, 0] = self.choose(logits, policy, next(uniforms))
            yield int(token[0, 0])


class _Arrays:
    """All arrays of a step on T x B tokens, allocated once; a shorter window takes the first part of each.

    x[k]: the input of layer k (x[0] unused for one-hot input), x[L] the decoder's; dx[k]: its gradient.
    """

    def __init__(self, config: LanguageModelConfig, T: int, B: int, dtype: np.dtype):
        self.T, self.B = T, B
        sizes = (config.embedding_size, *config.hidden_sizes)
        one_hot_sizes = [0 if config.embedding_size else config.vocab_size] + [0] * len(config.hidden_sizes)
        self.layers = [Layer(T, B, H, dtype, V) for H, V in zip(config.hidden_sizes, one_hot_sizes)]
        self.x = [np.empty((T, B, size), dtype) for size in sizes]
        self.dx = [np.empty((T, B, size), dtype) for size in sizes]
        self.logits = np.empty((T * B, config.vocab_size), dtype)

    def first(self, T: int) -> "_Arrays":
        if self.T == T:
            return self
        part = object.__new__(_Arrays)
        part.T, part.B = T, self.B
        part.layers = [layer.first(T) for layer in self.layers]
        part.x, part.dx = [x[:T] for x in self.x], [dx[:T] for dx in self.dx]
        part.logits = self.logits[: T * self.B]
        return part


def _flat(x: np.ndarray) -> np.ndarray:
    """[T,B,N] as [T*B,N], a view."""
    return x.reshape(-1, x.shape[-1])

"""NumpyLM: network and optimizer behind the `LanguageModel` protocol: it trains, evaluates and samples.

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
from lstm_ref.core.masks import dropout_masks, masks_of_rows
from lstm_ref.core.params import check_parameters
from lstm_ref.kernels.clip import clip_factor, global_norm
from lstm_ref.kernels.sampling import sample_token
from lstm_ref.network import Network
from lstm_ref.optimizer import Optimizer
from lstm_ref.shards import Shards
from lstm_ref.single_stream import SingleStream, StreamWeights


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
        self.dtype: np.dtype = np.dtype(dtype)
        self.network = Network(config, self.dtype)
        self.shards = Shards(self.network)
        self.optimizer = Optimizer(config, optimizer or OptimizerConfig(), self.network.params)
        self._stream_weights: StreamWeights | None = None  # of the parameters as they are now

    # ---- state of the model -------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: value.copy() for name, value in self.network.params.items()}

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        self.optimizer.require_own_parameters()
        check_parameters(self.config, params)
        for name, value in self.network.params.items():
            value[...] = params[name]
        self._stream_weights = None

    def optimizer_state(self) -> dict[str, np.ndarray]:
        return {name: value.copy() for name, value in self.optimizer.state.items()}

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.optimizer.load(state)

    def start_averaging(self) -> None:
        self.optimizer.start_averaging()

    def exchange_average(self) -> None:
        self.optimizer.exchange_average()
        self._stream_weights = None

    def zero_state(self, batch_size: int) -> State:
        return [tuple(np.zeros((batch_size, H), self.dtype) for _ in "hc") for H in self.config.hidden_sizes]

    def state_arrays(self, state: State) -> dict[str, np.ndarray]:
        return {f"{name}_l{k}": array for k, pair in enumerate(state) for name, array in zip("hc", pair)}

    def state_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> State:
        return [
            tuple(arrays[f"{name}_l{k}"].astype(self.dtype) for name in "hc")
            for k in range(len(self.config.hidden_sizes))
        ]

    # ---- what the trainer calls ---------------------------------------------------------------------------------

    def _forward(self, network: Network, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Without dropout, and `load`ed: what the decoder reads, and the next state."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is reported, not warned about
            return network.forward(network.arrays(inputs.shape), inputs, state, {})

    def _gradients(self, window: Window, state: State, draws: Draws | None) -> tuple[float, float, State]:
        """Loss, penalty and the next state; leaves the gradients in the network."""
        T, B = window.inputs.shape
        masks = dropout_masks(self.config, draws, T, B)
        self.network.load(masks, B, backward=True)

        def compute(network: Network, rows: slice) -> tuple[float, float, State]:
            part, part_masks = window.part(rows), masks_of_rows(masks, rows)
            with np.errstate(over="ignore", invalid="ignore"):  # as in _forward
                arrays = network.arrays(part.inputs.shape)
                _, next_state = network.forward(arrays, part.inputs, _rows_of(state, rows), part_masks)
                return *network.backward(arrays, part, part_masks, rows=B), next_state

        losses, penalties, states = zip(*self.shards.each(B, compute))
        self.shards.add_gradients(B)
        return sum(losses), sum(penalties), _joined(states)

    def logits(self, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        self.network.load({}, inputs.shape[1], backward=False)
        x, next_state = self._forward(self.network, inputs, state)
        return self.network.logits(x), next_state

    def loss_and_gradients(self, window: Window, state: State, draws: Draws | None) -> LossAndGradients:
        loss, penalty, next_state = self._gradients(window, state, draws)
        gradients = {name: gradient.copy() for name, gradient in self.network.grads.items()}
        return LossAndGradients(loss, gradients, next_state, penalty)

    def train_step(self, window: Window, state: State, draws: Draws, settings: StepSettings) -> StepResult:
        self.optimizer.require_own_parameters()
        loss, _, next_state = self._gradients(window, state, draws)
        norm = global_norm(self.network.grads)
        if np.isfinite(loss) and np.isfinite(norm):
            self.optimizer.step(self.network.grads, settings.lr, clip_factor(norm, settings.clip))
            self._stream_weights = None
        return StepResult(loss, norm, next_state)

    def evaluate(self, window: Window, state: State) -> Evaluation:
        self.network.load({}, window.inputs.shape[1], backward=False)

        def compute(network: Network, rows: slice) -> tuple[float, State]:
            part = window.part(rows)
            x, next_state = self._forward(network, part.inputs, _rows_of(state, rows))
            return network.total_loss(x, part.targets), next_state

        totals, states = zip(*self.shards.each(window.inputs.shape[1], compute))
        return Evaluation(sum(totals), window.tokens, _joined(states))

    def choose(self, logits: np.ndarray, policy: SamplingPolicy, u: float) -> int:
        return sample_token(logits, policy, u)

    def sample(
        self, prime: Sequence[int], length: int, policy: SamplingPolicy, draws: Draws, first_draw: int = 0
    ) -> Iterator[int]:
        policy.check_vocabulary(self.config.vocab_size)
        of_prime, state = self.logits(np.asarray(prime, np.int64)[:, None], self.zero_state(1))
        self._stream_weights = self._stream_weights or StreamWeights(self.network)
        stream = SingleStream(self._stream_weights, state)
        logits, uniforms = of_prime[-1, 0], draws.at(first_draw).one_each_step("sample")
        for n in range(length):
            token = self.choose(logits, policy, next(uniforms))
            yield token
            if n + 1 < length:
                logits = stream.step(token)


def _rows_of(state: State, rows: slice) -> State:
    """Views."""
    return [(h[rows], c[rows]) for h, c in state]


def _joined(states: Sequence[State]) -> State:
    """The state of all rows, from that of each part."""
    if len(states) == 1:
        return states[0]
    return [tuple(map(np.concatenate, zip(*pairs))) for pairs in zip(*states)]

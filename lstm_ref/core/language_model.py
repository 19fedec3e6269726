"""What a twin is: the `LanguageModel` protocol, and the values that go in and out.

Both twins satisfy it, the trainer and the command line know only it, and a third party can add a backend by an entry
point in the group `lstm.backends` that names a function like `Build`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol, SupportsFloat

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, UsageError

State = Any  # h and c of every layer [B,H_l], in whatever arrays the twin computes with


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """What a training step may vary."""

    lr: float
    clip: float  # largest global L2 norm of the gradient


@dataclass(frozen=True, slots=True)
class LossAndGradients:
    """loss: mean negative log-likelihood of the window in nats. gradients: name -> array of the parameter's shape, of
    loss + penalty; penalty: what the config's ar_alpha and tar_beta add."""

    loss: float
    gradients: dict[str, np.ndarray]
    state: State
    penalty: float = 0.0


@dataclass(frozen=True, slots=True)
class StepResult:
    """loss in nats, without penalty, and the gradient's global norm before clipping. Either may still be on its way
    from a device: float() waits for it. If one is not finite, nothing was updated."""

    loss: SupportsFloat
    gradient_norm: SupportsFloat
    state: State


@dataclass(frozen=True, slots=True)
class Evaluation:
    """total: summed negative log-likelihood in nats, over `tokens` scored tokens."""

    total: float
    tokens: int
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingPolicy:
    """How a token is chosen from logits [V] and one uniform u, the same in both twins:

    logits in float64, divided by `temperature`; ordered by (-logit, id); the first `top_k` are kept; of these the
    shortest prefix whose probability reaches `top_p` [Holtzman et al. 2020]; softmax over what is kept; then the first
    id in that order whose cumulative sum exceeds u * total. top_k=1 is greedy.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and np.isfinite(self.temperature)):
            raise ConfigError(f"temperature={self.temperature}: expected a positive number; for greedy use top_k=1")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k={self.top_k}: expected at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p={self.top_p}: expected a number in (0, 1]")

    def check_vocabulary(self, vocab_size: int) -> None:
        if self.top_k is not None and self.top_k > vocab_size:
            raise ConfigError(f"top_k={self.top_k}: the vocabulary has only {vocab_size} tokens")


class LanguageModel(Protocol):
    """An LSTM language model with its optimizer. Arrays that cross this line are NumPy's, but for `State`."""

    config: LanguageModelConfig

    def parameters(self) -> dict[str, np.ndarray]:
        """Copies, by the names of core.params."""
        ...

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None: ...

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """Copies, by the names of core.params.optimizer_shapes; counts are int64."""
        ...

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None: ...

    def start_averaging(self) -> None:
        """nt-asgd: from the next step on, `average` is the mean of the parameters after each step. Raises ConfigError
        with another optimizer."""
        ...

    def exchange_average(self) -> None:
        """Parameters and their average change places, so that what is evaluated, saved or sampled is the average; once
        more, and training goes on. Nothing where there is no average."""
        ...

    def zero_state(self, batch_size: int) -> State: ...

    def state_arrays(self, state: State) -> dict[str, np.ndarray]:
        """The carry of a checkpoint: `h_l<k>`, `c_l<k>` [B,H_k]."""
        ...

    def state_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> State: ...

    def logits(self, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """inputs int64 [T,B] -> logits [T,B,V] without dropout, and the next state."""
        ...

    def loss_and_gradients(self, window: Window, state: State, draws: Draws | None) -> LossAndGradients:
        """The parity path: nothing is updated. draws=None: no dropout."""
        ...

    def train_step(self, window: Window, state: State, draws: Draws, settings: StepSettings) -> StepResult:
        """The fast path: forward, backward, clip, update."""
        ...

    def evaluate(self, window: Window, state: State) -> Evaluation:
        """Without dropout, gradients or update."""
        ...

    def choose(self, logits: np.ndarray, policy: SamplingPolicy, u: float) -> int:
        """The id that `policy` takes from logits [V] and u in [0, 1)."""
        ...

    def sample(
        self, prime: Sequence[int], length: int, policy: SamplingPolicy, draws: Draws, first_draw: int = 0
    ) -> Iterator[int]:
        """Runs `prime` (at least one id) from the zero state, then yields `length` ids. Token n takes one float64
        from stream `sample` at step first_draw + n; priming draws nothing."""
        ...


class Build(Protocol):
    """What an entry point in the group `lstm.backends` names. The parameters are not set yet: load them."""

    def __call__(
        self, config: LanguageModelConfig, *, optimizer: OptimizerConfig, device: str, precision: str
    ) -> LanguageModel: ...


def load_backend(name: str) -> Build:
    """The build function of an installed backend. Raises UsageError if there is none, or its library is missing."""
    points = {point.name: point for point in entry_points(group="lstm.backends")}
    if name not in points:
        raise UsageError(f"unknown backend {name!r}; installed: {', '.join(sorted(points)) or 'none'}")
    try:
        return points[name].load()
    except ModuleNotFoundError as error:
        raise UsageError(
            f"backend {name!r} needs {error.name!r}, which is not installed: pip install 'lstm-parity[{name}]'"
        ) from None

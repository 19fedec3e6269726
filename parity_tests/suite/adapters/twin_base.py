"""What our twins have in common as subjects of the suite: language models, batches, and the question's own draws.

They answer every operation. None has projections, peepholes, a second direction or rows that end early, so none claims
them. The models have one dropout rate between layers and one for all recurrent weights: a question that needs more
raises UsageError.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_ref.core.batching import Window, Windows
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.errors import ShapeError, UsageError
from lstm_ref.core.evaluation import mean_nll
from lstm_ref.core.language_model import Evaluation, LanguageModel, SamplingPolicy, State, StepSettings
from lstm_ref.core.log_record import perplexity
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import OPERATIONS, Answer, Question

MOST_LAYERS = 4  # the suite's questions need not go deeper
DROPS = ("outputs", "input", "embedding", "weight_hh")
SGD = OptimizerConfig(optimizer="sgd")
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class HandedDraws:
    """Quacks like core.draws.Draws, with masks and uniforms that the question brought."""

    masks: Arrays
    uniforms: Sequence[float] = ()

    def keep_mask(self, stream: str, shape: tuple[int, ...], drop_probability: float) -> np.ndarray:
        mask = self.masks[stream.removeprefix("dropout/")]
        if mask.shape != shape:
            raise ShapeError(f"{stream} has shape {mask.shape}, expected {shape}")
        return mask

    def at(self, step: int) -> "HandedDraws":
        return dataclasses.replace(self, uniforms=self.uniforms[step:])

    def uniform(self, stream: str, shape: tuple[int, ...], dtype: np.typing.DTypeLike = np.float64) -> np.ndarray:
        return np.array(self.uniforms[: int(np.prod(shape))], dtype).reshape(shape)

    def one_each_step(self, stream: str) -> Iterator[float]:
        yield from self.uniforms


def config_of(question: Question) -> LanguageModelConfig:
    """The model that the parameters and settings describe. Raises UsageError for one that the twins do not have."""
    params, rates = question.weights(), dict(question.settings.get("rates") or {})
    layers = range(sum(name.startswith("lstm.weight_hh_l") for name in params))
    embedding = params.get("embedding.weight")
    config = LanguageModelConfig(
        vocab_size=params["decoder.bias"].shape[0],
        embedding_size=0 if embedding is None else embedding.shape[1],
        hidden_sizes=tuple(params[f"lstm.weight_hh_l{k}"].shape[1] for k in layers),
        tied="decoder.weight" not in params,
        dropout_embedding=rates.pop("embedding", 0.0),
        dropout_input=rates.pop("input", 0.0),
        dropout_output=rates.pop(f"l{layers[-1]}", 0.0),
        dropout_between=_one_rate(rates, [f"l{k}" for k in layers[:-1]]),
        weight_drop=_one_rate(rates, [f"weight_hh_l{k}" for k in layers]),
    )
    if rates:
        raise UsageError(f"dropout at {', '.join(rates)}: the twins have none there")
    return config


def _one_rate(rates: dict[str, float], places: Sequence[str]) -> float:
    """Of all places, which are taken out of `rates`; 0 where there is no place."""
    found = {place: rates.pop(place, 0.0) for place in places}
    if len(set(found.values())) > 1:
        raise UsageError(f"dropout rates {found}: the twins have one rate for all of these")
    return next(iter(found.values()), 0.0)


def policy_of(question: Question) -> SamplingPolicy:
    known = {name: value for name, value in question.settings.items() if name in ("temperature", "top_k", "top_p")}
    return SamplingPolicy(**known)


class Twin(ABC):
    """An `Adapter` whose methods are named as the operations."""

    name: str

    def __init__(self) -> None:
        self.capabilities = Capabilities(
            operations=OPERATIONS,
            dtypes=("float64", "float32"),
            layers=MOST_LAYERS,
            tied=True,
            drops=DROPS,
            note="lstm-parity",
        )

    def answer(self, question: Question) -> Answer:
        return getattr(self, question.op)(question)

    @abstractmethod
    def language_model(
        self, config: LanguageModelConfig, dtype: np.dtype, optimizer: OptimizerConfig
    ) -> LanguageModel: ...

    def batches(self, question: Question) -> Answer:
        windows = Windows(question.arrays["ids"], question.settings["batch_size"], question.settings["seq_length"])
        each = [windows[k] for k in range(len(windows))]
        return {name: np.stack([getattr(window, name) for window in each]) for name in ("inputs", "targets")}

    def evaluate(self, question: Question) -> Answer:
        """By the loop that the trainer and `lstm score` share."""
        windows = [Window(*(np.zeros((2, count, 1), np.int64))) for count in question.arrays["tokens"]]
        lm: Any = _SummedAlready(question.arrays["nll"])
        nats, _ = mean_nll(lm, [windows])
        return {name: np.asarray(x, question.dtype) for name, x in (("loss", nats), ("perplexity", perplexity(nats)))}

    def model(self, question: Question) -> Answer:
        arrays = question.arrays
        lm = self._loaded(question)
        draws: Any = HandedDraws(question.masks()) if question.masks() else None
        window = Window(arrays["inputs"], arrays["targets"])
        result = lm.loss_and_gradients(window, _first_state(lm, question), draws)
        gradients = {f"d{name}": gradient for name, gradient in result.gradients.items()}
        return {"loss": np.asarray(result.loss), **lm.state_arrays(result.state), **gradients}

    def train(self, question: Question) -> Answer:
        arrays, clip = question.arrays, question.settings["clip"]
        lm = self._loaded(question)
        state, losses = _first_state(lm, question), []
        for k, lr in enumerate(arrays["lr"].tolist()):
            draws: Any = HandedDraws(masks_of(question, k))
            window = Window(arrays["inputs"][k], arrays["targets"][k])
            result = lm.train_step(window, state, draws, StepSettings(lr=lr, clip=clip))
            state = result.state
            losses.append(float(result.loss))
        return {"loss": np.array(losses, question.dtype), **lm.parameters()}

    def generate(self, question: Question) -> Answer:
        prime, uniforms = question.arrays["prime"].tolist(), question.arrays["u"].tolist()
        draws: Any = HandedDraws({}, uniforms)
        ids = self._loaded(question).sample(prime, len(uniforms), policy_of(question), draws)
        return {"ids": np.array([*ids], np.int64)}

    def _loaded(self, question: Question) -> LanguageModel:
        lm = self.language_model(config_of(question), question.dtype, SGD)
        lm.load_parameters(question.weights())
        return lm


@dataclass(frozen=True, slots=True)
class _SummedAlready:
    """A model that knows what each token costs. Its state is the number of the next one."""

    nll: np.ndarray

    def zero_state(self, batch_size: int) -> int:
        return 0

    def evaluate(self, window: Window, state: int) -> Evaluation:
        end = state + window.tokens
        return Evaluation(float(self.nll[state:end].sum(dtype=np.float64)), window.tokens, end)


def masks_of(question: Question, k: int) -> dict[str, np.ndarray]:
    """Of training window k."""
    return {where: mask[k] for where, mask in question.masks().items()}


def _first_state(lm: LanguageModel, question: Question) -> State:
    arrays = {name.replace("0_l", "_l"): a for name, a in question.arrays.items() if name[1:4] == "0_l"}
    return lm.state_from_arrays(arrays)

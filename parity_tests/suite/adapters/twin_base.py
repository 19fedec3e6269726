"""What our twins have in common as subjects of the suite: language models, batches, and the question's own draws.

None has SGD, projections, peepholes, a second direction or rows that end early, so none claims them. The models have no
tied decoder, and drop out the embedding's output and the layers' outputs only, with one rate between layers: a question
that needs more raises UsageError.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_ref.core.batching import Window, Windows
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.errors import ShapeError, UsageError
from lstm_ref.core.language_model import LanguageModel, SamplingPolicy
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Answer, Question

MOST_LAYERS = 4  # the suite's questions need not go deeper
OPERATIONS = ("forward", "backward", "loss", "clip", "adam", "batches", "model", "sample", "generate")
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
    params, rates = question.weights(), dict(question.settings.get("rates", {}))
    if question.settings.get("tied"):
        raise UsageError("the twins have no tied decoder")
    layers = sum(name.startswith("lstm.weight_hh_l") for name in params)
    rate_input, rate_output = rates.pop("input", 0.0), rates.pop(f"l{layers - 1}", 0.0)
    between = {rates.pop(f"l{k}", 0.0) for k in range(layers - 1)} or {0.0}
    if rates or len(between) > 1:
        raise UsageError(
            f"dropout rates {question.settings['rates']}: the twins have input, one between layers, output"
        )
    embedding = params.get("embedding.weight")
    return LanguageModelConfig(
        vocab_size=params["decoder.bias"].shape[0],
        embedding_size=0 if embedding is None else embedding.shape[1],
        hidden_sizes=tuple(params[f"lstm.weight_hh_l{k}"].shape[1] for k in range(layers)),
        dropout_input=rate_input,
        dropout_between=between.pop(),
        dropout_output=rate_output,
    )


def policy_of(question: Question) -> SamplingPolicy:
    known = {name: value for name, value in question.settings.items() if name in ("temperature", "top_k", "top_p")}
    return SamplingPolicy(**known)


class Twin(ABC):
    """An `Adapter` whose methods are named as the operations."""

    name: str
    operations: tuple[str, ...] = OPERATIONS

    def __init__(self) -> None:
        self.capabilities = Capabilities(
            operations=self.operations, dtypes=("float64", "float32"), layers=MOST_LAYERS, note="lstm-parity"
        )

    def answer(self, question: Question) -> Answer:
        if question.op not in self.capabilities.operations:
            raise UsageError(f"{self.name} has no {question.op}")
        return getattr(self, question.op)(question)

    @abstractmethod
    def language_model(self, config: LanguageModelConfig, dtype: np.dtype) -> LanguageModel: ...

    def batches(self, question: Question) -> Answer:
        windows = Windows(question.arrays["ids"], question.settings["batch_size"], question.settings["seq_length"])
        each = [windows[k] for k in range(len(windows))]
        return {name: np.stack([getattr(window, name) for window in each]) for name in ("inputs", "targets")}

    def model(self, question: Question) -> Answer:
        arrays = question.arrays
        lm = self._loaded(question)
        state = lm.state_from_arrays({name.replace("0_l", "_l"): a for name, a in arrays.items() if name[1:4] == "0_l"})
        draws: Any = HandedDraws(question.masks()) if question.masks() else None
        result = lm.loss_and_gradients(Window(arrays["inputs"], arrays["targets"]), state, draws)
        gradients = {f"d{name}": gradient for name, gradient in result.gradients.items()}
        return {"loss": np.asarray(result.loss), **lm.state_arrays(result.state), **gradients}

    def generate(self, question: Question) -> Answer:
        prime, uniforms = question.arrays["prime"].tolist(), question.arrays["u"].tolist()
        draws: Any = HandedDraws({}, uniforms)
        ids = self._loaded(question).sample(prime, len(uniforms), policy_of(question), draws)
        return {"ids": np.array([*ids], np.int64)}

    def _loaded(self, question: Question) -> LanguageModel:
        lm = self.language_model(config_of(question), question.dtype)
        lm.load_parameters(question.weights())
        return lm

"""The twins, through the protocol that the trainer and the command line use."""

from collections.abc import Mapping

import numpy as np

from benchmarks.cases import SampleCase, StepCase
from lstm_ref.core.batching import Window
from lstm_ref.core.config import OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.generation import generate
from lstm_ref.core.language_model import LanguageModel, SamplingPolicy, StepSettings, load_backend


def _build(backend: str, case: StepCase | SampleCase) -> LanguageModel:
    optimizer = case.optimizer if isinstance(case, StepCase) else OptimizerConfig()
    model = load_backend(backend)(case.config, optimizer=optimizer, device="cpu", precision=case.precision)
    model.load_parameters(case.parameters())
    return model


class TwinTrainer:
    def __init__(self, backend: str, case: StepCase):
        self._model = _build(backend, case)
        self._state = self._model.zero_state(case.batch_size)
        self._settings = StepSettings(lr=case.lr, clip=case.clip)
        self._draws = Draws(case.seed)

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        self._model.load_parameters(params)

    def parameters(self) -> dict[str, np.ndarray]:
        return self._model.parameters()

    def optimizer_state(self) -> dict[str, np.ndarray]:
        return self._model.optimizer_state()

    def step(self, window: Window) -> float:
        result = self._model.train_step(window, self._state, self._draws, self._settings)
        self._state, self._draws = result.state, self._draws.at(self._draws.step + 1)
        return float(result.loss)


class TwinSampler:
    def __init__(self, backend: str, case: SampleCase):
        self._model, self._vocabulary = _build(backend, case), case.vocabulary

    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        return "".join(generate(self._model, self._vocabulary, size, prime, SamplingPolicy(top_k=top_k), seed))

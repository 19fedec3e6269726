"""A run that takes a tenth of a second, and what the tests of the trainer look at in it."""

import dataclasses
import hashlib

import numpy as np
import pytest

from lstm_ref.core.checkpoint import Checkpoint, Progress
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import LanguageModel, State, StepResult, load_backend
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Trainer, start

SYMBOLS = "abcdefghij "
both_twins = pytest.mark.parametrize("backend", ["numpy", "torch"])
CLOCKS = {"seconds", "tokens_per_second", "ms_per_step", "epoch_seconds"}


def corpus_of(length: int, seed: int = 3) -> Corpus:
    """Independent symbols: nothing but their frequency can be learned, so a model soon overfits."""
    numbers = Draws(seed).uniform("text", (length,))
    text = SYMBOLS + "".join(SYMBOLS[int(number * len(SYMBOLS))] for number in numbers[len(SYMBOLS) :])
    return Corpus("text", text, hashlib.sha256(text.encode()).hexdigest(), "text")


# 135 training ids are 11 windows of 3x4; 45 validation ids are 3 windows of 3x4, or 44 targets.
CORPUS = corpus_of(180)
WINDOWS, STEPS = 11, 22
CONFIG = RunConfig(
    corpus="text",
    validation_fraction=0.25,
    hidden_sizes=(7, 5),
    dropout_between=0.3,
    dropout_output=0.2,
    epochs=2,
    batch_size=3,
    seq_length=4,
    lr=0.02,
    print_every=4,
    checkpoint_every=5,
    keep_checkpoints=100,
    precision="float64",
)


def begin(folder: RunFolder, **changes: object) -> Trainer:
    return start(CONFIG.with_overrides(changes), CORPUS, folder)


def articles_of(lengths: list[int]) -> Corpus:
    """Articles as WikiText has them, a title between two blank lines; of independent symbols, as many as told."""
    whole = corpus_of(sum(lengths)).text
    ends = np.cumsum(lengths)
    texts = (
        f"\n = {whole[end - 2 : end].strip() or 'a'} = \n\n{whole[end - n : end]}\n" for n, end in zip(lengths, ends)
    )
    text = "".join(texts)
    return Corpus("text", text, hashlib.sha256(text.encode()).hexdigest(), "text")


# Of about 180 training ids, 3 rows of about 60 steps: 5 to 8 windows an epoch.
ARTICLES = articles_of([40, 23, 61, 30, 50])
DRAWN = dataclasses.replace(
    CONFIG, article_order="shuffled", window_lengths="mixture", epochs=5, seq_length=8, print_every=4
)

# Its lr is too high, so that there are plateaus; they end it.
EVERYTHING = {
    "reset_at_article": True,
    "lr_by_length": True,
    "schedule": "plateau",
    "validate": "epochs",
    "validation_batch_size": 2,
    "lr": 0.3,
}


def begin_drawn(folder: RunFolder, **changes: object) -> Trainer:
    """A run whose epochs are all different."""
    return start(DRAWN.with_overrides(changes), ARTICLES, folder)


def fresh_model(trainer: Trainer) -> LanguageModel:
    """Of the trainer's config, with parameters yet to load."""
    config, build = trainer.config, load_backend(trainer.config.backend)
    return build(trainer.model.config, optimizer=config.update, device=config.device, precision=config.precision)


class Spy:
    """A LanguageModel that keeps what its train_step and evaluate were given and what came back."""

    def __init__(self, model: LanguageModel):
        self._model = model
        self.steps: list[dict] = []
        self.evaluations: list[dict] = []

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    def train_step(self, window, state: State, draws: Draws, settings) -> StepResult:
        call = {"window": window, "draws": draws, "settings": settings, "state": copied(self._model, state)}
        call |= {"parameters": self._model.parameters(), "optimizer": self._model.optimizer_state()}
        result = self._model.train_step(window, state, draws, settings)
        call |= {"result": result, "next_state": copied(self._model, result.state)}
        call |= {"loss": float(result.loss), "norm": float(result.gradient_norm)}
        self.steps.append(call | {"updated": self._model.parameters()})
        return result

    def evaluate(self, window, state: State):
        result = self._model.evaluate(window, state)
        self.evaluations.append(
            {
                "tokens": result.tokens,
                "state": copied(self._model, state),
                "next_state": copied(self._model, result.state),
            }
        )
        return result


def copied(model: LanguageModel, state: State) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in model.state_arrays(state).items()}


def spied(trainer: Trainer) -> Spy:
    spy = Spy(trainer.model)
    trainer.model = spy
    return spy


def same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and a[name].shape == b[name].shape and a[name].tobytes() == b[name].tobytes()
        for name in a
    )


def all_zero(arrays: dict[str, np.ndarray]) -> bool:
    return not any(array.any() for array in arrays.values())


def comparable(metrics: list[dict[str, float]]) -> list[dict[str, float]]:
    """Without the clocks, and without how many epochs were asked for at the time."""
    return [{name: record[name] for name in record if name not in CLOCKS | {"epochs"}} for record in metrics]


def without_clocks(progress: Progress) -> Progress:
    return dataclasses.replace(progress, seconds=0, interval_seconds=0, epoch_seconds=0)


def assert_same_end(a: RunFolder, b: RunFolder) -> None:
    """Every tensor of the last and of the best checkpoint, the counters, and the log."""
    for name in ("best.safetensors", a.steps()[-1].name):
        one, other = Checkpoint.load(a.checkpoints / name), Checkpoint.load(b.checkpoints / name)
        for group in ("model", "optimizer", "carry"):
            assert same_bits(getattr(one, group), getattr(other, group)), (name, group)
        assert without_clocks(one.progress) == without_clocks(other.progress)
    assert a.steps()[-1].name == b.steps()[-1].name
    assert comparable(a.read_metrics()) == comparable(b.read_metrics())

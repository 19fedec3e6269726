"""What is timed: frozen shapes, and the parameters and data that every contender of a case gets.

All contenders of a case start from the same parameters and read the same windows. Letters as in the kernels: T steps,
B rows, E embedding, H hidden, V symbols.
"""

import dataclasses
import json
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from lstm_ref.core.batching import Window, Windows
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.presets import preset
from lstm_ref.core.vocab import CharVocabulary

ADAM = OptimizerConfig()
NO_DROPOUT = {"dropout_embedding": 0, "dropout_input": 0, "dropout_between": 0, "dropout_output": 0, "weight_drop": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelCase:
    """precision: float64, float32 or bf16: the last has float32 parameters, and products of bf16 factors."""

    config: LanguageModelConfig
    precision: str = "float32"
    seed: int = 0

    @property
    def dtype(self) -> str:
        """Of the parameters."""
        return "float32" if self.precision == "bf16" else self.precision

    @property
    def shape(self) -> str:
        embedding = f" E={self.config.embedding_size}" if self.config.embedding_size else ""
        sizes = "x".join(map(str, self.config.hidden_sizes))
        return f"V={self.config.vocab_size}{embedding} H={sizes}{' tied' if self.config.tied else ''}"

    @property
    def of_words(self) -> bool:
        return self.config.embedding_size > 0

    def _rounded(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """float64 arrays of numbers that the case's dtype holds, so that rounding them costs no contender anything."""
        return {name: value.astype(self.dtype).astype(np.float64) for name, value in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCase(_ModelCase):
    """A whole training step: masks, forward, backward, clip, update; the state is carried from window to window."""

    batch_size: int
    seq_length: int
    optimizer: OptimizerConfig = ADAM
    lr: float = 0.001
    clip: float = 5.0

    unit = "step"

    @property
    def title(self) -> str:
        what = "word step" if self.of_words else "character step"
        return f"{what}, {self.shape} B={self.batch_size} T={self.seq_length} {self.precision}"

    @property
    def tokens(self) -> int:
        return self.batch_size * self.seq_length

    def without_dropout(self) -> Self:
        return replace(self, config=replace(self.config, **NO_DROPOUT))

    def parameters(self) -> dict[str, np.ndarray]:
        return self._rounded(initial_parameters(self.config, self.seed))

    def windows(self, count: int) -> list[Window]:
        ids = Draws(self.seed).uniform("benchmark/ids", (count * self.tokens + 1,)) * self.config.vocab_size
        windows = Windows(ids.astype(np.int64), self.batch_size, self.seq_length)
        return [windows[k] for k in range(count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCase(_ModelCase):
    """One stream of `length` characters after a prime of one: as many steps of the model as characters."""

    length: int
    top_k: int = 5
    weight_scale: float = 8.0  # times the initial weights, of which greedy text would be one character repeated

    unit = "character"

    @property
    def title(self) -> str:
        return f"sampling one stream, {self.shape} top-{self.top_k} {self.precision}"

    def parameters(self) -> dict[str, np.ndarray]:
        initial = initial_parameters(self.config, self.seed)
        return self._rounded({name: self.weight_scale * value for name, value in initial.items()})

    @property
    def vocabulary(self) -> CharVocabulary:
        return CharVocabulary(tuple(map(chr, range(ord(" "), ord(" ") + self.config.vocab_size))))


@dataclass(frozen=True, slots=True)
class StartCase:
    """A new process from nothing to its end: see benchmarks/start.py."""

    unit = "process"
    title = "start of a process"


Case = StepCase | SampleCase | StartCase


def characters(vocab_size: int, *hidden_sizes: int) -> LanguageModelConfig:
    """A character model with dropout 0.5 on the output of every layer, as the original notebook has it."""
    return LanguageModelConfig(vocab_size=vocab_size, hidden_sizes=hidden_sizes)


def _of_preset(name: str, vocab_size: int, batch_size: int, optimizer: OptimizerConfig) -> StepCase:
    """A step of a word preset, of its longest usual window."""
    run = preset(name)
    shape = {"batch_size": batch_size, "seq_length": run.seq_length}
    return StepCase(config=run.language_model(vocab_size), optimizer=optimizer, lr=run.lr, clip=run.clip, **shape)


WIKITEXT_2 = 33_278  # words
CHARACTERS = characters(83, 512, 512)  # of Anna Karenina
CHARACTER_STEP = StepCase(config=CHARACTERS, batch_size=128, seq_length=100)
CHARACTER_SAMPLE = SampleCase(config=CHARACTERS, length=200)
# nt-asgd is plain sgd until it averages, which it does at the end of a run only.
AWD_SGD = OptimizerConfig(optimizer="sgd", weight_decay=preset("awd-wikitext2").weight_decay)
AWD_STEP = _of_preset("awd-wikitext2", WIKITEXT_2, 20, AWD_SGD)
WORD_SEED_STEP = _of_preset("word-seed", WIKITEXT_2, 20, preset("word-seed").update)

CASES: dict[str, Case] = {
    "character-step": CHARACTER_STEP,
    "character-step-bf16": replace(CHARACTER_STEP, precision="bf16"),
    "character-sample": CHARACTER_SAMPLE,
    "word-seed-step": WORD_SEED_STEP,
    "awd-step": AWD_STEP,
    "small-step": StepCase(config=characters(83, 128), batch_size=32, seq_length=50),  # the preset tiny's
    "batch-1-step": replace(CHARACTER_STEP, batch_size=1),
    "start": StartCase(),
}

_KINDS = {kind.__name__: kind for kind in (StepCase, SampleCase, StartCase)}
_CONFIGS = {"config": LanguageModelConfig, "optimizer": OptimizerConfig}


def case_to_json(case: Case) -> str:
    return json.dumps({"kind": type(case).__name__, **dataclasses.asdict(case)})


def case_from_json(text: str) -> Case:
    fields = json.loads(text)
    kind = _KINDS[fields.pop("kind")]
    return kind(**fields | {name: made(**fields[name]) for name, made in _CONFIGS.items() if name in fields})

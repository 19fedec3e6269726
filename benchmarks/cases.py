"""What is timed: frozen shapes, and the parameters and data that every contender of a case gets.

All contenders of a case start from the same parameters and read the same windows. Letters as in the kernels: T steps,
B rows, H hidden, V symbols.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np

from lstm_ref.core.batching import Window, Windows
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.vocab import CharVocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelCase:
    vocab_size: int
    hidden_sizes: tuple[int, ...]
    dropout: float = 0.5  # on the output of every layer, as the original notebook has it
    dtype: str = "float32"
    seed: int = 0

    @property
    def config(self) -> LanguageModelConfig:
        return LanguageModelConfig(
            vocab_size=self.vocab_size,
            hidden_sizes=self.hidden_sizes,
            dropout_between=self.dropout,
            dropout_output=self.dropout,
        )

    def _rounded(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """float64 arrays of numbers that the case's dtype holds, so that rounding them costs no contender anything."""
        return {name: value.astype(self.dtype).astype(np.float64) for name, value in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCase(_ModelCase):
    """A whole training step: masks, forward, backward, clip, Adam; the state is carried from window to window."""

    batch_size: int
    seq_length: int
    lr: float = 0.001
    clip: float = 5.0

    unit = "step"

    @property
    def title(self) -> str:
        sizes = "x".join(map(str, self.hidden_sizes))
        shape = f"V={self.vocab_size} H={sizes} B={self.batch_size} T={self.seq_length}"
        return f"character step, {shape} {self.dtype}"

    def parameters(self) -> dict[str, np.ndarray]:
        return self._rounded(initial_parameters(self.config, self.seed))

    def windows(self, count: int) -> list[Window]:
        n = count * self.batch_size * self.seq_length + 1
        ids = (Draws(self.seed).uniform("benchmark/ids", (n,)) * self.vocab_size).astype(np.int64)
        windows = Windows(ids, self.batch_size, self.seq_length)
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
        sizes = "x".join(map(str, self.hidden_sizes))
        return f"sampling one stream, V={self.vocab_size} H={sizes} top-{self.top_k} {self.dtype}"

    def parameters(self) -> dict[str, np.ndarray]:
        initial = initial_parameters(self.config, self.seed)
        return self._rounded({name: self.weight_scale * value for name, value in initial.items()})

    @property
    def vocabulary(self) -> CharVocabulary:
        return CharVocabulary(tuple(map(chr, range(ord(" "), ord(" ") + self.vocab_size))))


CHARACTER_STEP = StepCase(vocab_size=83, hidden_sizes=(512, 512), batch_size=128, seq_length=100)
CHARACTER_SAMPLE = SampleCase(vocab_size=83, hidden_sizes=(512, 512), length=200)

CASES: dict[str, StepCase | SampleCase] = {"character-step": CHARACTER_STEP, "character-sample": CHARACTER_SAMPLE}


def case_to_json(case: StepCase | SampleCase) -> str:
    return json.dumps({"kind": type(case).__name__, **asdict(case)})


def case_from_json(text: str) -> StepCase | SampleCase:
    fields = json.loads(text)
    kind = {"StepCase": StepCase, "SampleCase": SampleCase}[fields.pop("kind")]
    return kind(**fields | {"hidden_sizes": tuple(fields["hidden_sizes"])})

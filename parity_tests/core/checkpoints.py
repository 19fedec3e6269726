"""A checkpoint in which everything is nonzero, for the tests of its file."""

from pathlib import Path

import numpy as np
import pytest

from lstm_ref.core.checkpoint import Checkpoint, Progress
from lstm_ref.core.config import RunConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import CheckpointError
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.vocab import Vocabulary

CONFIG = RunConfig(embedding_size=5, hidden_sizes=(4, 3), batch_size=2, seq_length=6, dropout_input=0.2)
VOCABULARY = Vocabulary.build("a\u00e9\u4e16 \n\u2028z")
SMALLEST = RunConfig(hidden_sizes=(2,), batch_size=1)


def make(config: RunConfig = CONFIG, vocabulary: Vocabulary = VOCABULARY, dtype: str = "float32") -> Checkpoint:
    """In the middle of a run: everything is nonzero."""
    model = {
        name: value.astype(dtype)
        for name, value in initial_parameters(config.language_model(len(vocabulary)), 3).items()
    }
    draws = Draws(5, 9)
    moments = {
        f"{prefix}.{name}": draws.uniform(f"{prefix}/{name}", value.shape).astype(dtype)
        for prefix in ("exp_avg", "exp_avg_sq")
        for name, value in model.items()
    }
    carry = {
        f"{part}_l{layer}": draws.uniform(f"{part}/{layer}", (config.batch_size, H)).astype(dtype)
        for part in "hc"
        for layer, H in enumerate(config.hidden_sizes)
    }
    return Checkpoint(
        config,
        vocabulary,
        corpus_sha256="5e" * 32,
        progress=Progress(
            step=139, evaluated_step=130, loss=2.75, loss_sum=5.5, loss_count=2, best_loss=2.5, best_step=9
        ),
        model=model,
        optimizer={"step": np.array(139, np.int64)} | moments,
        carry=carry,
        versions={"python": "3.11", "numpy": "2.1"},
    )


def refusal(path: Path) -> str:
    """The one line that loading ends in."""
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def assert_same_bits(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert (actual[name].dtype, actual[name].shape) == (value.dtype, value.shape), name
        assert actual[name].tobytes() == value.tobytes(), name

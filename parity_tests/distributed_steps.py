"""What test_distributed asks of a model, alone or shared by processes: the same calls, and every number that comes out.

As a program it is one of the processes, started with torchrun's variables: it writes its numbers to the file named.
"""

import sys
from collections.abc import Iterator

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.group import join
from lstm_ref.core.language_model import Build, LanguageModel, SamplingPolicy, StepSettings
from lstm_ref.core.params import initial_parameters

WORDS = LanguageModelConfig(
    vocab_size=13,
    embedding_size=6,
    hidden_sizes=(9, 6),
    tied=True,
    dropout_embedding=0.2,
    dropout_input=0.3,
    dropout_between=0.25,
    dropout_output=0.4,
    dropout_locked=True,
    weight_drop=0.5,
    ar_alpha=2.0,
    tar_beta=1.5,
)
CHARACTERS = LanguageModelConfig(vocab_size=11, hidden_sizes=(8, 5), dropout_between=0.5, dropout_output=0.3)
ADAMW = OptimizerConfig(optimizer="adamw", weight_decay=0.1, eps=1e-5)
CASES = {
    "words, float64": (WORDS, ADAMW, "float64"),
    "words, float32": (WORDS, ADAMW, "float32"),
    "characters, float64": (CHARACTERS, OptimizerConfig(optimizer="nt-asgd"), "float64"),
}
STEPS, B, SETTINGS = 8, 6, StepSettings(lr=0.02, clip=0.25)
LENGTHS = (5, 3, 7)  # of windows, in turn


def windows(vocab_size: int, rows: int, count: int) -> Iterator[Window]:
    for step in range(count):
        shape = (LENGTHS[step % 3], rows)
        inputs, targets = ((Draws(7, step).uniform(name, shape) * vocab_size).astype(np.int64) for name in ("x", "y"))
        yield Window(inputs, targets)


def numbers(build: Build) -> dict[str, np.ndarray]:
    """`case/what` -> values, of every case."""
    return {
        f"{case}/{what}": np.asarray(value)
        for case, (config, optimizer, precision) in CASES.items()
        for what, value in _of_one(build(config, optimizer=optimizer, device="cpu", precision=precision), optimizer)
    }


def _of_one(model: LanguageModel, optimizer: OptimizerConfig) -> Iterator[tuple[str, object]]:
    config = model.config
    model.load_parameters(initial_parameters(config, 3))
    state = model.zero_state(B)
    for step, window in enumerate(windows(config.vocab_size, B, STEPS)):
        if step == STEPS // 2:
            if optimizer.optimizer == "nt-asgd":
                model.start_averaging()
            carried = model.state_arrays(state)  # as where an article ended in rows 1 and 4
            carried = {name: np.where(np.isin(np.arange(B), [1, 4])[:, None], 0, h) for name, h in carried.items()}
            state = model.state_from_arrays(carried)
        result = model.train_step(window, state, Draws(5, step), SETTINGS)
        state = result.state
        yield f"loss {step}", float(result.loss)
        yield f"norm {step}", float(result.gradient_norm)
    yield from model.state_arrays(state).items()
    result = model.loss_and_gradients(window, state, Draws(5, STEPS))
    yield from {"loss": result.loss, "penalty": result.penalty}.items()
    yield from ((f"gradient {name}", gradient) for name, gradient in result.gradients.items())
    model.exchange_average()
    yield from model.parameters().items()
    yield from ((f"optimizer {name}", value) for name, value in model.optimizer_state().items())
    for rows in (B, 5, 1):  # what two or three processes can share equally, what not, and what not all have a row of
        state = model.zero_state(rows)
        for k, window in enumerate(windows(config.vocab_size, rows, 2)):
            evaluation = model.evaluate(window, state)
            state = evaluation.state
            yield f"evaluation {rows}, {k}", (evaluation.total, evaluation.tokens)
        logits, state = model.logits(window.inputs, state)
        yield f"logits {rows}", logits
        yield from ((f"{name} {rows}", array) for name, array in model.state_arrays(state).items())
    yield "sample", list(model.sample([1, 2], 10, SamplingPolicy(), Draws(2)))


if __name__ == "__main__":
    np.savez(sys.argv[1], **numbers(join("torch", "cpu").build))

"""A training step of NumpyLM allocates nothing of the size of its activations: exact, whatever else the machine does.

NumPy reports every array to tracemalloc. What a step may make anew are its masks, the state that it returns, and small
change; its activations, logits and gradients stand where they stood. (What kernels allocate inside, a row, is Numba's
and not seen.)
"""

import gc
import itertools
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.cases import AWD_STEP, StepCase, characters
from benchmarks.contenders.twins import TwinTrainer
from lstm_ref.core.draws import Draws
from lstm_ref.core.masks import dropout_masks
from lstm_ref.network import Network

SMALL_CHANGE = 24 << 10  # bytes, at once: views, closures, dictionaries
CHARACTERS = StepCase(config=characters(50, 64, 64), batch_size=16, seq_length=24)
WORDS = replace(
    AWD_STEP,
    config=replace(AWD_STEP.config, vocab_size=500, embedding_size=64, hidden_sizes=(64, 64)),
    batch_size=16,
    seq_length=24,
)
CASES = [CHARACTERS, WORDS]


def allowed(case: StepCase) -> int:
    """Bytes: its masks, its next state, and small change."""
    masks = dropout_masks(case.config, Draws(0), case.seq_length, case.batch_size).values()
    state = sum(2 * 4 * case.batch_size * H for H in case.config.hidden_sizes)
    return sum(mask.nbytes for mask in masks) + state + SMALL_CHANGE


def smallest_activation(case: StepCase) -> int:
    """Bytes of what a layer puts out, float32 [T,B,H]."""
    return 4 * case.tokens * min(case.config.hidden_sizes)


def most_allocated(case: StepCase) -> int:
    """Bytes at once, in a step after the first two."""
    trainer, windows = TwinTrainer("numpy", case), itertools.cycle(case.windows(4))
    trainer.step(next(windows))
    trainer.step(next(windows))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        trainer.step(next(windows))
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_step_makes_its_masks_and_its_state_and_nothing_else(case: StepCase) -> None:
    assert smallest_activation(case) > SMALL_CHANGE
    assert most_allocated(case) <= allowed(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_one_copy_of_a_layers_output_is_caught(case: StepCase, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Network.forward

    def copying(self: Network, *arguments: Any, **named: Any) -> Any:
        x, state = forward(self, *arguments, **named)
        return x.copy(), state

    monkeypatch.setattr(Network, "forward", copying)
    assert most_allocated(case) > allowed(case)


def test_logits_that_are_made_anew_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = Network.backward

    def wasteful(self: Network, *arguments: Any, **named: Any) -> Any:
        np.empty((WORDS.tokens, WORDS.config.vocab_size), np.float32)
        return backward(self, *arguments, **named)

    monkeypatch.setattr(Network, "backward", wasteful)
    assert most_allocated(WORDS) > allowed(WORDS)

"""Checkpoints of nt-asgd: what is model and what is average in them, and what a run goes on from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstm_ref.core.checkpoint import Checkpoint, Progress
from lstm_ref.core.config import RunConfig
from parity_tests.core.checkpoints import assert_same_bits, make, refusal

AVERAGED = Progress(step=139, evaluated_step=130, averaging=True, validations=(5.5, 4.25, 4.5))


def averaged(progress: Progress) -> Checkpoint:
    """Whose average is twice the model."""
    adam = make()
    average = {f"average.{name}": 2 * value for name, value in adam.model.items()}
    counts = {"step": np.array(139), "averaged": np.array(40)}
    config = adam.config.with_overrides({"optimizer": "nt-asgd"})
    return replace(adam, config=config, progress=progress, optimizer=counts | average)


@pytest.mark.row("W60")
@pytest.mark.parametrize("exchanged", [False, True])
def test_parameters_and_average_come_back_each_in_its_place(tmp_path: Path, exchanged):
    path = tmp_path / "a.safetensors"
    saved = averaged(replace(AVERAGED, exchanged=exchanged))
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert loaded.progress == saved.progress
    parameters, optimizer = loaded.training_state()
    assert_same_bits(loaded.model, saved.model)
    for name, value in saved.model.items():
        expected = (2 * value, value) if exchanged else (value, 2 * value)
        np.testing.assert_array_equal(parameters[name], expected[0], strict=True)
        np.testing.assert_array_equal(optimizer[f"average.{name}"], expected[1], strict=True)
    assert (int(optimizer["step"]), int(optimizer["averaged"])) == (139, 40)
    assert optimizer.keys() == saved.optimizer.keys()


@pytest.mark.parametrize(
    ("optimizer", "changes"),
    [
        ("adam", {"averaging": True}),
        ("adam", {"averaging": True, "exchanged": True}),
        ("adam", {"exchanged": True}),
        ("sgd", {"averaging": True}),
        ("nt-asgd", {"exchanged": True}),
    ],
)
def test_a_progress_with_an_average_that_the_optimizer_has_not_is_refused(tmp_path: Path, optimizer, changes):
    path = tmp_path / "a.safetensors"
    checkpoint = averaged(Progress()) if optimizer == "nt-asgd" else make()
    if optimizer == "sgd":
        config = checkpoint.config.with_overrides({"optimizer": "sgd"})
        checkpoint = replace(checkpoint, config=config, optimizer={"step": np.array(139)})
    replace(checkpoint, progress=replace(Progress(), **changes)).save(path)
    assert "does not fit itself: its progress has an average" in refusal(path)


def test_adam_has_no_average_to_give():
    checkpoint = make(RunConfig(hidden_sizes=(3,), batch_size=1))
    assert checkpoint.training_state() == (checkpoint.model, checkpoint.optimizer)

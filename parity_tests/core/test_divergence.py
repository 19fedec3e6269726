"""A loss that is not finite ends the run, names its step, and spoils nothing."""

import dataclasses
import math

import pytest

from lstm_ref.core.errors import DivergedError
from lstm_ref.core.language_model import StepResult
from lstm_ref.core.trainer import Observer, Trainer
from parity_tests.core.small_run import begin, both_twins, same_bits


def poisoned_at(trainer: Trainer, step: int, loss: float, norm: float) -> None:
    """The model then reports `loss` and `norm` for that step, as a diverging one does."""
    model, train_step = trainer.model, trainer.model.train_step

    def poisoned(window, state, draws, settings):
        result = train_step(window, state, draws, settings)
        return StepResult(loss, norm, result.state) if draws.step == step - 1 else result

    model.train_step = poisoned


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (2.0, math.inf), (math.inf, math.nan)])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_loss_or_norm_that_is_not_finite_ends_the_run_and_names_its_step(folder, loss, norm, device):
    """On a device the losses are looked at some steps later: the step that broke is named all the same."""
    trainer = begin(folder)
    trainer.config = trainer.config.with_overrides({"device": device})
    poisoned_at(trainer, 7, loss, norm)
    with pytest.raises(DivergedError, match=r"at step 7\b.*lower lr: --resume .* --set lr=0.005"):
        trainer.fit()
    assert folder.latest().progress.step == 5
    assert [record["step"] for record in folder.read_metrics()] == [4]


def test_a_validation_loss_that_is_not_finite_ends_the_run_and_is_never_the_best(folder):
    trainer = begin(folder)
    evaluate = trainer.model.evaluate

    def evaluated(window, state):
        result = evaluate(window, state)
        return dataclasses.replace(result, total=math.nan) if trainer.progress.step == 4 else result

    trainer.model.evaluate = evaluated
    with pytest.raises(DivergedError, match=r"validation.*\bstep 4\b"):
        trainer.fit()
    assert not (folder.checkpoints / "best.safetensors").exists()


@both_twins
def test_a_step_that_is_not_finite_updates_nothing(folder, backend):
    trainer = begin(folder, backend=backend)
    broken = trainer.model.parameters()
    broken["decoder.bias"][6] = math.inf

    def break_at_six(progress):
        if progress.step == 6:
            trainer.model.load_parameters(broken)

    trainer.observer = Observer(on_step=break_at_six)
    with pytest.raises(DivergedError, match=r"at step 7\b"):
        trainer.fit()
    assert same_bits(trainer.model.parameters(), broken)
    assert int(trainer.model.optimizer_state()["step"]) == 6

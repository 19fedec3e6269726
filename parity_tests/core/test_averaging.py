"""nt-asgd in a run: when averaging begins, that the average is what is judged and kept as the best, that training goes
on from the parameters all the same, and that neither is lost where a run stops."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.errors import InterruptedRunError
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.schedule import averaging_begins
from lstm_ref.core.trainer import Observer, Trainer, resume
from parity_tests.core.small_run import ARTICLES, assert_same_end, begin_drawn, both_twins, same_bits, spied

# With this lr the losses go up and down: averaging begins after the third or fourth epoch of eight.
AVERAGED = {"optimizer": "nt-asgd", "nonmonotone": 1, "validate": "epochs", "lr": 8.0, "clip": 0.25, "epochs": 8}


def begin(folder: RunFolder, **changes: object) -> Trainer:
    return begin_drawn(folder, **AVERAGED | changes)


def validations(folder: RunFolder) -> dict[int, float]:
    """Step -> loss."""
    return {r["step"]: r["val_loss"] for r in folder.read_metrics() if r["val_loss"] is not None}


def first_averaged_step(folder: RunFolder, n: int) -> int:
    """By the criterion, from the logged losses."""
    losses = validations(folder)
    steps, values = list(losses), list(losses.values())
    return next(steps[t] for t in range(len(values)) if averaging_begins(values[: t + 1], n))


@both_twins
@pytest.mark.row("W60")
@pytest.mark.parametrize("n", [1, 2])
def test_averaging_begins_once_after_the_validation_that_the_criterion_names(folder, backend, n):
    trainer = begin(folder, backend=backend, nonmonotone=n)
    spy = spied(trainer)
    trainer.fit()
    begins = first_averaged_step(folder, n)
    assert 0 < begins < trainer.total_steps
    for step, call in enumerate(spy.steps):
        assert int(call["optimizer"]["averaged"]) == max(0, step - begins), step
    assert trainer.progress.averaging
    assert list(trainer.progress.validations) == [v for step, v in validations(folder).items() if step <= begins]


@pytest.mark.row("W60")
def test_nothing_is_averaged_while_every_validation_is_better(folder, monkeypatch):
    losses = iter(np.linspace(5, 4, 8).tolist())
    monkeypatch.setattr(Trainer, "evaluate", lambda self, ids: next(losses))
    trainer = begin(folder)
    trainer.fit()
    assert int(trainer.model.optimizer_state()["averaged"]) == 0
    assert not trainer.progress.averaging


@both_twins
@pytest.mark.row("W60")
def test_training_goes_on_from_the_parameters_and_validation_judges_the_average(folder, backend):
    trainer = begin(folder, backend=backend)
    spy = spied(trainer)
    judged: list[tuple[int, dict[str, np.ndarray]]] = []
    evaluate = trainer.model.evaluate
    spy.evaluate = lambda window, state: (
        judged.append((trainer.progress.step, trainer.model.parameters())) or evaluate(window, state)
    )
    trainer.fit()
    for before, after in zip(spy.steps, spy.steps[1:], strict=False):
        assert same_bits(before["updated"], after["parameters"])
    begins = first_averaged_step(folder, 1)
    averaged = 0
    for step, parameters in judged:
        of_steps = [call["updated"] for call in spy.steps[begins:step]] or [spy.steps[step - 1]["updated"]]
        averaged += len(of_steps) > 1
        for name, value in parameters.items():
            # float64: a running mean of at most 50 values against their sum
            np.testing.assert_allclose(value, np.mean([p[name] for p in of_steps], axis=0), rtol=1e-12, atol=1e-14)
    assert averaged


@both_twins
@pytest.mark.row("W60", "W48")
def test_the_best_checkpoint_holds_the_average_and_the_last_one_the_parameters(folder, backend):
    trainer = begin(folder, backend=backend)
    spy = spied(trainer)
    trainer.fit()
    losses = validations(folder)
    best, last = Checkpoint.load(folder.checkpoints / "best.safetensors"), folder.latest()
    begins = first_averaged_step(folder, 1)
    assert min(losses, key=losses.__getitem__) == best.progress.step > begins  # or this would prove nothing
    assert same_bits(last.model, spy.steps[-1]["updated"])
    assert not last.progress.exchanged
    mean = {
        name: np.mean([call["updated"][name] for call in spy.steps[begins : best.progress.step]], axis=0)
        for name in best.model
    }
    for name, value in best.model.items():
        np.testing.assert_allclose(value, mean[name], rtol=1e-12, atol=1e-14)
        parameters = spy.steps[best.progress.step - 1]["updated"]
        assert best.optimizer[f"average.{name}"].tobytes() == parameters[name].tobytes()
    trainer.model.load_parameters(best.model)
    trainer.progress.averaging = False
    assert trainer.evaluate(trainer.validation_ids) == best.progress.best_loss


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run of each twin that nothing stopped."""
    paths = {backend: tmp_path_factory.mktemp(backend) / "run" for backend in ("numpy", "torch")}
    for backend, path in paths.items():
        with RunFolder(path) as folder:
            begin(folder, backend=backend).fit()
    return paths


@both_twins
@pytest.mark.row("W60", "W50")
@settings(max_examples=12)  # two runs and a dozen flushed files each
@given(poll=st.integers(0, 90))  # it asks some hundred times
def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(references, backend, poll):
    """Also inside an evaluation, while average and parameters have changed places; and right after averaging began."""
    with tempfile.TemporaryDirectory() as path, RunFolder(Path(path) / "run") as folder:
        trainer, polls = begin(folder, backend=backend), iter(range(10**6))
        trainer.observer = Observer(stop=lambda: 15 * (next(polls) >= poll))
        with pytest.raises(InterruptedRunError):
            trainer.fit()
        assert not trainer.progress.exchanged
        resume(folder.latest(), ARTICLES, folder).fit()
        with RunFolder(references[backend], resume=True) as expected:
            assert_same_end(expected, folder)


@both_twins
@pytest.mark.row("W60")
def test_a_run_stopped_right_after_averaging_began_goes_on_averaging(references, backend, tmp_path):
    with RunFolder(references[backend], resume=True) as expected:
        begins = first_averaged_step(expected, 1)
        with RunFolder(tmp_path / "run") as folder:
            trainer = begin(folder, backend=backend)
            trainer.observer = Observer(
                stop=lambda: 15 * (trainer.progress.step == trainer.progress.evaluated_step == begins)
            )
            with pytest.raises(InterruptedRunError):
                trainer.fit()
            saved = folder.latest()
            assert saved.progress.averaging
            assert int(saved.optimizer["averaged"]) == 0
            resume(saved, ARTICLES, folder).fit()
            assert_same_end(expected, folder)


@both_twins
@pytest.mark.row("W60", "W44")
def test_a_branch_from_the_best_checkpoint_goes_on_as_the_run_itself_did(references, backend, tmp_path):
    """Though that one holds the average in the parameters' place."""
    best = Checkpoint.load(references[backend] / "checkpoints" / "best.safetensors")
    assert best.progress.exchanged
    with RunFolder(references[backend], resume=True) as expected, RunFolder(tmp_path / "branch") as branch:
        resume(best, ARTICLES, branch).fit()
        one, other = expected.latest(), branch.latest()
        assert same_bits(one.model, other.model)
        assert same_bits(one.optimizer, other.optimizer)
        assert not other.progress.exchanged
    assert best.progress.exchanged  # and the checkpoint is as it was

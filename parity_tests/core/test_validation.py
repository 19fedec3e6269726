"""Validation inside a run, for both twins: it leaves no trace, takes no dropout, starts from the zero state, counts
every token once, and decides which checkpoint is the best."""

import numpy as np
import pytest
import torch

from lstm_ref.core.batching import Windows
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.errors import DataError
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Observer, Trainer, model_of, start
from parity_tests.core.small_run import CONFIG, STEPS, all_zero, begin, both_twins, corpus_of, same_bits, spied


def window_losses(trainer: Trainer, ids: np.ndarray) -> list[float]:
    """Of every full window from the zero state, without dropout, by the parity path."""
    config, losses = trainer.config, []
    windows = Windows(ids, config.batch_size, config.seq_length, config.last_target)
    state = trainer.model.zero_state(config.batch_size)
    for k in range(len(windows)):
        result = trainer.model.loss_and_gradients(windows[k], state, None)
        losses.append(result.loss)
        state = result.state
    return losses


@both_twins
@pytest.mark.row("C28", "C36", "BC14")
def test_validation_leaves_no_trace_in_the_run(tmp_path, backend):
    """Parameters, moments, carry and dropout after it are those of a run that never validated."""
    ends = []
    for name, print_every in (("often", 1), ("never", 1000)):
        with RunFolder(tmp_path / name) as folder:
            trainer = begin(folder, backend=backend, print_every=print_every)
            trainer.fit()
            ends.append((trainer.model.parameters(), trainer.model.optimizer_state(), trainer.checkpoint().carry))
    for often, never in zip(*ends):
        assert same_bits(often, never)


@both_twins
@pytest.mark.row("C28", "W36")
def test_two_validations_of_one_model_are_equal_and_take_no_dropout(folder, backend):
    trainer = begin(folder, backend=backend)
    trainer.fit()
    once = trainer.evaluate(trainer.validation_ids)
    assert once == trainer.evaluate(trainer.validation_ids)
    trainer.model = model_of(trainer.checkpoint(), dropout_between=0.0, dropout_output=0.0)
    assert once == trainer.evaluate(trainer.validation_ids)


@pytest.mark.row("BC14", "BW27")
def test_validation_builds_no_autograd_graph_and_training_does(folder):
    trainer = begin(folder, backend="torch")
    modes: list[bool] = []
    trainer.model.network.register_forward_pre_hook(lambda *_: modes.append(torch.is_grad_enabled()))
    trainer.evaluate(trainer.validation_ids)
    assert modes
    assert not any(modes)
    modes.clear()
    trainer.config = trainer.config.with_overrides({"print_every": 1000})
    trainer.fit()
    assert modes == [True] * STEPS


@both_twins
@pytest.mark.parametrize("last_target", ["next", "wrap"])
@pytest.mark.row("C36", "BC16")
def test_the_logged_validation_loss_of_full_windows_is_the_mean_of_their_losses(folder, backend, last_target):
    trainer = begin(folder, backend=backend, evaluation="windows", last_target=last_target)
    pairs: list[tuple[float, list[float]]] = []
    trainer.observer = Observer(
        on_log=lambda record: pairs.append((record.val_loss, window_losses(trainer, trainer.validation_ids)))
    )
    trainer.fit()
    assert len(pairs) == STEPS // CONFIG.print_every
    for logged, losses in pairs:
        assert len(losses) == 3
        # float64: 36 terms summed at once or window by window
        assert logged == pytest.approx(sum(losses) / len(losses), rel=1e-13)


@both_twins
@pytest.mark.row("C36")
def test_every_validation_starts_from_the_zero_state_and_carries_it_on(folder, backend):
    trainer = begin(folder, backend=backend, evaluation="windows")
    spy = spied(trainer)
    trainer.fit()
    assert len(spy.evaluations) == 3 * (STEPS // CONFIG.print_every)
    for k, call in enumerate(spy.evaluations):
        if k % 3 == 0:
            assert all_zero(call["state"])
        else:
            assert same_bits(call["state"], spy.evaluations[k - 1]["next_state"])
            assert not all_zero(call["state"])


@pytest.mark.parametrize(("evaluation", "tokens"), [("windows", 36), ("full", 44)])
@pytest.mark.row("BC15")
def test_full_evaluation_scores_every_token_but_the_first_and_windows_what_fills_one(folder, evaluation, tokens):
    trainer = begin(folder, evaluation=evaluation)
    spy = spied(trainer)
    trainer.evaluate(trainer.validation_ids)
    assert sum(call["tokens"] for call in spy.evaluations) == tokens


@pytest.mark.parametrize(
    ("evaluation", "length", "fraction"), [("windows", 180, 0.06), ("full", 180, 0.004), ("windows", 13, 0.5)]
)
@pytest.mark.row("BC15")
def test_a_text_with_nothing_to_train_or_score_is_an_error_that_leaves_no_folder(
    tmp_path, evaluation, length, fraction
):
    config = CONFIG.with_overrides({"evaluation": evaluation, "validation_fraction": fraction})
    with pytest.raises(DataError, match=r"too short|nothing to score"), RunFolder(tmp_path / "run") as folder:
        start(config, corpus_of(length), folder)
    assert list(tmp_path.iterdir()) == []


@both_twins
@pytest.mark.row("C46", "BC19", "W48")
def test_the_best_checkpoint_is_of_the_lowest_validation_loss_and_the_last_is_another(folder, backend):
    trainer = begin(folder, backend=backend, epochs=12, lr=0.05, evaluation="full")
    trainer.fit()
    losses = {record["step"]: record["val_loss"] for record in folder.read_metrics()}
    lowest = min(losses, key=losses.__getitem__)
    assert lowest < max(losses)  # it did overfit: otherwise this would prove nothing
    best, last = Checkpoint.load(folder.checkpoints / "best.safetensors"), folder.latest()
    assert best.progress.step == best.progress.best_step == last.progress.best_step == lowest
    assert last.progress.step == trainer.total_steps
    trainer.model.load_parameters(best.model)
    assert trainer.evaluate(trainer.validation_ids) == losses[lowest] == best.progress.best_loss
    trainer.model.load_parameters(last.model)
    assert trainer.evaluate(trainer.validation_ids) > losses[lowest]


@both_twins
@pytest.mark.row("BC13")
def test_the_training_loss_to_compare_with_validation_has_no_dropout_and_as_many_tokens(folder, backend):
    trainer = begin(folder, backend=backend, evaluation="windows", last_target="wrap")
    trainer.fit()
    losses = window_losses(trainer, trainer.stream.ids[: len(trainer.validation_ids)])
    # float64: 36 terms summed at once or window by window
    assert trainer.train_loss() == pytest.approx(sum(losses) / len(losses), rel=1e-13)

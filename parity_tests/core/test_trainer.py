"""The training loop, for both twins: when the state is carried, what a step depends on, what is logged and which
checkpoints are kept."""

import dataclasses
import json
import math

import pytest

from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import RunConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.log_record import LogRecord
from lstm_ref.core.trainer import Observer, model_of, start
from parity_tests.core.small_run import (
    CONFIG,
    STEPS,
    WINDOWS,
    all_zero,
    begin,
    both_twins,
    corpus_of,
    fresh_model,
    same_bits,
    spied,
)


@pytest.mark.row("C31")
@pytest.mark.parametrize(("length", "fraction", "border"), [(180, 0.25, 135), (190, 0.1, 171), (333, 0.3, 233)])
def test_the_last_part_of_the_text_is_validation_and_the_rest_is_trained_on(folder, length, fraction, border):
    corpus = corpus_of(length)
    trainer = start(CONFIG.with_overrides({"validation_fraction": fraction}), corpus, folder)
    assert len(trainer.stream.ids) == border
    assert trainer.vocabulary.decode(trainer.stream.ids) == corpus.text[:border]
    assert trainer.vocabulary.decode(trainer.validation_ids) == corpus.text[border:]


@pytest.mark.row("C31")
def test_the_split_of_the_novel_is_the_seeds():
    assert RunConfig().split(1_985_223) == 1_786_700


@both_twins
@pytest.mark.row("C32")
def test_the_state_is_zero_where_an_epoch_starts_and_carried_inside_it(folder, backend):
    trainer = begin(folder, backend=backend)
    spy = spied(trainer)
    trainer.fit()
    assert len(spy.steps) == STEPS
    for step, call in enumerate(spy.steps):
        if step % WINDOWS == 0:
            assert all_zero(call["state"]), step
        else:
            assert same_bits(call["state"], spy.steps[step - 1]["next_state"]), step
            assert not all_zero(call["state"]), step


@both_twins
@pytest.mark.row("C33", "C34", "W33", "BW19")
def test_a_step_is_a_function_of_the_values_of_parameters_moments_state_and_window(folder, backend):
    """So no gradient is left over from the step before, and none reaches into the window before: a model that never
    saw either takes the same step."""
    trainer = begin(folder, backend=backend)
    spy = spied(trainer)
    trainer.fit()
    for step, call in enumerate(spy.steps):
        model = fresh_model(trainer)
        model.load_parameters(call["parameters"])
        model.load_optimizer_state(call["optimizer"])
        state = model.state_from_arrays(call["state"])
        result = model.train_step(call["window"], state, Draws(CONFIG.seed, step), call["settings"])
        assert (float(result.loss), float(result.gradient_norm)) == (call["loss"], call["norm"]), step
        assert same_bits(model.parameters(), call["updated"]), step


@both_twins
@pytest.mark.row("C28")
def test_training_takes_dropout_before_and_after_a_validation(folder, backend):
    trainer = begin(folder, backend=backend)
    spy = spied(trainer)
    trainer.fit()
    plain = model_of(trainer.checkpoint(), dropout_between=0, dropout_output=0)
    for call in spy.steps:
        plain.load_parameters(call["parameters"])
        without = plain.loss_and_gradients(call["window"], plain.state_from_arrays(call["state"]), None).loss
        assert without != call["loss"]


@pytest.mark.row("BC13", "C36")
def test_a_log_record_has_the_last_loss_the_mean_since_the_last_record_and_the_best_so_far(folder):
    trainer = begin(folder, epochs=5, lr=0.05)
    spy, seen = spied(trainer), []
    trainer.observer = Observer(on_log=seen.append)
    trainer.fit()
    records, every = folder.read_metrics(), CONFIG.print_every
    assert [record.to_dict() for record in seen] == records
    assert [record["step"] for record in records] == list(range(every, 5 * WINDOWS + 1, every))
    for k, record in enumerate(records):
        calls = spy.steps[k * every : (k + 1) * every]
        assert set(record) == {field.name for field in dataclasses.fields(LogRecord)}
        assert (record["loss"], record["gradient_norm"]) == (calls[-1]["loss"], calls[-1]["norm"])
        # float64: four terms, summed in the same order
        assert record["mean_loss"] == pytest.approx(sum(call["loss"] for call in calls) / every, rel=1e-15)
        assert record["best"] == all(record["val_loss"] < earlier["val_loss"] for earlier in records[:k])
        assert (record["epoch"], record["epochs"]) == (math.ceil(record["step"] / WINDOWS), 5)
        assert record["tokens_per_second"] > 0
    assert {record["best"] for record in records} == {True, False}
    seconds = [record["seconds"] for record in records]
    assert seconds == sorted(seconds)


def test_steps_are_reported_one_by_one(folder):
    trainer, seen = begin(folder), []
    trainer.observer = Observer(on_step=lambda progress: seen.append((progress.step, progress.loss)))
    spy = spied(trainer)
    trainer.fit()
    assert seen == [(step, call["loss"]) for step, call in enumerate(spy.steps, 1)]


@pytest.mark.parametrize(("keep", "kept"), [(100, [5, 10, 15, 20, 22]), (2, [20, 22]), (1, [22])])
def test_a_checkpoint_is_saved_every_so_often_and_at_the_end_and_the_last_few_are_kept(folder, keep, kept):
    trainer = begin(folder, keep_checkpoints=keep)
    trainer.fit()
    steps = [Checkpoint.load(path).progress.step for path in folder.steps()]
    assert [step for step in steps if step > 0] == kept
    assert Checkpoint.load(folder.checkpoints / "best.safetensors").progress.step == trainer.progress.best_step


@pytest.mark.row("BC21")
def test_training_itself_makes_the_checkpoint_of_the_last_epoch_with_the_config_it_was_made_by(folder):
    trainer = begin(folder, epochs=3)
    trainer.fit()
    last = folder.latest()
    assert (last.progress.step, last.config.epochs) == (3 * WINDOWS, 3)
    assert last.config == trainer.config
    assert last.config.to_dict() == json.loads((folder.path / "config.json").read_text())
    assert same_bits(last.model, trainer.model.parameters())

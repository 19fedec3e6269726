"""Runs whose epochs are drawn anew: windows of their own, validation where an epoch ends, learning rates by window and
by validation, and rows whose article ended."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest

from lstm_ref.core.articles import Articles
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.errors import DivergedError, InterruptedRunError
from lstm_ref.core.language_model import Evaluation
from lstm_ref.core.log_record import lines
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.schedule import one_cycle
from lstm_ref.core.stream import ArticleStream
from lstm_ref.core.trainer import Observer, Trainer, resume
from parity_tests.core.small_run import (
    ARTICLES,
    DRAWN,
    all_zero,
    begin_drawn,
    both_twins,
    fresh_model,
    same_bits,
    spied,
)

PLATEAU = {"schedule": "plateau", "validate": "epochs", "epochs": 6}


def places(trainer: Trainer) -> Iterator[tuple[int, int]]:
    """Epoch and window of every step."""
    for e in range(trainer.config.epochs):
        for k in range(trainer.stream.epoch_length(e)):
            yield e, k


def with_losses(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """What the next validations shall find."""
    left = iter(losses)
    monkeypatch.setattr(Trainer, "evaluate", lambda self, ids: next(left))


@both_twins
@pytest.mark.row("W17", "W21")
def test_steps_are_counted_through_epochs_of_unequal_length(folder, backend):
    trainer = begin_drawn(folder, backend=backend)
    spy = spied(trainer)
    trainer.fit()
    lengths = [trainer.stream.epoch_length(e) for e in range(trainer.config.epochs)]
    assert len(set(lengths)) > 1
    assert len(spy.steps) == trainer.total_steps == trainer.progress.step == sum(lengths)
    for step, (call, (e, k)) in enumerate(zip(spy.steps, places(trainer), strict=True)):
        assert trainer.epoch_of(step) == e
        assert call["draws"].step == step
        expected = trainer.stream.epoch(e)[k]
        np.testing.assert_array_equal(call["window"].inputs, expected.inputs)
        np.testing.assert_array_equal(call["window"].targets, expected.targets)
    assert trainer.progress.tokens == sum(call["window"].tokens for call in spy.steps)


@both_twins
@pytest.mark.row("BW25", "W33")
def test_the_state_of_a_row_whose_article_ended_is_zero_and_that_of_the_others_is_carried(folder, backend):
    trainer = begin_drawn(folder, backend=backend, reset_at_article=True)
    spy, seen = spied(trainer), set()
    trainer.fit()
    for step, (call, (_, k)) in enumerate(zip(spy.steps, places(trainer), strict=True)):
        if k == 0:
            assert all_zero(call["state"]), step
            continue
        for name, array in call["state"].items():
            carried = spy.steps[step - 1]["next_state"][name]
            for row, fresh in enumerate(call["window"].fresh):
                assert array[row].tobytes() == (np.zeros_like(carried[row]) if fresh else carried[row]).tobytes()
                seen.add(bool(fresh))
    assert seen == {True, False}


@pytest.mark.row("BW25")
def test_the_state_is_carried_across_articles_where_nothing_else_is_asked_for(folder):
    trainer = begin_drawn(folder)
    spy = spied(trainer)
    trainer.fit()
    for step, (call, (_, k)) in enumerate(zip(spy.steps, places(trainer), strict=True)):
        if k > 0:
            assert same_bits(call["state"], spy.steps[step - 1]["next_state"])


@both_twins
@pytest.mark.row("W60")
def test_the_lr_of_a_window_is_lr_times_its_share_of_seq_length(folder, backend):
    trainer = begin_drawn(folder, backend=backend, lr_by_length=True)
    spy = spied(trainer)
    trainer.fit()
    lengths = [len(call["window"].inputs) for call in spy.steps]
    assert len(set(lengths)) > 3
    for length, call in zip(lengths, spy.steps, strict=True):
        # one rounding of the quotient, one of the product
        assert call["settings"].lr == pytest.approx(DRAWN.lr * length / DRAWN.seq_length, rel=1e-15)


@pytest.mark.row("W60")
def test_windows_of_any_length_take_the_same_lr_unless_told_otherwise(folder):
    trainer = begin_drawn(folder)
    spy = spied(trainer)
    trainer.fit()
    assert {call["settings"].lr for call in spy.steps} == {DRAWN.lr}


@pytest.mark.row("W49", "BW11")
def test_the_lr_that_reaches_the_optimizer_is_a_quarter_after_a_validation_no_better_than_the_best(folder, monkeypatch):
    with_losses(monkeypatch, [5.0, 4.0, 4.0, 4.5, 3.0, 3.5])
    trainer = begin_drawn(folder, **PLATEAU)
    spy = spied(trainer)
    trainer.fit()
    factors = [1, 1, 1, 1 / 4, 1 / 16, 1 / 16]  # of each epoch: equal is no better, better keeps it
    rates = [call["settings"].lr for call in spy.steps]
    assert rates == [DRAWN.lr * factors[e] for e, _ in places(trainer)]
    assert [record["lr"] for record in folder.read_metrics() if record["val_loss"]] == [DRAWN.lr * f for f in factors]
    assert trainer.progress.plateaus == 3


@both_twins
@pytest.mark.row("W49", "BW11")
def test_an_update_after_a_plateau_is_a_quarter_as_large(folder, monkeypatch, backend):
    """The same step of the same model: Adam's update is proportional to its lr."""
    with_losses(monkeypatch, [4.0, 5.0, 3.0])
    trainer = begin_drawn(folder, backend=backend, schedule="plateau", validate="epochs", epochs=3)
    spy = spied(trainer)
    trainer.fit()
    call = next(call for call in spy.steps if call["settings"].lr == DRAWN.lr / 4)
    model = fresh_model(trainer)
    model.load_parameters(call["parameters"])
    model.load_optimizer_state(call["optimizer"])
    settings = dataclasses.replace(call["settings"], lr=DRAWN.lr)
    model.train_step(call["window"], model.state_from_arrays(call["state"]), call["draws"], settings)
    for name, at_full_lr in model.parameters().items():
        before = call["parameters"][name]
        # float64: the difference of numbers below 1
        np.testing.assert_allclose(4 * (call["updated"][name] - before), at_full_lr - before, rtol=0, atol=1e-14)


@pytest.mark.row("W44", "W49")
@pytest.mark.parametrize(
    ("changes", "lr"),
    [({}, DRAWN.lr / 4), ({"lr": DRAWN.lr}, DRAWN.lr / 4), ({"lr": 0.3}, 0.3), ({"schedule": "constant"}, DRAWN.lr)],
)
def test_a_run_that_goes_on_keeps_what_plateaus_left_of_lr_unless_it_is_given_a_new_one(
    folder, monkeypatch, changes, lr
):
    with_losses(monkeypatch, [4.0, 5.0, 3.0])
    begin_drawn(folder, **PLATEAU | {"epochs": 2}).fit()
    trainer = resume(folder.latest(), ARTICLES, folder, changes | {"epochs": 3})
    spy = spied(trainer)
    trainer.fit()
    assert {call["settings"].lr for call in spy.steps} == {lr}
    assert spy.steps


@pytest.mark.row("W44")
def test_a_stopped_run_goes_on_with_another_lr_and_all_else_as_it_was(folder):
    trainer = begin_drawn(folder)
    trainer.observer = Observer(stop=lambda: 2 if trainer.progress.step == 7 else 0)
    with pytest.raises(InterruptedRunError):
        trainer.fit()
    stopped = folder.latest()
    resumed = resume(stopped, ARTICLES, folder, {"lr": 0.001})
    spy = spied(resumed)
    resumed.fit()
    first = spy.steps[0]
    assert (first["settings"].lr, first["draws"].step) == (0.001, 7)
    assert same_bits(first["parameters"], stopped.model)
    assert same_bits(first["optimizer"], stopped.optimizer)
    assert same_bits(first["state"], stopped.carry)


@pytest.mark.row("BW11")
def test_one_cycle_reaches_every_step_of_all_epochs(folder):
    trainer = begin_drawn(folder, schedule="one-cycle")
    spy = spied(trainer)
    trainer.fit()
    steps = trainer.total_steps
    rates = [one_cycle(DRAWN.lr, step, steps) for step in range(steps)]
    assert [call["settings"].lr for call in spy.steps] == rates
    assert [record["lr"] for record in folder.read_metrics()] == rates[DRAWN.print_every - 1 :: DRAWN.print_every]


@pytest.mark.row("W47", "W36")
def test_validation_by_epochs_is_at_the_end_of_every_epoch_and_nowhere_else(folder):
    trainer, validated = begin_drawn(folder, validate="epochs", print_every=2, epochs=4), []
    spy = spied(trainer)
    trainer.observer = Observer(on_log=lambda r: validated.append(r.step) if r.val_loss is not None else None)
    trainer.fit()
    ends = np.cumsum([trainer.stream.epoch_length(e) for e in range(4)]).tolist()
    assert validated == ends
    assert trainer.total_steps == ends[-1]
    records = folder.read_metrics()
    assert [record["step"] for record in records] == sorted({*range(2, ends[-1] + 1, 2), *ends})
    assert [record["epoch"] for record in records if record["val_loss"] is not None] == [1, 2, 3, 4]
    assert all(record["best"] is False for record in records if record["val_loss"] is None)
    assert len(spy.evaluations) % 4 == 0


@pytest.mark.row("W51", "BW16")
def test_an_interval_is_of_the_windows_since_the_last_record_only(folder):
    trainer = begin_drawn(folder, validate="epochs", print_every=3, epochs=3)
    spy = spied(trainer)
    trainer.fit()
    before = 0
    for record in folder.read_metrics():
        calls, before = spy.steps[before : record["step"]], record["step"]
        # float64: a few terms, summed in the same order
        assert record["mean_loss"] == pytest.approx(sum(call["loss"] for call in calls) / len(calls), rel=1e-15)
        assert 0 < record["ms_per_step"] < 1000 * record["seconds"]


@pytest.mark.row("W51", "BW16")
def test_milliseconds_a_batch_are_of_the_interval_and_seconds_of_an_epoch_of_that_epoch(folder, monkeypatch):
    """On a clock that moves by 3 s with every look at it: a step takes two looks, a validation two."""
    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr("lstm_ref.core.trainer.time.perf_counter", lambda: float(next(clock)))
    trainer = begin_drawn(folder, validate="epochs", print_every=2, epochs=3)
    trainer.fit()
    lengths = [trainer.stream.epoch_length(e) for e in range(3)]
    records = folder.read_metrics()
    assert {record["ms_per_step"] for record in records} == {3000.0}
    ends = [record for record in records if record["val_loss"] is not None]
    assert [record["epoch_seconds"] for record in ends] == [3 * length + 3 for length in lengths]
    assert [record["seconds"] for record in ends] == [3 * steps for steps in np.cumsum(lengths)]


@pytest.mark.row("W47", "W51")
def test_what_a_run_by_epochs_prints_is_the_word_seeds_lines(folder):
    trainer, printed = begin_drawn(folder, validate="epochs", print_every=2, epochs=2), []
    trainer.observer = Observer(on_log=lambda record: printed.extend(lines(record, trainer.config)))
    trainer.fit()
    steps = trainer.total_steps
    kinds = [line[:3] for line in printed]
    assert kinds.count("---") == 4
    assert sum(line.startswith("| end of epoch") for line in printed) == 2
    assert sum(line.startswith("| epoch") for line in printed) == steps // 2


@both_twins
@pytest.mark.row("BW14", "W36")
def test_validation_reads_the_text_in_its_order_in_windows_all_alike_every_time(folder, backend):
    trainer = begin_drawn(folder, backend=backend, validate="epochs", reset_at_article=True)
    windows, evaluate = [], trainer.model.evaluate
    trainer.model.evaluate = lambda window, state: windows.append(window) or evaluate(window, state)
    trainer.fit()
    each = len(windows) // trainer.config.epochs
    by_epoch = [windows[i : i + each] for i in range(0, len(windows), each)]
    ids, T = trainer.validation_ids, DRAWN.seq_length
    R = (len(ids) - 1) // DRAWN.batch_size
    for passed in by_epoch:
        rows = [window for window in passed if window.inputs.shape[1] == DRAWN.batch_size]
        assert [len(window.inputs) for window in rows] == [T] * (R // T) + [R % T] * (R % T > 0)
        read = np.concatenate([window.inputs for window in rows]).T.reshape(-1)
        np.testing.assert_array_equal(read, ids[: len(read)])
        assert all(window.fresh is None for window in passed)


@pytest.mark.row("BW15")
def test_a_validation_loss_is_the_sum_over_all_tokens_divided_by_their_number(folder):
    """Every token of a window of T steps costs T nats: a mean of the windows' means would be another."""
    trainer = begin_drawn(folder)
    costs: list[tuple[int, int]] = []

    def evaluate(window, state):
        costs.append((len(window.inputs), window.tokens))
        return Evaluation(len(window.inputs) * window.tokens, window.tokens, state)

    trainer.model.evaluate = evaluate
    loss = trainer.evaluate(trainer.validation_ids)
    assert len({T for T, _ in costs}) > 1
    assert loss == sum(T * tokens for T, tokens in costs) / (len(trainer.validation_ids) - 1)
    assert loss != np.mean([T for T, _ in costs])


@pytest.mark.row("BW14")
@pytest.mark.parametrize(("validation_batch_size", "rows"), [(0, DRAWN.batch_size), (1, 1), (5, 5)])
def test_validation_has_as_many_rows_as_asked_for(folder, validation_batch_size, rows):
    trainer = begin_drawn(folder, validation_batch_size=validation_batch_size)
    spy = spied(trainer)
    trainer.evaluate(trainer.validation_ids)
    assert len(spy.evaluations[0]["state"]["h_l0"]) == rows
    assert sum(call["tokens"] for call in spy.evaluations) == len(trainer.validation_ids) - 1


@pytest.mark.row("W48", "BW23", "W50")
def test_an_interruption_after_the_best_validation_keeps_best_and_last_apart(folder, monkeypatch):
    with_losses(monkeypatch, [3.0, 4.0, 5.0])
    trainer = begin_drawn(folder, validate="epochs")
    ends = np.cumsum([trainer.stream.epoch_length(e) for e in range(3)]).tolist()
    trainer.observer = Observer(stop=lambda: 2 if trainer.progress.step == ends[1] + 1 else 0)
    spy = spied(trainer)
    with pytest.raises(InterruptedRunError, match=f"at step {ends[1] + 1} of {trainer.total_steps}, saved"):
        trainer.fit()
    best, last = Checkpoint.load(folder.checkpoints / "best.safetensors"), folder.latest()
    assert (best.progress.step, last.progress.step) == (ends[0], ends[1] + 1)
    assert same_bits(best.model, spy.steps[ends[0] - 1]["updated"])
    assert same_bits(last.model, spy.steps[ends[1]]["updated"])


@pytest.mark.row("BW24")
def test_a_first_validation_loss_of_zero_is_a_best_one(folder, monkeypatch):
    with_losses(monkeypatch, [0.0, 1.0, 0.5])
    trainer = begin_drawn(folder, validate="epochs", epochs=3)
    trainer.fit()
    validated = [record for record in folder.read_metrics() if record["val_loss"] is not None]
    assert [record["best"] for record in validated] == [True, False, False]
    assert (trainer.progress.best_loss, trainer.progress.best_step) == (0.0, trainer.stream.epoch_length(0))


def test_a_run_that_diverged_after_plateaus_is_sent_on_with_a_lower_lr_than_it_had(folder, monkeypatch):
    with_losses(monkeypatch, [4.0, 5.0])
    trainer = begin_drawn(folder, **PLATEAU)
    train_step = trainer.model.train_step

    def breaks(window, state, draws, settings):
        result = train_step(window, state, draws, settings)
        return type(result)(math.nan, 1.0, result.state) if trainer.progress.plateaus else result

    trainer.model.train_step = breaks
    with pytest.raises(DivergedError, match=f"--set lr={DRAWN.lr / 16:g}"):
        trainer.fit()


@pytest.mark.row("BW26")
def test_no_epoch_reads_a_file(tmp_path, monkeypatch):
    articles = Articles(np.arange(99), np.array([0, 40, 99]))
    stream = ArticleStream(articles, batch_size=2, seq_length=9, article_order="shuffled")

    def refuse(*_: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert len(list(stream.epoch(3))) == stream.epoch_length(3)


def test_memory_holds_one_epoch_at_a_time(tmp_path):
    with RunFolder(tmp_path / "run") as folder:
        trainer = begin_drawn(folder)
        made: list[int] = []
        epoch = ArticleStream.epoch
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ArticleStream, "epoch", lambda self, e: made.append(e) or epoch(self, e))
            trainer.fit()
    assert made == list(range(trainer.config.epochs))

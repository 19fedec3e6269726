"""A run that stopped, or was killed, anywhere goes on to the very bits of one that did not, in both twins; and what may
change on the way."""

import dataclasses
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref.core.corpora import Corpus
from lstm_ref.core.errors import CheckpointError, ConfigError, InterruptedRunError
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Observer, Trainer, resume
from parity_tests.core.small_run import (
    ARTICLES,
    CONFIG,
    CORPUS,
    EVERYTHING,
    STEPS,
    WINDOWS,
    assert_same_end,
    begin,
    begin_drawn,
    both_twins,
    corpus_of,
    spied,
)


@both_twins
@pytest.mark.row("BC21", "BC23")
def test_one_epoch_and_then_another_is_two_epochs(tmp_path, backend):
    with RunFolder(tmp_path / "whole") as whole, RunFolder(tmp_path / "parts") as parts:
        begin(whole, backend=backend, epochs=2).fit()
        begin(parts, backend=backend, epochs=1).fit()
        resumed = resume(parts.latest(), CORPUS, parts, {"epochs": 2})
        assert int(resumed.model.optimizer_state()["step"]) == WINDOWS
        resumed.fit()
        assert_same_end(whole, parts)


class Crash(Exception):
    """As SIGKILL: nothing is saved on the way out."""


def raise_crash() -> int:
    raise Crash


def after(polls: int, act: Callable[[], int]) -> Callable[[], int]:
    """An Observer.stop that does `act` from the given poll on."""
    count = 0

    def stop() -> int:
        nonlocal count
        count += 1
        return act() if count > polls else 0

    return stop


# The text of a run, and how it begins: with epochs all alike, or with all that is drawn or learned on the way.
CASES: dict[str, tuple[Corpus, Callable[[RunFolder], Trainer]]] = {}
for twin in ("numpy", "torch"):
    CASES[twin] = CORPUS, functools.partial(begin, backend=twin)
    CASES[f"{twin}, drawn"] = ARTICLES, functools.partial(begin_drawn, backend=twin, **EVERYTHING)


@dataclasses.dataclass(frozen=True)
class Reference:
    """A run that nothing stopped: its folder, how often it asked whether to stop, and how often before its first
    checkpoint was safe."""

    path: Path
    polls: int
    before: int


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reference]:
    return {case: reference_run(tmp_path_factory.mktemp("reference") / "run", case) for case in CASES}


def reference_run(path: Path, case: str) -> Reference:
    with RunFolder(path) as folder:
        trainer, steps_at_polls = CASES[case][1](folder), []

        def stop() -> int:
            steps_at_polls.append(trainer.progress.step)
            return 0

        trainer.observer = Observer(stop=stop)
        trainer.fit()
    assert (trainer.progress.plateaus > 0) == ("drawn" in case)
    return Reference(path, len(steps_at_polls), sum(step <= CONFIG.checkpoint_every for step in steps_at_polls))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.row("BC23", "C32", "W44", "W50", "BW30")
@settings(max_examples=10)  # two runs and a dozen flushed files each
@given(data=st.data())
def test_a_run_stopped_between_steps_or_inside_an_evaluation_goes_on_to_the_same_bits(references, case, data):
    reference, (corpus, begun) = references[case], CASES[case]
    poll = data.draw(st.integers(0, reference.polls - 1), label="poll")
    with tempfile.TemporaryDirectory() as path, RunFolder(Path(path) / "run") as folder:
        trainer = begun(folder)
        trainer.observer = Observer(stop=after(poll, lambda: 15))
        with pytest.raises(InterruptedRunError) as stopped:
            trainer.fit()
        assert stopped.value.exit_code == 143
        assert f"step {trainer.progress.step} of {trainer.total_steps}" in str(stopped.value)
        assert f"--resume {folder.path}" in str(stopped.value)
        saved = folder.latest()
        assert saved.progress.step == trainer.progress.step
        resume(saved, corpus, folder).fit()
        with RunFolder(reference.path, resume=True) as expected:
            assert_same_end(expected, folder)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.row("BC23", "BW30")
@settings(max_examples=10)  # two runs and a dozen flushed files each
@given(data=st.data())
def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint_to_the_same_bits(references, case, data):
    reference, (corpus, begun) = references[case], CASES[case]
    poll = data.draw(st.integers(reference.before, reference.polls - 1), label="poll")
    with tempfile.TemporaryDirectory() as path, RunFolder(Path(path) / "run") as folder:
        trainer = begun(folder)
        trainer.observer = Observer(stop=after(poll, raise_crash))
        with pytest.raises(Crash):
            trainer.fit()
        saved = folder.latest()
        assert 0 < saved.progress.step <= trainer.progress.step
        resume(saved, corpus, folder).fit()
        with RunFolder(reference.path, resume=True) as expected:
            assert_same_end(expected, folder)


def test_a_stop_inside_an_evaluation_is_saved_with_that_evaluation_still_to_do(folder):
    trainer = begin(folder)
    polls_before = 1 + 4 + 2  # one before each of the first four steps and after the last, two into the evaluation
    trainer.observer = Observer(stop=after(polls_before, lambda: 2))
    with pytest.raises(InterruptedRunError):
        trainer.fit()
    saved = folder.latest()
    assert (saved.progress.step, saved.progress.evaluated_step, saved.progress.best_loss) == (4, 0, None)
    assert folder.read_metrics() == []
    resume(saved, CORPUS, folder).fit()
    assert [record["step"] for record in folder.read_metrics()] == [4, 8, 12, 16, 20]


@both_twins
def test_a_stop_while_the_finished_model_is_evaluated_is_an_interruption_too(folder, backend):
    trainer = begin(folder, backend=backend)
    trainer.fit()
    trainer.observer = Observer(stop=lambda: 2)
    with pytest.raises(InterruptedRunError):
        trainer.train_loss()
    with pytest.raises(InterruptedRunError):
        trainer.evaluate(trainer.validation_ids)
    assert folder.latest().progress.step == STEPS


@pytest.mark.row("BC23")
def test_a_run_begun_by_one_twin_ends_in_the_other_as_in_the_first(tmp_path):
    with RunFolder(tmp_path / "one") as one, RunFolder(tmp_path / "two") as two:
        begin(one).fit()
        trainer = begin(two)
        trainer.observer = Observer(stop=after(30, lambda: 2))
        with pytest.raises(InterruptedRunError):
            trainer.fit()
        assert 0 < trainer.progress.step < STEPS
        resume(two.latest(), CORPUS, two, {"backend": "torch"}).fit()
        expected, arrived = one.latest(), two.latest()
        for name, value in expected.model.items():
            # float64: rounding differences of 1e-16 in the gradient, through some ten Adam steps of size lr
            np.testing.assert_allclose(arrived.model[name], value, rtol=0, atol=1e-11, err_msg=name)


def test_going_on_with_another_text_is_refused_and_changes_nothing(folder):
    begin(folder, epochs=1).fit()
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=r"not the one of the checkpoint.*SHA-256"):
        resume(folder.latest(), corpus_of(180, seed=4), folder, {"epochs": 2})
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_sizes", [7, 6]),
        ("embedding_size", 9),
        ("vocabulary", "byte"),
        ("vocabulary_order", "seen"),
        ("validation_fraction", 0.2),
        ("article_order", "shuffled"),
        ("dropout_locked", True),
        ("batch_size", 4),
        ("seq_length", 5),
        ("window_lengths", "mixture"),
        ("last_target", "wrap"),
        ("reset_at_article", True),
        ("optimizer", "sgd"),
        ("seed", 1),
    ],
)
def test_what_would_make_other_windows_masks_or_shapes_cannot_change_in_a_run_that_goes_on(folder, field, value):
    begin(folder, epochs=1).fit()
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=rf"^{field} cannot change.*free to change: .*\blr\b"):
        resume(folder.latest(), CORPUS, folder, {"epochs": 2, field: value})
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


@both_twins
@pytest.mark.row("BC23", "W44", "W35")
def test_a_new_lr_and_clip_reach_every_step_of_a_run_that_goes_on(folder, backend):
    begin(folder, backend=backend, epochs=1).fit()
    trainer = resume(folder.latest(), CORPUS, folder, {"epochs": 2, "lr": 0.003, "clip": 0.25})
    spy = spied(trainer)
    trainer.fit()
    assert [(call["settings"].lr, call["settings"].clip) for call in spy.steps] == [(0.003, 0.25)] * WINDOWS
    first = spy.steps[0]
    for name, moved in first["updated"].items():
        # after eleven steps Adam moves no parameter by more than a few lr; the old lr would allow 0.02
        assert np.abs(moved - first["parameters"][name]).max() < 4 * 0.003, name
    assert folder.latest().config.lr == 0.003

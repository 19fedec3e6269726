"""The training loop, for both twins: when the state is carried, what is evaluated, which checkpoints are kept, and that
a run which stopped, or was killed, anywhere goes on to the very bits of one that did not."""

import dataclasses
import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref.core.batching import Windows
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import CheckpointError, ConfigError, DataError, DivergedError, InterruptedRunError
from lstm_ref.core.language_model import LanguageModel, State, StepResult, load_backend
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import LogRecord, Observer, Trainer, diagnosis, model_of, resume, start

SYMBOLS = "abcdefghij "
both_twins = pytest.mark.parametrize("backend", ["numpy", "torch"])


def corpus_of(length: int, seed: int = 3) -> Corpus:
    """Independent symbols: nothing but their frequency can be learned, so a model soon overfits."""
    numbers = Draws(seed).uniform("text", (length,))
    text = SYMBOLS + "".join(SYMBOLS[int(number * len(SYMBOLS))] for number in numbers[len(SYMBOLS) :])
    return Corpus("text", text, hashlib.sha256(text.encode()).hexdigest(), "text")


CLOCKS = {"seconds", "tokens_per_second"}

# 135 training ids are 11 windows of 3x4; 45 validation ids are 3 windows of 3x4, or 44 targets.
CORPUS = corpus_of(180)
WINDOWS, STEPS = 11, 22
CONFIG = RunConfig(
    corpus="text",
    validation_fraction=0.25,
    hidden_sizes=(7, 5),
    dropout_between=0.3,
    dropout_output=0.2,
    epochs=2,
    batch_size=3,
    seq_length=4,
    lr=0.02,
    print_every=4,
    checkpoint_every=5,
    keep_checkpoints=100,
    precision="float64",
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder(tmp_path / "run") as opened:
        yield opened


def begin(folder: RunFolder, **changes: object) -> Trainer:
    return start(CONFIG.with_overrides(changes), CORPUS, folder)


def fresh_model(config: RunConfig) -> LanguageModel:
    build = load_backend(config.backend)
    return build(
        config.language_model(len(SYMBOLS)), optimizer=config.update, device=config.device, precision=config.precision
    )


class Spy:
    """A LanguageModel that keeps what its train_step and evaluate were given and what came back."""

    def __init__(self, model: LanguageModel):
        self._model = model
        self.steps: list[dict] = []
        self.evaluations: list[dict] = []

    def __getattr__(self, name: str):
        return getattr(self._model, name)

    def train_step(self, window, state: State, draws: Draws, settings) -> StepResult:
        call = {"window": window, "draws": draws, "settings": settings, "state": copied(self._model, state)}
        call |= {"parameters": self._model.parameters(), "optimizer": self._model.optimizer_state()}
        result = self._model.train_step(window, state, draws, settings)
        call |= {"result": result, "next_state": copied(self._model, result.state)}
        call |= {"loss": float(result.loss), "norm": float(result.gradient_norm)}
        self.steps.append(call | {"updated": self._model.parameters()})
        return result

    def evaluate(self, window, state: State):
        result = self._model.evaluate(window, state)
        self.evaluations.append(
            {
                "tokens": result.tokens,
                "state": copied(self._model, state),
                "next_state": copied(self._model, result.state),
            }
        )
        return result


def copied(model: LanguageModel, state: State) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in model.state_arrays(state).items()}


def spied(trainer: Trainer) -> Spy:
    spy = Spy(trainer.model)
    trainer.model = spy
    return spy


def same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and a[name].shape == b[name].shape and a[name].tobytes() == b[name].tobytes()
        for name in a
    )


def all_zero(arrays: dict[str, np.ndarray]) -> bool:
    return not any(array.any() for array in arrays.values())


def comparable(metrics: list[dict[str, float]]) -> list[dict[str, float]]:
    """Without the clocks, and without how many epochs were asked for at the time."""
    return [{name: record[name] for name in record if name not in CLOCKS | {"epochs"}} for record in metrics]


def assert_same_end(a: RunFolder, b: RunFolder) -> None:
    """Every tensor of the last and of the best checkpoint, the counters, and the log."""
    for name in ("best.safetensors", a.steps()[-1].name):
        one, other = Checkpoint.load(a.checkpoints / name), Checkpoint.load(b.checkpoints / name)
        for group in ("model", "optimizer", "carry"):
            assert same_bits(getattr(one, group), getattr(other, group)), (name, group)
        assert dataclasses.replace(one.progress, seconds=0) == dataclasses.replace(other.progress, seconds=0)
    assert a.steps()[-1].name == b.steps()[-1].name
    assert comparable(a.read_metrics()) == comparable(b.read_metrics())


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


@pytest.mark.row("C31")
@pytest.mark.parametrize(("length", "fraction", "border"), [(180, 0.25, 135), (190, 0.1, 171), (333, 0.3, 233)])
def test_the_last_part_of_the_text_is_validation_and_the_rest_is_trained_on(folder, length, fraction, border):
    corpus = corpus_of(length)
    trainer = start(CONFIG.with_overrides({"validation_fraction": fraction}), corpus, folder)
    assert len(trainer.windows.ids) == border
    assert trainer.vocabulary.decode(trainer.windows.ids) == corpus.text[:border]
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
@pytest.mark.row("C33", "C34")
def test_a_step_is_a_function_of_the_values_of_parameters_moments_state_and_window(folder, backend):
    """So no gradient is left over from the step before, and none reaches into the window before: a model that never
    saw either takes the same step."""
    trainer = begin(folder, backend=backend)
    spy = spied(trainer)
    trainer.fit()
    for step, call in enumerate(spy.steps):
        model = fresh_model(trainer.config)
        model.load_parameters(call["parameters"])
        model.load_optimizer_state(call["optimizer"])
        state = model.state_from_arrays(call["state"])
        result = model.train_step(call["window"], state, Draws(CONFIG.seed, step), call["settings"])
        assert (float(result.loss), float(result.gradient_norm)) == (call["loss"], call["norm"]), step
        assert same_bits(model.parameters(), call["updated"]), step


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
@pytest.mark.row("C28")
def test_two_validations_of_one_model_are_equal_and_take_no_dropout(folder, backend):
    trainer = begin(folder, backend=backend)
    trainer.fit()
    once = trainer.evaluate(trainer.validation_ids)
    assert once == trainer.evaluate(trainer.validation_ids)
    trainer.model = model_of(trainer.checkpoint(), dropout_between=0.0, dropout_output=0.0)
    assert once == trainer.evaluate(trainer.validation_ids)


@both_twins
@pytest.mark.row("C28")
def test_training_takes_dropout_before_and_after_a_validation(folder, backend):
    trainer = begin(folder, backend=backend)
    spy = spied(trainer)
    trainer.fit()
    plain = fresh_model(trainer.config.with_overrides({"dropout_between": 0, "dropout_output": 0}))
    for call in spy.steps:
        plain.load_parameters(call["parameters"])
        without = plain.loss_and_gradients(call["window"], plain.state_from_arrays(call["state"]), None).loss
        assert without != call["loss"]


@pytest.mark.row("BC14")
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
@pytest.mark.row("C46", "BC19")
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


@pytest.mark.row("C37")
def test_the_log_line_is_the_seeds():
    record = LogRecord(1, 20, 10, 3.25337, 3.4, 3.190149, True, 0.5, 9000.0, 1.5)
    assert record.line == "Epoch: 1/20... Step: 10... Loss: 3.2534... Val Loss: 3.1901"


@both_twins
@pytest.mark.row("BC13")
def test_the_training_loss_to_compare_with_validation_has_no_dropout_and_as_many_tokens(folder, backend):
    trainer = begin(folder, backend=backend, evaluation="windows", last_target="wrap")
    trainer.fit()
    losses = window_losses(trainer, trainer.windows.ids[: len(trainer.validation_ids)])
    # float64: 36 terms summed at once or window by window
    assert trainer.train_loss() == pytest.approx(sum(losses) / len(losses), rel=1e-13)


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


@dataclasses.dataclass(frozen=True)
class Reference:
    """A run that nothing stopped: its folder, how often it asked whether to stop, and how often before its first
    checkpoint was safe."""

    path: Path
    polls: int
    before: int


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reference]:
    return {backend: reference_run(tmp_path_factory.mktemp(backend) / "run", backend) for backend in ("numpy", "torch")}


def reference_run(path: Path, backend: str) -> Reference:
    with RunFolder(path) as folder:
        trainer, steps_at_polls = begin(folder, backend=backend), []

        def stop() -> int:
            steps_at_polls.append(trainer.progress.step)
            return 0

        trainer.observer = Observer(stop=stop)
        trainer.fit()
    return Reference(path, len(steps_at_polls), sum(step <= CONFIG.checkpoint_every for step in steps_at_polls))


@both_twins
@pytest.mark.row("BC23", "C32")
@settings(max_examples=12)  # two runs and a dozen flushed files each
@given(data=st.data())
def test_a_run_stopped_between_steps_or_inside_an_evaluation_goes_on_to_the_same_bits(references, backend, data):
    reference = references[backend]
    poll = data.draw(st.integers(0, reference.polls - 1), label="poll")
    with tempfile.TemporaryDirectory() as path, RunFolder(Path(path) / "run") as folder:
        trainer = begin(folder, backend=backend)
        trainer.observer = Observer(stop=after(poll, lambda: 15))
        with pytest.raises(InterruptedRunError) as stopped:
            trainer.fit()
        assert stopped.value.exit_code == 143
        assert f"step {trainer.progress.step} of {STEPS}" in str(stopped.value)
        assert f"--resume {folder.path}" in str(stopped.value)
        saved = folder.latest()
        assert saved.progress.step == trainer.progress.step
        resume(saved, CORPUS, folder).fit()
        with RunFolder(reference.path, resume=True) as expected:
            assert_same_end(expected, folder)


@both_twins
@pytest.mark.row("BC23")
@settings(max_examples=12)  # two runs and a dozen flushed files each
@given(data=st.data())
def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint_to_the_same_bits(references, backend, data):
    reference = references[backend]
    poll = data.draw(st.integers(reference.before, reference.polls - 1), label="poll")
    with tempfile.TemporaryDirectory() as path, RunFolder(Path(path) / "run") as folder:
        trainer = begin(folder, backend=backend)
        trainer.observer = Observer(stop=after(poll, raise_crash))
        with pytest.raises(Crash):
            trainer.fit()
        saved = folder.latest()
        assert 0 < saved.progress.step <= trainer.progress.step
        resume(saved, CORPUS, folder).fit()
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
        ("batch_size", 4),
        ("seq_length", 5),
        ("last_target", "wrap"),
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
@pytest.mark.row("BC23")
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


@pytest.mark.row("C43", "C44")
@given(train=st.floats(0.05, 12), gap=st.floats(-0.9, 3))
def test_the_diagnosis_follows_the_gap_between_training_and_validation_loss(train, gap):
    val = train * (1 + gap)
    verdict, text = diagnosis(train, val)
    gap = (val - train) / train
    expected = "overfitting" if gap > 0.10 else "underfitting" if gap < 0.02 else "balanced"
    assert verdict == expected
    assert text.startswith(f"train {train:.4f}, validation {val:.4f}, gap {gap:+.1%}: {verdict}")


@pytest.mark.row("C43", "C44")
@pytest.mark.parametrize(
    ("train", "val", "verdict", "advice"),
    [
        (1.0, 1.1001, "overfitting", ["more dropout", "smaller network"]),
        (1.0, 1.0999, "balanced", []),
        (1.0, 1.0201, "balanced", []),
        (1.0, 1.0199, "underfitting", ["more layers", "larger hidden_sizes"]),
        (2.9, 2.8639, "underfitting", ["more layers", "larger hidden_sizes"]),
    ],
)
def test_the_diagnosis_says_what_the_notebook_advises(train, val, verdict, advice):
    arrived, text = diagnosis(train, val)
    assert arrived == verdict
    assert all(piece in text for piece in advice)
    assert ("try" in text) == bool(advice)


@pytest.mark.row("C43")
def test_a_text_without_surprise_has_a_diagnosis_too():
    """One symbol: both losses are 0."""
    assert diagnosis(0.0, 0.0)[0] != "overfitting"
    assert diagnosis(0.0, 0.5)[0] == "overfitting"

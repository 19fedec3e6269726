"""A training step that is a function of arrays on the device alone: from arrays that stay, captured and run again, with
every option; against the plain step. On the CPU a tape stands in for the CUDA graph (parity_tests/tape.py)."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig, RunConfig
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, InterruptedRunError
from lstm_ref.core.language_model import StepResult, StepSettings
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Observer, resume, start
from lstm_torch.graph import Graphs
from lstm_torch.model import TorchLM, build
from lstm_torch.options import Options
from parity_tests.cases import ModelCase, model_case
from parity_tests.tape import Tape, TapeRecorder
from parity_tests.test_parity import needs_cuda
from parity_tests.test_torch_plain import ALL_ON

CASE = model_case(ALL_ON, 5, 4, Draws(3))
CHARACTERS = model_case(LanguageModelConfig(vocab_size=13, hidden_sizes=(17, 12)), 5, 4, Draws(3))
LENGTHS = [5, 6, 5, 6, 5, 7, 6, 5]  # of the windows: each at least twice but one
EXACT = [Options(device_draws=True), Options(resident=True), Options(device_draws=True, resident=True)]
RESIDENT = Options(device_draws=True, resident=True)
PADDED = dataclasses.replace(RESIDENT, padding=True)
OPTIMIZERS = ["adam", "adamw", "sgd", "nt-asgd"]

Results = list[tuple[float, float]]


def twin_of(
    case: ModelCase,
    options: Options | None = None,
    optimizer: str = "adamw",
    device: str = "cpu",
    precision: str = "float64",
) -> TorchLM:
    update = OptimizerConfig(optimizer=optimizer, weight_decay=0.01)
    twin = TorchLM(case.config, optimizer=update, device=device, precision=precision, options=options)
    twin.load_parameters(case.params)
    return twin


def arrays_of(twin: TorchLM) -> list[Tensor]:
    """All that a step writes and that outlives it."""
    moments = [tensor for kept in twin.optimizer.fused.state.values() for tensor in kept.values()]
    counts = [twin.optimizer.steps, twin.optimizer.averaged]
    return [*twin._params.values(), *moments, *counts, *twin.optimizer.average.values()]


def taped(case: ModelCase, options: Options = RESIDENT, optimizer: str = "adamw", most: int = 96) -> TorchLM:
    """With a tape where a CUDA graph would be."""
    twin = twin_of(case, options, optimizer)
    twin._graphs = Graphs(lambda: TapeRecorder(lambda: arrays_of(twin)), most)
    return twin


def average_from_3(twin: TorchLM, k: int) -> None:
    """Where the optimizer averages."""
    if k == 3 and twin.optimizer.config.optimizer == "nt-asgd":
        twin.start_averaging()


def train(
    twin: TorchLM, case: ModelCase, before_step: Callable[[TorchLM, int], None] = lambda twin, k: None
) -> tuple[Results, list[StepResult]]:
    """Windows, masks, lr and clip differ from step to step. An lr is a float32: fused updates on CUDA take no other."""
    state, numbers, results = twin.state_from_arrays(case.state_arrays), [], []
    for k, T in enumerate(LENGTHS):
        before_step(twin, k)
        window = model_case(case.config, T, 4, Draws(6, k)).window
        result = twin.train_step(window, state, Draws(6, k), StepSettings(lr=2**-7 * (1 + k), clip=0.5 / (1 + k % 3)))
        state = result.state
        numbers.append((float(result.loss), float(result.gradient_norm)))
        results.append(result)
    return numbers, results


def everything(twin: TorchLM, results: list[StepResult]) -> dict[str, np.ndarray]:
    states = {f"{k}.{name}": a for k, r in enumerate(results) for name, a in twin.state_arrays(r.state).items()}
    return twin.parameters() | twin.optimizer_state() | states


def assert_same(twin: TorchLM, case: ModelCase, plain: TorchLM, before_step=lambda twin, k: None) -> None:
    """Bit by bit."""
    expected, expected_results = train(plain, case, before_step)
    actual, results = train(twin, case, before_step)
    assert actual == expected
    wanted = everything(plain, expected_results)
    for name, value in everything(twin, results).items():
        np.testing.assert_array_equal(value, wanted[name], err_msg=name)


# ---- on the CPU -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [CASE, CHARACTERS], ids=["words, all on", "characters"])
@pytest.mark.parametrize("options", EXACT, ids=str)
def test_masks_and_windows_of_the_device_change_no_bit_of_training(options, case):
    assert_same(twin_of(case, options), case, twin_of(case))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_captured_step_run_again_is_the_plain_step_bit_by_bit(optimizer):
    """With other windows, masks, states, rates and clips each time, and windows of three lengths."""
    twin = taped(CASE, optimizer=optimizer)
    assert_same(twin, CASE, twin_of(CASE, optimizer=optimizer), average_from_3)
    recorder = twin._graphs.recorder
    if optimizer == "nt-asgd":  # after step 3 all begin anew: 6 5 7 6 5
        assert (recorder.warm_ups, recorder.captures, recorder.replays) == (3, 2, 2)
    else:
        assert (recorder.warm_ups, recorder.captures, recorder.replays) == (3, 2, 5)


def test_states_of_steps_before_stay_what_they_were():
    """A graph writes where it wrote before; what it gave out is a copy."""
    twin = taped(CASE)
    _, results = train(twin, CASE)
    _, expected = train(twin_of(CASE), CASE)
    for result, wanted in zip(results, expected):
        assert (float(result.loss), float(result.gradient_norm)) == (float(wanted.loss), float(wanted.gradient_norm))


def test_loading_exchanging_and_averaging_between_captured_steps_are_seen_by_the_next():
    saved = {}

    def meddle(twin: TorchLM, k: int) -> None:
        if k == 2:
            saved[twin] = twin.parameters(), twin.optimizer_state()
        if k == 4:
            parameters, state = saved[twin]
            twin.load_parameters(parameters)
            twin.load_optimizer_state(state)
        if k == 5:
            twin.start_averaging()
        if k == 7:
            twin.exchange_average()
            twin.exchange_average()

    assert_same(taped(CASE, optimizer="nt-asgd"), CASE, twin_of(CASE, optimizer="nt-asgd"), meddle)
    saved.clear()
    meddling = lambda twin, k: meddle(twin, k) if k in (2, 4) else None  # noqa: E731
    assert_same(taped(CASE), CASE, twin_of(CASE), meddling)


def test_while_the_average_is_in_its_place_a_captured_step_is_refused_too():
    twin = taped(CASE, optimizer="nt-asgd")
    twin.start_averaging()
    train(twin, CASE)
    twin.exchange_average()
    with pytest.raises(RuntimeError, match="changed places"):
        train(twin, CASE)


def test_lengths_beyond_the_most_stay_ordinary_runs():
    twin = taped(CASE, most=1)
    assert_same(twin, CASE, twin_of(CASE))
    assert list(twin._graphs.captured) == [(5, 4, 6)]
    assert (twin._graphs.recorder.captures, twin._graphs.recorder.warm_ups) == (1, 5)


def test_another_seed_is_another_graph():
    twin, plain = taped(CASE), twin_of(CASE)
    losses: dict[TorchLM, list[float]] = {twin: [], plain: []}
    for model, of_model in losses.items():
        state = model.state_from_arrays(CASE.state_arrays)
        for seed in (1, 1, 1, 2, 2, 2, 1):
            result = model.train_step(CASE.window, state, Draws(seed, 9), StepSettings(lr=2**-7, clip=1.0))
            of_model.append(float(result.loss))
    assert losses[twin] == losses[plain]
    assert twin._graphs.recorder.replays == 5


def test_a_step_whose_loss_is_not_finite_changes_nothing_in_a_captured_step():
    twin = taped(CASE)
    train(twin, CASE)
    bias = np.zeros(ALL_ON.vocab_size)
    bias[3] = np.nan
    twin.load_parameters(twin.parameters() | {"decoder.bias": bias})
    before = twin.parameters() | twin.optimizer_state()
    results, _ = train(twin, CASE)
    assert not np.isfinite(results).any()
    for name, value in (twin.parameters() | twin.optimizer_state()).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_the_tape_would_see_a_number_that_was_left_out_of_the_arrays():
    """The comparison can fail: a clip that was a number when the step was captured stays that number."""
    twin = taped(CASE)
    update = twin.update
    twin.update = lambda loss, lr, clip: update(loss, lr, 0.25)
    numbers, _ = train(twin, CASE)
    assert numbers != train(twin_of(CASE), CASE)[0]
    with Tape(), pytest.raises(RuntimeError, match="host"):
        torch.zeros(()).item()


@pytest.mark.parametrize("case", [CASE, CHARACTERS], ids=["words, all on", "characters"])
def test_padding_changes_training_by_rounding_only(case):
    """Every size here grows: 6, 9, 11, 12, 13, 17 to multiples of 8 in the layers, of 64 in the decoder."""
    plain, twin = twin_of(case), taped(case, PADDED)
    expected, expected_results = train(plain, case)
    actual, results = train(twin, case)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)
    wanted = everything(plain, expected_results)
    for name, value in everything(twin, results).items():
        np.testing.assert_allclose(value, wanted[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("options", [PADDED, RESIDENT], ids=str)
def test_gradients_evaluation_and_logits_do_not_depend_on_the_options(options):
    plain, twin = twin_of(CASE), twin_of(CASE, options)
    state = plain.state_from_arrays(CASE.state_arrays)
    expected, actual = (model.loss_and_gradients(CASE.window, state, CASE.draws) for model in (plain, twin))
    assert actual.loss == pytest.approx(expected.loss, abs=1e-13)
    assert actual.penalty == pytest.approx(expected.penalty, abs=1e-13)
    for name, gradient in expected.gradients.items():
        np.testing.assert_allclose(actual.gradients[name], gradient, rtol=0, atol=1e-13, err_msg=name)
    assert twin.evaluate(CASE.window, state).total == pytest.approx(plain.evaluate(CASE.window, state).total, rel=1e-13)
    logits = [model.logits(CASE.window.inputs, state)[0] for model in (plain, twin)]
    np.testing.assert_allclose(logits[1], logits[0], rtol=0, atol=1e-13)


def test_a_whole_run_with_the_device_options_ends_bit_equal_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Windows of drawn lengths, carry, averaging, evaluation, checkpoints: through the trainer and `build`."""
    whole = load_corpus("pydoc")
    corpus = dataclasses.replace(whole, text=whole.text[:3000])
    config = RunConfig(
        **{"backend": "torch", "precision": "float64", "hidden_sizes": (17, 12), "batch_size": 5, "seq_length": 11},
        **{"window_lengths": "mixture", "optimizer": "nt-asgd", "nonmonotone": 1, "lr": 8.0},
        **{"epochs": 4, "dropout_locked": True, "weight_drop": 0.3, "print_every": 5, "checkpoint_every": 20},
    )

    def run(name: str, options: Options, stop_at: int = -1) -> Checkpoint:
        monkeypatch.setattr(Options, "production", lambda device, precision: options)
        again = (tmp_path / name).exists()
        with RunFolder(tmp_path / name, resume=again) as folder:
            trainer = resume(folder.latest(), corpus, folder) if again else start(config, corpus, folder)
            trainer.observer = Observer(stop=lambda: 2 * (trainer.progress.step == stop_at))
            with contextlib.suppress(InterruptedRunError):
                trainer.fit()
            assert trainer.progress.step == (stop_at if stop_at > 0 else trainer.total_steps)
            return folder.latest()

    expected = run("plain", Options())
    assert expected.progress.averaging
    run("device", RESIDENT, stop_at=37)
    actual = run("device", RESIDENT)
    for part in ("model", "optimizer", "carry"):
        for name, value in getattr(expected, part).items():
            np.testing.assert_array_equal(getattr(actual, part)[name], value, err_msg=name)


def test_a_bf16_recurrence_stays_within_its_rounding_and_is_bf16():
    twin = twin_of(CASE, Options(recurrence="bf16", padding=True), precision="float32")
    plain = twin_of(CASE)
    expected = plain.loss_and_gradients(CASE.window, plain.state_from_arrays(CASE.state_arrays), CASE.draws)
    actual = twin.loss_and_gradients(CASE.window, twin.state_from_arrays(CASE.state_arrays), CASE.draws)
    assert 1e-7 < abs(actual.loss - expected.loss) < 2e-2
    norm = np.sqrt(sum((gradient**2).sum() for gradient in expected.gradients.values()))
    for name, gradient in expected.gradients.items():
        assert actual.gradients[name].dtype == np.float32
        assert np.linalg.norm(actual.gradients[name] - gradient) <= 0.05 * norm, name


# ---- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "precision", "message"),
    [
        ({"graph": True, "device_draws": True, "resident": True}, "float32", "graph=True with device='cpu'.*graph=F"),
        ({"recurrence": "fp16"}, "bf16", "recurrence='fp16' with device='cpu'"),
        ({"recurrence": "tf32"}, "float32", "recurrence='tf32' with device='cpu'"),
        ({"recurrence": "bf16"}, "float64", "recurrence='bf16' with precision='float64'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, precision, message):
    with pytest.raises(ConfigError, match=message) as raised:
        TorchLM(ALL_ON, precision=precision, options=Options(**options))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("missing", ["device_draws", "resident"])
def test_a_graph_needs_what_it_repeats_on_the_device(missing):
    options = dataclasses.replace(Options.production("cuda", "bf16"), **{missing: False})
    with pytest.raises(ConfigError, match=f"graph=True with .*{missing}=False"):
        options.check("cuda", "bf16")


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
def test_production_is_all_on_for_cuda_and_off_for_the_cpu(precision):
    assert Options.production("cpu", precision) == Options()
    assert build(ALL_ON, optimizer=OptimizerConfig(), device="cpu", precision=precision).options == Options()
    options = Options.production("cuda", precision)
    options.check("cuda", precision)
    assert all(value for name, value in dataclasses.asdict(options).items() if name != "recurrence")


def test_numerics_say_what_is_used():
    twin = twin_of(CASE, Options(recurrence="bf16", padding=True), precision="bf16")
    assert twin.numerics(20) == {
        "parameters": "float32",
        "recurrence": "bf16; layers B=20 I=8 H=16 standard; B=20 I=16 H=8 standard",
        "products": "bf16 factors, float32 sums",
        "options": "device_draws=False, padding=True, resident=False, graph=False, device_sampling=False, "
        "recurrence=bf16",
    }
    assert twin_of(CASE, precision="float32").numerics(20)["recurrence"] == "float32"
    assert twin_of(CASE, precision="bf16").numerics(20)["recurrence"] == "bf16 (autocast)"


# ---- on CUDA --------------------------------------------------------------------------------------------------------

SWITCHES = [
    Options(device_draws=draws, padding=padding, resident=resident, graph=graph)
    for draws, padding, resident, graph in itertools.product([False, True], repeat=4)
    if not graph or (draws and resident)
]
# float16 takes the persistent kernel: 192 units grow to 256, 301 words to 320, 4 rows to 8. Weights of usual size.
WIDE = model_case(
    dataclasses.replace(ALL_ON, vocab_size=301, embedding_size=192, hidden_sizes=(256, 192)), 5, 4, Draws(3)
)
WIDE = dataclasses.replace(WIDE, params={name: 0.15 * value for name, value in WIDE.params.items()})


@needs_cuda
@pytest.mark.parametrize("options", SWITCHES, ids=str)
@pytest.mark.parametrize("optimizer", ["adamw", "nt-asgd"])
def test_on_cuda_every_combination_trains_as_the_plain_float64_step_of_the_cpu(optimizer, options):
    plain, twin = twin_of(CASE, optimizer=optimizer), twin_of(CASE, options, optimizer, "cuda")
    expected, expected_results = train(plain, CASE, average_from_3)
    actual, results = train(twin, CASE, average_from_3)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)
    wanted = everything(plain, expected_results)
    for name, value in everything(twin, results).items():
        np.testing.assert_allclose(value, wanted[name], rtol=0, atol=1e-9, err_msg=name)


@needs_cuda
@pytest.mark.parametrize("case", [CASE, CHARACTERS, WIDE], ids=["words", "characters", "wide"])
@pytest.mark.parametrize(
    ("precision", "recurrence", "of_loss", "of_gradients"),
    [
        ("float32", "float32", 1e-5, 1e-4),
        ("float32", "tf32", 1e-3, 5e-3),
        ("bf16", "bf16", 5e-3, 2e-2),  # the decoder's factors are bf16 in both
        ("bf16", "fp16", 1e-3, 1e-2),
    ],
)
def test_on_cuda_every_recurrence_stays_within_its_rounding(precision, recurrence, of_loss, of_gradients, case):
    options = dataclasses.replace(Options.production("cuda", precision), recurrence=recurrence)
    twin, plain = twin_of(case, options, "adamw", "cuda", precision), twin_of(case)
    expected = plain.loss_and_gradients(case.window, plain.state_from_arrays(case.state_arrays), case.draws)
    actual = twin.loss_and_gradients(case.window, twin.state_from_arrays(case.state_arrays), case.draws)
    assert actual.loss == pytest.approx(expected.loss, abs=of_loss)
    norm = np.sqrt(sum((gradient**2).sum() for gradient in expected.gradients.values()))
    for name, gradient in expected.gradients.items():
        assert np.linalg.norm(actual.gradients[name] - gradient) <= of_gradients * norm, name


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_on_cuda_a_graph_trains_as_the_same_step_without_it(precision):
    """The same kernels in the same order, but for sums by atomics: those of float32 may differ in the last bits."""
    options = Options.production("cuda", precision)
    numbers = [
        train(twin_of(WIDE, choice, "adamw", "cuda", precision), WIDE)[0]
        for choice in (options, dataclasses.replace(options, graph=False))
    ]
    np.testing.assert_allclose(*numbers, rtol=0, atol=1e-4 if precision == "float32" else 2e-2)


@needs_cuda
def test_on_cuda_no_step_waits_for_the_device():
    """After the first, which makes the moments, and the second of a length, which captures."""
    options = Options.production("cuda", "bf16")
    twin = twin_of(WIDE, options, "adamw", "cuda", "bf16")
    state = twin.state_from_arrays(WIDE.state_arrays)
    for k in range(6):
        torch.cuda.set_sync_debug_mode("error" if k >= 2 else "default")
        try:
            result = twin.train_step(WIDE.window, state, Draws(6, k), StepSettings(lr=2**-7, clip=0.5))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        state = result.state
    assert np.isfinite(float(result.loss))

"""The optimizer in the model: its state, the average in the parameters' place, and steps that update nothing."""

import numpy as np
import pytest

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, ShapeError
from lstm_ref.core.language_model import StepSettings
from lstm_ref.core.params import optimizer_shapes
from lstm_ref.model import NumpyLM
from parity_tests.cases import ModelCase, model_case

NAMES = ("adam", "adamw", "sgd", "nt-asgd")
SETTINGS = StepSettings(lr=0.1, clip=0.25)
CONFIG = LanguageModelConfig(
    vocab_size=7, embedding_size=5, hidden_sizes=(4, 5), tied=True, weight_drop=0.5, ar_alpha=2.0, tar_beta=1.0
)


@pytest.fixture
def case() -> ModelCase:
    return model_case(CONFIG, 6, 3, Draws(2))


def model_of(case: ModelCase, optimizer: str, dtype: np.typing.DTypeLike = np.float64) -> NumpyLM:
    model = NumpyLM(case.config, optimizer=OptimizerConfig(optimizer=optimizer, weight_decay=0.01), dtype=dtype)
    model.load_parameters(case.params)
    return model


def train(model: NumpyLM, case: ModelCase, steps: range) -> list[dict[str, np.ndarray]]:
    """The parameters after each step."""
    visited = []
    for step in steps:
        state = model.state_from_arrays(case.state_arrays)
        model.train_step(case.window, state, case.draws.at(step), SETTINGS)
        visited.append(model.parameters())
    return visited


def everything(model: NumpyLM) -> dict[str, np.ndarray]:
    return model.parameters() | model.optimizer_state()


def assert_equal(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_the_state_has_the_contracts_names_shapes_and_dtypes(case, name, dtype):
    state = model_of(case, name, dtype).optimizer_state()
    assert {key: value.shape for key, value in state.items()} == optimizer_shapes(
        CONFIG, OptimizerConfig(optimizer=name)
    )
    assert all(value.dtype == (dtype if value.shape else np.int64) for value in state.values())


@pytest.mark.parametrize("name", NAMES)
def test_training_goes_on_from_a_saved_state_to_the_bit(case, name):
    model = model_of(case, name)
    train(model, case, range(2))
    if name == "nt-asgd":
        model.start_averaging()
    train(model, case, range(2, 4))
    other = model_of(case, name)
    other.load_parameters(model.parameters())
    other.load_optimizer_state(model.optimizer_state())
    for continued in (model, other):
        train(continued, case, range(4, 7))
    assert_equal(everything(other), everything(model))
    assert model.optimizer_state()["step"] == 7


@pytest.mark.parametrize("name", NAMES)
def test_a_state_of_another_optimizer_is_refused(case, name):
    with pytest.raises(ShapeError, match=f"state of {name}"):
        model_of(case, name).load_optimizer_state(model_of(case, "sgd" if name != "sgd" else "adam").optimizer_state())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_is_not_finite_is_reported_and_updates_nothing(case, name, bad, dtype):
    case.params["decoder.bias"][3] = bad
    model = model_of(case, name, dtype)
    if name == "nt-asgd":
        model.start_averaging()
    before = everything(model)
    result = model.train_step(case.window, model.state_from_arrays(case.state_arrays), case.draws, SETTINGS)
    assert not (np.isfinite(result.loss) and np.isfinite(result.gradient_norm))
    assert_equal(everything(model), before)


@pytest.mark.row("W60")
def test_the_average_counts_from_the_step_after_averaging_began(case):
    model = model_of(case, "nt-asgd")
    train(model, case, range(3))
    assert model.optimizer_state()["averaged"] == 0
    model.start_averaging()
    visited = train(model, case, range(3, 8))
    state = model.optimizer_state()
    assert state["averaged"] == 5
    for name in case.params:
        mean = np.mean([params[name] for params in visited], axis=0)
        np.testing.assert_allclose(state[f"average.{name}"], mean, rtol=0, atol=1e-15, err_msg=name)


@pytest.mark.row("W60")
def test_averaging_does_not_change_where_training_goes(case):
    alone, averaged = model_of(case, "sgd"), model_of(case, "nt-asgd")
    averaged.start_averaging()
    for model in (alone, averaged):
        train(model, case, range(4))
    assert_equal(averaged.parameters(), alone.parameters())


@pytest.mark.row("W60")
def test_exchanged_the_model_is_its_average_and_exchanged_again_it_trains_on(case):
    model, undisturbed = (model_of(case, "nt-asgd") for _ in range(2))
    for each in (model, undisturbed):
        each.start_averaging()
        train(each, case, range(3))
    average = {name: model.optimizer_state()[f"average.{name}"] for name in case.params}
    model.exchange_average()
    assert_equal(model.parameters(), average)
    expected = NumpyLM(case.config, dtype=np.float64)
    expected.load_parameters(average)
    assert model.evaluate(case.window, case.state).total == expected.evaluate(case.window, case.state).total
    model.exchange_average()
    for each in (model, undisturbed):
        train(each, case, range(3, 5))
    assert_equal(everything(model), everything(undisturbed))


@pytest.mark.parametrize(
    "what",
    [
        lambda model, case: train(model, case, range(1)),
        lambda model, case: model.load_parameters(case.params),
        lambda model, case: model.load_optimizer_state(model.optimizer_state()),
        lambda model, case: model.start_averaging(),
    ],
    ids=["train_step", "load_parameters", "load_optimizer_state", "start_averaging"],
)
def test_on_the_average_nothing_is_trained_or_loaded(case, what):
    model = model_of(case, "nt-asgd")
    model.start_averaging()
    train(model, case, range(2))
    model.exchange_average()
    before = everything(model)
    with pytest.raises(RuntimeError, match="exchange_average"):
        what(model, case)
    assert_equal(everything(model), before)


@pytest.mark.parametrize("name", NAMES)
def test_without_an_average_there_is_nothing_to_exchange(case, name):
    model = model_of(case, name)
    if name == "nt-asgd":
        model.start_averaging()
    before = everything(model)
    model.exchange_average()
    assert_equal(everything(model), before)
    train(model, case, range(1))


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_only_nt_asgd_averages(case, name):
    with pytest.raises(ConfigError, match="nt-asgd"):
        model_of(case, name).start_averaging()


def test_averaging_begun_anew_forgets_what_was_averaged_before(case):
    model = model_of(case, "nt-asgd")
    model.start_averaging()
    train(model, case, range(3))
    model.start_averaging()
    (last,) = train(model, case, range(3, 4))
    for name, value in last.items():
        np.testing.assert_array_equal(model.optimizer_state()[f"average.{name}"], value, err_msg=name)

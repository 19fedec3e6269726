"""The torch twin's updates against torch.optim's own loops, the average of nt-asgd, and steps that do not count."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, ShapeError
from lstm_ref.core.language_model import StepSettings
from lstm_ref.core.params import optimizer_shapes
from lstm_torch.model import TorchLM
from lstm_torch.optimizer import Optimizer
from parity_tests.cases import ModelCase, model_case, seeds, values
from parity_tests.test_parity import DEVICES

OPTIMIZERS = ["adam", "adamw", "sgd", "nt-asgd"]
NT_ASGD_FROM = [("nt-asgd", 1), ("nt-asgd", 4)]  # the step that averaging begins with
SHAPES = {"weight": (3, 5), "bias": (4,)}
CONFIGS = st.builds(
    OptimizerConfig,
    optimizer=st.sampled_from(OPTIMIZERS),
    beta1=st.sampled_from([0.0, 0.5, 0.9]),
    beta2=st.sampled_from([0.9, 0.999]),
    eps=st.sampled_from([1e-8, 1e-3]),
    weight_decay=st.sampled_from([0.0, 0.1]),
)
FINITE = torch.tensor(True)
SETTINGS = StepSettings(lr=0.01, clip=0.3)


def parameters_of(seed: int, device: str = "cpu") -> dict[str, nn.Parameter]:
    draws = Draws(seed)
    arrays = {name: torch.from_numpy(values(draws, name, *shape)) for name, shape in SHAPES.items()}
    return {name: nn.Parameter(array.to(device)) for name, array in arrays.items()}


def set_gradients(parameters: dict[str, nn.Parameter], seed: int, step: int) -> None:
    for name, p in parameters.items():
        p.grad = torch.from_numpy(values(Draws(seed, step), f"d{name}", *p.shape)).to(p.device)


def stock(config: OptimizerConfig, parameters: dict[str, nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """torch.optim's plainest loop: one array, one operation at a time."""
    decay, plain = config.weight_decay, {"foreach": False}
    if config.optimizer in ("sgd", "nt-asgd"):
        return torch.optim.SGD(parameters.values(), lr=lr, weight_decay=decay, fused=False, **plain)
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    betas = config.beta1, config.beta2
    return adam(parameters.values(), lr=lr, betas=betas, eps=config.eps, weight_decay=decay, fused=False, **plain)


@pytest.mark.row("W39", "W46", "W60")
@pytest.mark.parametrize("device", DEVICES)
@given(seed=seeds, config=CONFIGS, lr=st.sampled_from([1e-3, 0.1]))
def test_a_hundred_steps_equal_torchs_plain_loops(device, seed, config, lr):
    ours, theirs = parameters_of(seed, device), parameters_of(seed)
    optimizer, loop = Optimizer(config, ours), stock(config, theirs, lr)
    for step in range(100):
        set_gradients(ours, seed, step)
        set_gradients(theirs, seed, step)
        optimizer.step(lr, FINITE.to(device))
        loop.step()
    # a hundred updates of size lr, each rounded at the parameter's scale
    atol = 100 * np.finfo(float).eps * (1 + 100 * lr)
    for name, p in theirs.items():
        torch.testing.assert_close(ours[name].detach().cpu(), p.detach(), rtol=0, atol=atol)
    assert optimizer.state()["step"] == 100


@pytest.mark.row("W39")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_is_l2_in_all_but_adamw_where_it_does_not_pass_through_the_moments(optimizer):
    """Where the gradient is zero: L2 gives adam a step of lr whatever the decay, adamw shrinks p by lr w."""
    parameters = parameters_of(1)
    before = {name: p.detach().clone() for name, p in parameters.items()}
    for p in parameters.values():
        p.grad = torch.zeros_like(p)
    Optimizer(OptimizerConfig(optimizer=optimizer, weight_decay=0.1), parameters).step(0.01, FINITE)
    for name, p in parameters.items():
        expected = before[name] * (1 - 0.01 * 0.1) if optimizer != "adam" else before[name] - 0.01 * before[name].sign()
        torch.testing.assert_close(p.detach(), expected, rtol=0, atol=1e-7)  # eps of adam: 1e-8 of 1e-3


@pytest.mark.row("W60")
@pytest.mark.parametrize("device", DEVICES)
@given(seed=seeds, before=st.integers(0, 5), during=st.integers(1, 30))
def test_the_average_is_the_mean_of_the_parameters_after_each_step_since_it_began(device, seed, before, during):
    parameters = parameters_of(seed, device)
    optimizer = Optimizer(OptimizerConfig(optimizer="nt-asgd"), parameters)
    visited = []
    for step in range(before + during):
        if step == before:
            optimizer.start_averaging()
        set_gradients(parameters, seed, step)
        optimizer.step(0.1, FINITE.to(device))
        visited.append({name: p.detach().cpu().numpy().copy() for name, p in parameters.items()})
    state = optimizer.state()
    assert (state["step"], state["averaged"]) == (before + during, during)
    for name in parameters:
        mean = np.mean([arrays[name] for arrays in visited[before:]], axis=0)
        np.testing.assert_allclose(state[f"average.{name}"], mean, rtol=0, atol=1e-13)


@pytest.mark.row("W60")
@pytest.mark.parametrize("t0", [-1, 0])
def test_the_average_is_torchs_which_forgets_its_first_step_if_made_as_awd_lstms_authors_do(t0):
    """ASGD holds lr and 1/n in float32: off by 2^-24 of how far parameters move, and of sum 1/n times that."""
    steps, lr = 50, 0.1
    ours, theirs = parameters_of(0), parameters_of(0)
    optimizer = Optimizer(OptimizerConfig(optimizer="nt-asgd"), ours)
    optimizer.start_averaging()
    loop = torch.optim.ASGD(theirs.values(), lr, lambd=0, alpha=0, t0=t0)
    for step in range(steps):
        set_gradients(ours, 0, step)
        set_gradients(theirs, 0, step)
        optimizer.step(lr, FINITE)
        loop.step()
    bound = 2.0**-24 * steps * lr * (1 + sum(1 / n for n in range(1, steps + 1)))
    for name, p in theirs.items():
        agrees = (optimizer.average[name] - loop.state[p]["ax"]).abs().max() <= bound
        assert bool(agrees) is (t0 == -1)


# ---- in the model ---------------------------------------------------------------------------------------------------


def a_case() -> ModelCase:
    config = LanguageModelConfig(vocab_size=7, embedding_size=5, hidden_sizes=(4, 5), tied=True, weight_drop=0.5)
    return model_case(config, 6, 3, Draws(2))


def a_twin(optimizer: str, precision: str = "float64", **constants: float) -> tuple[TorchLM, ModelCase]:
    case = a_case()
    config = OptimizerConfig(optimizer=optimizer, **constants)
    twin = TorchLM(case.config, optimizer=config, precision=precision)
    twin.load_parameters(case.params)
    return twin, case


def train(twin: TorchLM, case: ModelCase, steps: range, begin_at: int | None = None) -> None:
    for step in steps:
        if step == begin_at:
            twin.start_averaging()
        state = twin.state_from_arrays(case.state_arrays)
        twin.train_step(case.window, state, Draws(1, step), SETTINGS)


def everything(twin: TorchLM) -> dict[str, np.ndarray]:
    return twin.parameters() | twin.optimizer_state()


def assert_bit_equal(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name, strict=True)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_has_the_names_shapes_and_dtypes_of_the_contract(optimizer):
    twin, case = a_twin(optimizer)
    shapes = optimizer_shapes(case.config, OptimizerConfig(optimizer=optimizer))
    for steps in (range(0), range(2)):
        train(twin, case, steps, begin_at=0 if optimizer == "nt-asgd" else None)
        state = twin.optimizer_state()
        assert {name: value.shape for name, value in state.items()} == shapes
        assert {value.dtype for value in state.values()} <= {np.dtype(np.int64), np.dtype(np.float64)}
        assert state["step"].dtype == np.int64
        assert state["step"] == len(steps)
    with pytest.raises(ShapeError):
        twin.load_optimizer_state(state | {"momentum": state["step"]})


@pytest.mark.row("W44")
@pytest.mark.parametrize(("optimizer", "begin_at"), [*((name, None) for name in OPTIMIZERS), *NT_ASGD_FROM])
def test_training_goes_on_bit_by_bit_from_parameters_and_state(optimizer, begin_at):
    whole, case = a_twin(optimizer)
    train(whole, case, range(6), begin_at)
    first, _ = a_twin(optimizer)
    train(first, case, range(3), begin_at)
    second, _ = a_twin(optimizer)
    second.load_parameters(first.parameters())
    second.load_optimizer_state(first.optimizer_state())
    assert_bit_equal(everything(second), everything(first))
    train(second, case, range(3, 6), begin_at)
    assert_bit_equal(everything(second), everything(whole))


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_whose_loss_is_not_finite_changes_nothing(optimizer, bad, precision):
    twin, case = a_twin(optimizer, precision, weight_decay=0.1)
    train(twin, case, range(3), begin_at=1 if optimizer == "nt-asgd" else None)
    twin.load_parameters(twin.parameters() | {"decoder.bias": np.array([0, 0, 0, bad, 0, 0, 0])})
    before = everything(twin)
    train(twin, case, range(3, 5))
    assert_bit_equal(everything(twin), before)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_step_is_loss_and_gradients_then_clip_then_the_stock_update(optimizer):
    twin, case = a_twin(optimizer, weight_decay=0.1)
    other, _ = a_twin(optimizer)
    if optimizer == "nt-asgd":
        twin.start_averaging()
    parameters = {name: nn.Parameter(torch.from_numpy(value)) for name, value in other.parameters().items()}
    loop = stock(OptimizerConfig(optimizer=optimizer, weight_decay=0.1), parameters, SETTINGS.lr)
    state = twin.state_from_arrays(case.state_arrays)
    for step in range(4):
        other.load_parameters({name: p.detach().numpy() for name, p in parameters.items()})
        computed = other.loss_and_gradients(case.window, state, Draws(1, step))
        for name, p in parameters.items():
            p.grad = torch.from_numpy(computed.gradients[name])
        norm = nn.utils.clip_grad_norm_(parameters.values(), SETTINGS.clip)
        loop.step()
        result = twin.train_step(case.window, state, Draws(1, step), SETTINGS)
        assert float(result.loss) == pytest.approx(computed.loss, abs=1e-13)
        assert float(result.gradient_norm) == pytest.approx(float(norm), rel=1e-12)
        for name, value in twin.parameters().items():
            np.testing.assert_allclose(value, parameters[name].detach().numpy(), rtol=0, atol=1e-13, err_msg=name)


@pytest.mark.row("W60")
@pytest.mark.parametrize("device", DEVICES)
def test_exchanged_the_average_is_the_model_and_exchanged_again_training_goes_on(device):
    case = a_case()
    twin = TorchLM(case.config, optimizer=OptimizerConfig(optimizer="nt-asgd"), device=device, precision="float64")
    twin.load_parameters(case.params)
    state = twin.state_from_arrays(case.state_arrays)
    train(twin, case, range(5), begin_at=2)
    before, judged = everything(twin), twin.evaluate(case.window, state).total
    twin.exchange_average()
    assert_bit_equal(twin.parameters(), {name: before[f"average.{name}"] for name in case.params})
    assert twin.evaluate(case.window, state).total != judged
    for forbidden in (
        lambda: train(twin, case, range(5, 6)),
        lambda: twin.load_optimizer_state(twin.optimizer_state()),
        twin.start_averaging,
    ):
        with pytest.raises(RuntimeError, match="changed places"):
            forbidden()
    twin.exchange_average()
    assert_bit_equal(everything(twin), before)
    train(twin, case, range(5, 6))
    assert twin.optimizer_state()["averaged"] == 4


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_without_an_average_there_is_nothing_to_exchange(optimizer):
    twin, case = a_twin(optimizer)
    train(twin, case, range(2))
    if optimizer == "nt-asgd":
        twin.start_averaging()  # begun, but no step yet
    before = everything(twin)
    twin.exchange_average()
    assert_bit_equal(everything(twin), before)
    train(twin, case, range(2, 3))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_only_nt_asgd_averages(optimizer):
    with pytest.raises(ConfigError, match="nt-asgd"):
        a_twin(optimizer)[0].start_averaging()

"""The two twins agree: loss, every gradient, the next state, the optimizer, evaluation and sampled ids."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import LanguageModel, StepSettings
from lstm_ref.core.params import initial_parameters
from lstm_ref.model import NumpyLM
from lstm_torch.model import TorchLM
from parity_tests.cases import ModelCase, model_case, model_cases

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


def twins(case: ModelCase, device: str = "cpu", precision: str = "float64") -> tuple[NumpyLM, TorchLM]:
    reference = NumpyLM(case.config, dtype=np.float64)
    twin = TorchLM(case.config, device=device, precision=precision)
    for model in (reference, twin):
        model.load_parameters(case.params)
    return reference, twin


def assert_states_agree(first: LanguageModel, second: LanguageModel, states: tuple, atol: float) -> None:
    arrays, others = first.state_arrays(states[0]), second.state_arrays(states[1])
    assert arrays.keys() == others.keys()
    for name in arrays:
        np.testing.assert_allclose(arrays[name], others[name], rtol=0, atol=atol, err_msg=name)


@pytest.mark.row("C21", "C24", "C30", "C63")
@pytest.mark.parametrize("device", DEVICES)
@given(case=model_cases())
def test_loss_gradients_and_state_agree_in_float64(device, case):
    reference, twin = twins(case, device)
    state = twin.state_from_arrays(case.state_arrays)
    expected = reference.loss_and_gradients(case.window, case.state, case.draws)
    actual = twin.loss_and_gradients(case.window, state, case.draws)
    assert actual.loss == pytest.approx(expected.loss, abs=1e-10)
    assert actual.gradients.keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        assert actual.gradients[name].dtype == np.float64
        np.testing.assert_allclose(actual.gradients[name], gradient, rtol=0, atol=1e-8, err_msg=name)
        assert np.linalg.norm(actual.gradients[name] - gradient) <= 1e-10 * max(1, np.linalg.norm(gradient)), name
    assert_states_agree(reference, twin, (expected.state, actual.state), atol=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@given(case=model_cases())
def test_float32_of_the_torch_twin_stays_near_the_float64_truth(device, case):
    reference, twin = twins(case, device, "float32")
    expected = reference.loss_and_gradients(case.window, case.state, case.draws)
    actual = twin.loss_and_gradients(case.window, twin.state_from_arrays(case.state_arrays), case.draws)
    assert actual.loss == pytest.approx(expected.loss, abs=1e-5)
    norm = np.sqrt(sum((gradient**2).sum() for gradient in expected.gradients.values()))
    for name, gradient in expected.gradients.items():
        assert np.linalg.norm(actual.gradients[name] - gradient) <= 1e-4 * norm, name


@pytest.mark.parametrize("device", DEVICES)
def test_bf16_of_the_torch_twin_stays_within_its_rounding_of_the_truth(device):
    case = model_case(LanguageModelConfig(vocab_size=11, hidden_sizes=(24, 16)), T=9, B=4, draws=Draws(5))
    reference, twin = twins(case, device, "bf16")
    expected = reference.loss_and_gradients(case.window, case.state, case.draws)
    actual = twin.loss_and_gradients(case.window, twin.state_from_arrays(case.state_arrays), case.draws)
    assert all(gradient.dtype == np.float32 for gradient in actual.gradients.values())
    assert actual.loss == pytest.approx(expected.loss, abs=2e-2)  # eps of bf16 is 7.8e-3
    assert actual.loss != pytest.approx(expected.loss, abs=1e-7)  # and it really is bf16
    norm = np.sqrt(sum((gradient**2).sum() for gradient in expected.gradients.values()))
    for name, gradient in expected.gradients.items():
        assert np.linalg.norm(actual.gradients[name] - gradient) <= 0.05 * norm, name


@pytest.mark.row("C28")
@pytest.mark.parametrize("device", DEVICES)
@given(case=model_cases())
def test_evaluation_and_logits_agree(device, case):
    reference, twin = twins(case, device)
    state = twin.state_from_arrays(case.state_arrays)
    expected, actual = reference.evaluate(case.window, case.state), twin.evaluate(case.window, state)
    assert actual.tokens == expected.tokens
    assert actual.total == pytest.approx(expected.total, rel=1e-10)
    assert_states_agree(reference, twin, (expected.state, actual.state), atol=1e-9)
    again = twin.evaluate(case.window, state)
    assert again.total == actual.total
    logits, _ = reference.logits(case.window.inputs, case.state)
    np.testing.assert_allclose(twin.logits(case.window.inputs, state)[0], logits, rtol=0, atol=1e-9)


@pytest.mark.row("C29", "C34", "C35", "BW18")  # a call that torch warns of is an error in all tests
@pytest.mark.parametrize("device", DEVICES)
def test_200_training_steps_with_dropout_clip_and_adam_agree_to_1e_9(device):
    config = LanguageModelConfig(vocab_size=13, hidden_sizes=(17, 12), dropout_between=0.5, dropout_output=0.3)
    case = model_case(config, T=11, B=7, draws=Draws(6))
    reference, twin = twins(case, device)
    states = [case.state, twin.state_from_arrays(case.state_arrays)]
    settings = StepSettings(lr=0.01, clip=0.125)
    clipped = 0
    for step in range(200):
        window = model_case(config, 11, 7, Draws(6, step)).window
        results = [
            model.train_step(window, state, Draws(6, step), settings) for model, state in zip((reference, twin), states)
        ]
        states = [result.state for result in results]
        assert float(results[1].loss) == pytest.approx(float(results[0].loss), abs=1e-9), step
        assert float(results[1].gradient_norm) == pytest.approx(float(results[0].gradient_norm), abs=1e-8), step
        clipped += float(results[0].gradient_norm) > settings.clip
    assert 0 < clipped < 200  # both branches of the clip were taken
    for name, value in reference.parameters().items():
        np.testing.assert_allclose(twin.parameters()[name], value, rtol=0, atol=1e-8, err_msg=name)
    for name, value in reference.optimizer_state().items():
        np.testing.assert_allclose(twin.optimizer_state()[name], value, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_updates_nothing_in_the_torch_twin(precision, bad):
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5)), 6, 3, Draws(2))
    case.params["decoder.bias"][3] = bad
    _, twin = twins(case, precision=precision)
    before = twin.parameters() | twin.optimizer_state()
    state = twin.state_from_arrays(case.state_arrays)
    result = twin.train_step(case.window, state, case.draws, StepSettings(lr=0.1, clip=1.0))
    assert not (np.isfinite(float(result.loss)) and np.isfinite(float(result.gradient_norm)))
    for name, value in (twin.parameters() | twin.optimizer_state()).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_the_torch_twins_training_step_is_its_loss_and_gradients_then_clip_then_adam():
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5)), 6, 3, Draws(2))
    _, twin = twins(case)
    _, other = twins(case)
    parameters = {name: torch.nn.Parameter(torch.from_numpy(p)) for name, p in other.parameters().items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=0.01)
    state = twin.state_from_arrays(case.state_arrays)
    for step in range(3):
        other.load_parameters({name: p.detach().numpy() for name, p in parameters.items()})
        computed = other.loss_and_gradients(case.window, state, Draws(1, step))
        for name, p in parameters.items():
            p.grad = torch.from_numpy(computed.gradients[name])
        torch.nn.utils.clip_grad_norm_(parameters.values(), 0.1)
        optimizer.step()
        result = twin.train_step(case.window, state, Draws(1, step), StepSettings(lr=0.01, clip=0.1))
        assert float(result.loss) == computed.loss
        state = result.state
        for name, p in twin.parameters().items():
            np.testing.assert_allclose(p, parameters[name].detach().numpy(), rtol=0, atol=1e-13, err_msg=name)


@pytest.mark.row("C25", "C62")
def test_both_twins_have_the_same_names_shapes_state_and_initial_values():
    config = LanguageModelConfig(vocab_size=83, hidden_sizes=(16, 24), embedding_size=5)
    initial = initial_parameters(config, seed=3)
    case = dataclasses.replace(model_case(config, 2, 3, Draws(0)), params=initial)
    reference, twin = twins(case)
    parameters = reference.parameters()
    assert twin.parameters().keys() == parameters.keys() == initial.keys()
    for name, value in twin.parameters().items():
        np.testing.assert_array_equal(value, parameters[name], err_msg=name)
    assert_states_agree(reference, twin, (reference.zero_state(3), twin.zero_state(3)), atol=0)
    assert all(not array.any() for array in twin.state_arrays(twin.zero_state(3)).values())
    optimizer = twin.optimizer_state()
    assert optimizer.keys() == reference.optimizer_state().keys()
    assert all(not array.any() for array in optimizer.values())


@pytest.mark.row("BC4", "C63")
@pytest.mark.parametrize("device", DEVICES)
def test_everything_of_the_torch_twin_is_on_its_one_device(device):
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5), embedding_size=3), 6, 3, Draws(2))
    _, twin = twins(case, device)
    state = twin.train_step(
        case.window, twin.state_from_arrays(case.state_arrays), case.draws, StepSettings(lr=0.1, clip=1)
    ).state
    tensors = list(twin.network.parameters()) + [tensor for pair in state for tensor in pair]
    tensors += [tensor for moments in twin.optimizer.fused.state.values() for tensor in moments.values()]
    assert {tensor.device.type for tensor in tensors} == {device}
    assert twin.evaluate(case.window, state).total > 0


def test_adams_constants_reach_both_twins():
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4,)), 6, 3, Draws(2))
    adam = OptimizerConfig(beta1=0.5, beta2=0.9, eps=1e-3)
    reference = NumpyLM(case.config, dtype=np.float64, optimizer=adam)
    twin = TorchLM(case.config, precision="float64", optimizer=adam)
    for model in (reference, twin):
        model.load_parameters(case.params)
    states = case.state, twin.state_from_arrays(case.state_arrays)
    for step in range(5):
        for model, state in zip((reference, twin), states):
            model.train_step(case.window, state, Draws(1, step), StepSettings(lr=0.01, clip=1.0))
    for name, value in reference.parameters().items():
        np.testing.assert_allclose(twin.parameters()[name], value, rtol=0, atol=1e-12, err_msg=name)
    plain = NumpyLM(case.config, dtype=np.float64)
    plain.load_parameters(case.params)
    plain.train_step(case.window, case.state, Draws(1, 0), StepSettings(lr=0.01, clip=1.0))
    first_moment = "exp_avg.decoder.bias"
    assert not np.array_equal(plain.optimizer_state()[first_moment], reference.optimizer_state()[first_moment])

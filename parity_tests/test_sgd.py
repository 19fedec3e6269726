"""SGD and its average: a hundred steps against torch, the compiled forms against the plain ones, and the start."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.kernels.sgd import average_plain, averaged_sgd, exchange, sgd, sgd_plain
from parity_tests.cases import seeds, values

CONFIGS = st.builds(
    OptimizerConfig, optimizer=st.sampled_from(["sgd", "nt-asgd"]), weight_decay=st.sampled_from([0.0, 1.2e-6, 0.1])
)
STEPS = 100
EPS = np.finfo(float).eps


@pytest.fixture(scope="module", autouse=True)
def float64_in_torch() -> Iterator[None]:
    """ASGD keeps lr and 1/n in tensors of the default dtype: in float32 its average of float64 is off by 1e-8."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def torch_asgd(p: np.ndarray, gradients: list[np.ndarray], lr: float, weight_decay: float, t0: float) -> np.ndarray:
    """torch's average after these steps."""
    twin = torch.nn.Parameter(torch.from_numpy(p.copy()))
    optimizer = torch.optim.ASGD([twin], lr=lr, lambd=0, alpha=0, t0=t0, weight_decay=weight_decay)
    for g in gradients:
        twin.grad = torch.from_numpy(g)
        optimizer.step()
    return optimizer.state[twin]["ax"].numpy()


def our_average(p: np.ndarray, gradients: list[np.ndarray], lr: float, config: OptimizerConfig) -> np.ndarray:
    p, a = p.copy(), np.zeros_like(p)
    for n, g in enumerate(gradients, start=1):
        averaged_sgd(p, g, a, n, lr, config)
    return a


def gradients_of(seed: int) -> list[np.ndarray]:
    return [values(Draws(seed, t), "g", 3, 5) for t in range(STEPS)]


@pytest.mark.row("W39")
@given(seed=seeds, config=CONFIGS, lr=st.sampled_from([1e-3, 0.1]))
def test_a_hundred_steps_equal_torchs(seed, config, lr):
    p = values(Draws(seed), "p", 3, 5)
    twin = torch.nn.Parameter(torch.from_numpy(p.copy()))
    optimizer = torch.optim.SGD([twin], lr=lr, weight_decay=config.weight_decay)
    for g in gradients_of(seed):
        sgd(p, g, lr, config)
        twin.grad = torch.from_numpy(g)
        optimizer.step()
    # each step is rounded at the parameter's scale, which is below 1 + 100 lr
    np.testing.assert_allclose(p, twin.detach().numpy(), rtol=0, atol=STEPS * EPS * (1 + STEPS * lr))


@pytest.mark.row("W60")
@given(seed=seeds, config=CONFIGS, lr=st.sampled_from([1e-3, 0.1]))
def test_the_average_of_a_hundred_steps_equals_torchs(seed, config, lr):
    p, gradients = values(Draws(seed), "p", 3, 5), gradients_of(seed)
    expected = torch_asgd(p, gradients, lr, config.weight_decay, t0=-1)  # the t0 that forgets no step
    average = our_average(p, gradients, lr, config)
    np.testing.assert_allclose(average, expected, rtol=0, atol=2 * STEPS * EPS * (1 + STEPS * lr))


@pytest.mark.row("W60")
def test_torchs_average_from_t0_0_forgets_its_first_step():
    config, lr = OptimizerConfig(optimizer="nt-asgd"), 0.1
    p, gradients = values(Draws(3), "p", 3, 5), gradients_of(3)
    expected = torch_asgd(p, gradients, lr, 0.0, t0=0)
    assert np.abs(our_average(p, gradients, lr, config) - expected).max() > 1e-4
    sgd(p, gradients[0], lr, config)
    np.testing.assert_allclose(our_average(p, gradients[1:], lr, config), expected, rtol=0, atol=1e-13)


@pytest.mark.row("W60")
@given(seed=seeds, config=CONFIGS)
def test_the_average_is_the_mean_of_the_parameters_after_each_step(seed, config):
    p, visited = values(Draws(seed), "p", 3, 5), []
    gradients = gradients_of(seed)
    average = our_average(p, gradients, 0.1, config)
    for g in gradients:
        sgd(p, g, 0.1, config)
        visited.append(p.copy())
    np.testing.assert_allclose(average, np.mean(visited, axis=0), rtol=0, atol=STEPS * EPS * 10)


@given(seed=seeds, config=CONFIGS, n=st.integers(1, 1000), factor=st.sampled_from([1.0, 0.125]))
def test_the_compiled_forms_equal_the_plain_ones_with_the_clip_folded_in(seed, config, n, factor):
    draws = Draws(seed)
    p, g, a = (values(draws, name, 4, 7) for name in "pga")
    expected = sgd_plain(p, g * factor, 0.01, config)
    alone, averaged = p.copy(), p.copy()
    sgd(alone, g, 0.01, config, factor)
    expected_average = average_plain(a, expected, n)
    averaged_sgd(averaged, g, a, n, 0.01, config, factor)
    for actual, wanted in ((alone, expected), (averaged, expected), (a, expected_average)):
        np.testing.assert_allclose(actual, wanted, rtol=1e-14, atol=4 * EPS)


@given(seed=seeds, config=CONFIGS)
def test_float32_stays_in_float32_and_near_float64(seed, config):
    draws = Draws(seed)
    p, g, a = (values(draws, name, 6).astype(np.float32) for name in "pga")
    expected = sgd_plain(p.astype(np.float64), g.astype(np.float64), 0.01, config)
    expected_average = average_plain(a.astype(np.float64), expected, 3)
    averaged_sgd(p, g, a, 3, 0.01, config)
    for actual, wanted in ((p, expected), (a, expected_average)):
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=4 * np.finfo(np.float32).eps)  # of numbers below 2


def test_the_first_step_is_its_own_average_to_the_bit():
    p, a = values(Draws(2), "p", 5).astype(np.float32), np.zeros(5, np.float32)
    averaged_sgd(p, values(Draws(2), "g", 5).astype(np.float32), a, 1, 0.3, OptimizerConfig(optimizer="nt-asgd"))
    np.testing.assert_array_equal(a, p)


def test_exchanged_twice_is_as_before():
    p, a = values(Draws(2), "p", 3, 4), values(Draws(2), "a", 3, 4)
    once, other = p.copy(), a.copy()
    exchange(once, other)
    np.testing.assert_array_equal(once, a)
    np.testing.assert_array_equal(other, p)
    exchange(once, other)
    np.testing.assert_array_equal(once, p)

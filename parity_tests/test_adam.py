"""Adam and AdamW: a hundred steps against torch, the compiled form against the plain one, and what decay does."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.kernels.adam import adam, adam_plain
from parity_tests.cases import seeds, values

CONFIGS = st.builds(
    OptimizerConfig,
    optimizer=st.sampled_from(["adam", "adamw"]),
    weight_decay=st.sampled_from([0.0, 1.2e-6, 0.1]),
    beta1=st.sampled_from([0.0, 0.5, 0.9]),
    beta2=st.sampled_from([0.3, 0.9, 0.999]),
    eps=st.sampled_from([1e-8, 1e-3]),
)


@pytest.mark.row("C29", "W39")
@given(seed=seeds, config=CONFIGS, lr=st.sampled_from([1e-3, 0.1]))
def test_a_hundred_steps_equal_torchs(seed, config, lr):
    draws = Draws(seed)
    start = values(draws, "p", 3, 5)
    p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
    twin = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer_class = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    settings = {"betas": (config.beta1, config.beta2), "eps": config.eps, "weight_decay": config.weight_decay}
    optimizer = optimizer_class([twin], lr=lr, **settings)
    for t in range(1, 101):
        g = values(draws.at(t), "g", 3, 5)
        adam(p, g, m, v, t, lr, config)
        twin.grad = torch.from_numpy(g)
        optimizer.step()
    # a hundred updates of size lr, each rounded at the parameter's scale
    np.testing.assert_allclose(p, twin.detach().numpy(), rtol=0, atol=100 * np.finfo(float).eps * (1 + 100 * lr))


@given(seed=seeds, config=CONFIGS, t=st.integers(1, 1000), factor=st.sampled_from([1.0, 0.125]))
def test_the_compiled_form_equals_the_plain_one_with_the_clip_folded_in(seed, config, t, factor):
    draws = Draws(seed)
    p, g, m = (values(draws, name, 4, 7) for name in "pgm")
    v = np.abs(values(draws, "v", 4, 7))
    expected = adam_plain(p, g * factor, m, v, t, 0.01, config)
    adam(p, g, m, v, t, 0.01, config, factor)
    for actual, wanted in zip((p, m, v), expected):
        np.testing.assert_allclose(actual, wanted, rtol=1e-14, atol=1e-16)


@given(seed=seeds)
def test_float32_stays_in_float32_and_near_float64(seed):
    draws = Draws(seed)
    p, g, m = (values(draws, name, 6) for name in "pgm")
    v = np.abs(values(draws, "v", 6)) + 0.01
    expected = adam_plain(p, g, m, v, 3, 0.01, OptimizerConfig())
    rounded = [array.astype(np.float32) for array in (p, g, m, v)]
    adam(*rounded, 3, 0.01, OptimizerConfig())
    for actual, wanted in zip((rounded[0], *rounded[2:]), expected):
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)  # a dozen roundings of 6e-8


def test_the_first_step_moves_by_the_learning_rate_whatever_the_gradients_size():
    p, m, v = np.zeros(3), np.zeros(3), np.zeros(3)
    adam(p, np.array([1e-3, -1.0, 1e3]), m, v, 1, 0.01, OptimizerConfig())
    np.testing.assert_allclose(p, [-0.01, 0.01, -0.01], rtol=1e-4)  # eps counts 1e-5 of the smallest


@pytest.mark.row("W39")
def test_l2_decay_is_divided_by_the_gradients_size_and_decoupled_decay_is_not():
    """Three weights of 1, under gradients that alternate and are none, small and large."""
    moved = {}
    for name in ("adam", "adamw"):
        config = OptimizerConfig(optimizer=name, weight_decay=0.01)
        p, m, v = np.ones(3), np.zeros(3), np.zeros(3)
        for t in range(1, 1001):
            adam(p, np.array([0.0, 0.1, 10.0]) * (-1) ** t, m, v, t, 0.001, config)
        moved[name] = 1 - p
    none, small, large = moved["adamw"]
    assert none == pytest.approx(1 - (1 - 0.001 * 0.01) ** 1000, rel=1e-12)
    assert small == pytest.approx(large, rel=1e-6)  # eps counts 1e-7 of the small one
    _, small, large = moved["adam"]
    assert small > 20 * abs(large)


@given(seed=seeds, dtype=st.sampled_from([np.float32, np.float64]))
def test_without_weight_decay_adam_and_adamw_are_one_to_the_bit(seed, dtype):
    start = [values(Draws(seed), name, 9).astype(dtype) for name in "pg"] + [np.zeros(9, dtype) for _ in "mv"]
    results = []
    for config in (OptimizerConfig(), OptimizerConfig(optimizer="adamw")):
        p, g, m, v = (array.copy() for array in start)
        adam(p, g, m, v, 1, 0.01, config, 0.3)
        results.append(np.concatenate([p, m, v]))
    np.testing.assert_array_equal(*results)


def test_a_matrix_is_updated_in_place():
    p = np.ones((2, 3))
    view = p
    adam(p, np.ones((2, 3)), np.zeros((2, 3)), np.zeros((2, 3)), 1, 0.5, OptimizerConfig())
    assert view is p
    np.testing.assert_allclose(p, 0.5)

"""The sampling policy: plain, compiled and torch forms choose the same id; support, order, statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.kernels.sampling import sample_token, sample_token_plain
from lstm_torch.sampling import sample_token as sample_token_torch
from parity_tests.cases import seeds, values

UNIFORMS = st.one_of(st.sampled_from([0.0, 0.5, 1 - 2**-53]), st.floats(0, 1, exclude_max=True))


@st.composite
def logits(draw: st.DrawFn) -> np.ndarray:
    """Spread out, nearly equal, or with ties: few distinct values."""
    V = draw(st.integers(1, 12))
    z = values(Draws(draw(seeds)), "logits", V, scale=draw(st.sampled_from([0.01, 3.0, 30.0])))
    return np.round(z) if draw(st.booleans()) else z


@st.composite
def policies(draw: st.DrawFn, V: int) -> SamplingPolicy:
    return SamplingPolicy(
        temperature=draw(st.sampled_from([0.1, 0.7, 1.0, 3.0])),
        top_k=draw(st.none() | st.integers(1, V)),
        top_p=draw(st.none() | st.sampled_from([0.1, 0.5, 0.9, 1.0])),
    )


@given(data=st.data(), z=logits(), u=UNIFORMS)
def test_numpy_numba_and_torch_choose_the_same_id(data, z, u):
    policy = data.draw(policies(len(z)))
    expected = sample_token_plain(z, policy, u)
    assert sample_token(z, policy, u) == expected
    assert int(sample_token_torch(torch.from_numpy(z), policy, u)) == expected


@pytest.mark.row("C51")
@given(data=st.data(), z=logits(), u=UNIFORMS)
def test_top_k_never_returns_an_id_outside_the_k_largest(data, z, u):
    K = data.draw(st.integers(1, len(z)))
    order = sorted(range(len(z)), key=lambda i: (-z[i], i))  # ties by id, so exactly K are kept
    assert sample_token_plain(z, SamplingPolicy(top_k=K), u) in order[:K]


@pytest.mark.row("BC8")
@given(z=logits(), u=UNIFORMS)
def test_top_k_1_is_greedy_and_takes_the_smallest_id_of_equals(z, u):
    assert sample_token_plain(z, SamplingPolicy(top_k=1), u) == int(np.argmax(z))


@given(z=logits(), u=UNIFORMS, top_p=st.sampled_from([0.1, 0.5, 0.9]))
def test_top_p_keeps_the_shortest_prefix_that_reaches_it(z, u, top_p):
    token = sample_token_plain(z, SamplingPolicy(top_p=top_p), u)
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    before = sum(p[i] for i in range(len(z)) if (-z[i], i) < (-z[token], token))
    assert before < top_p + 1e-12  # the probability of all likelier ids had not yet reached top_p


@given(z=logits(), low=UNIFORMS, high=UNIFORMS)
def test_a_larger_u_never_chooses_a_likelier_id(z, low, high):
    low, high = sorted((low, high))
    first, second = (z[sample_token_plain(z, SamplingPolicy(), u)] for u in (low, high))
    assert second <= first


@given(z=logits(), u=UNIFORMS)
def test_temperature_acts_before_top_k_and_top_p(z, u):
    """So a policy at temperature 2 on z is the policy at 1 on z/2."""
    at_two = SamplingPolicy(temperature=2.0, top_k=min(3, len(z)), top_p=0.7)
    at_one = SamplingPolicy(temperature=1.0, top_k=min(3, len(z)), top_p=0.7)
    assert sample_token_plain(z, at_two, u) == sample_token_plain(z / 2, at_one, u)


def test_every_id_can_be_drawn_the_last_one_too():
    z, edges = np.log(np.array([0.5, 0.3, 0.2])), [0.0, 0.4999, 0.5001, 0.7999, 0.8001, 1 - 2**-53]
    assert [sample_token_plain(z, SamplingPolicy(), u) for u in edges] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("choose", [sample_token_plain, sample_token])
def test_a_border_that_is_met_exactly_counts_as_reached(choose):
    """Of equal logits the cumulative sums are whole numbers, so nothing is rounded."""
    equal = np.zeros(4)
    assert [choose(equal, SamplingPolicy(), u) for u in (0, 0.25, 0.5, 0.75)] == [0, 1, 2, 3]
    assert [choose(equal, SamplingPolicy(top_p=p), 1 - 2**-53) for p in (0.25, 0.5, 0.75)] == [0, 1, 2]


@pytest.mark.parametrize("choose", [sample_token_plain, sample_token])
def test_logits_of_ten_thousand_overflow_nothing(choose):
    z = np.array([-1e4, 1e4, 1e4 - 1, -1e4])
    for u, expected in ((0, 1), (0.73, 1), (0.74, 2), (1 - 2**-53, 2)):  # e / (e + 1) = 0.731
        assert choose(z, SamplingPolicy(), u) == expected


@pytest.mark.row("C51", "C52", "C53")
@pytest.mark.parametrize(
    "policy", [SamplingPolicy(), SamplingPolicy(top_k=4), SamplingPolicy(temperature=0.5, top_k=4)]
)
def test_a_hundred_thousand_draws_follow_the_renormalised_softmax(policy):
    z, n = np.array([0.3, -1.0, 2.0, 0.0, 1.0, -0.5]), 100_000
    uniforms = Draws(17).uniform("chi-square", (n,))
    counts = np.bincount([sample_token(z, policy, u) for u in uniforms], minlength=len(z))
    weights = np.exp(z / policy.temperature)
    kept = np.argsort(-z)[: policy.top_k]
    expected = n * weights[kept] / weights[kept].sum()
    assert counts.sum() == counts[kept].sum() == n
    chi_square = ((counts[kept] - expected) ** 2 / expected).sum()
    assert chi_square < 20.5  # p = 0.001 at 5 degrees of freedom; fewer are stricter still


@pytest.mark.row("BC9")
@pytest.mark.parametrize(
    "bad",
    [{"temperature": 0}, {"temperature": -1}, {"temperature": np.inf}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.5}],
)
def test_a_policy_that_cannot_be_is_refused_by_name(bad):
    (name,) = bad
    with pytest.raises(ConfigError, match=name):
        SamplingPolicy(**bad)


@pytest.mark.row("BC9")
def test_top_k_above_the_vocabulary_is_refused():
    with pytest.raises(ConfigError, match="top_k=84: the vocabulary has only 83"):
        SamplingPolicy(top_k=84).check_vocabulary(83)


@pytest.mark.parametrize("choose", [sample_token_plain, sample_token])
def test_float32_logits_are_decided_in_float64(choose):
    z = np.array([0.1, 0.2, 0.3], np.float32)
    for u in np.linspace(0, 0.999, 50):
        assert choose(z, SamplingPolicy(), u) == choose(z.astype(np.float64), SamplingPolicy(), u)

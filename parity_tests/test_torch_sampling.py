"""Sampling in blocks on the device yields the ids of the loop over the host, token by token."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import SamplingPolicy
from lstm_torch.device_sampling import LONGEST, DeviceSampler
from lstm_torch.graph import Graphs
from lstm_torch.model import TorchLM
from lstm_torch.options import Options
from lstm_torch.sampling import sample_token
from parity_tests.cases import model_case
from parity_tests.tape import Tape, TapeRecorder
from parity_tests.test_parity import needs_cuda

CONFIGS = {
    "characters": LanguageModelConfig(vocab_size=31, hidden_sizes=(17, 12)),
    "words": LanguageModelConfig(vocab_size=31, embedding_size=12, hidden_sizes=(17, 12), tied=True),
}
POLICIES = {
    "all": SamplingPolicy(),
    "greedy": SamplingPolicy(top_k=1),
    "top-k 5": SamplingPolicy(top_k=5),
    "top-p 0.8": SamplingPolicy(top_p=0.8),
    "hot, top-k and top-p": SamplingPolicy(temperature=1.7, top_k=9, top_p=0.6),
}
ON = Options(device_sampling=True)


def twin_of(
    name: str = "characters", options: Options | None = None, device: str = "cpu", precision: str = "float64"
) -> TorchLM:
    """With weights large enough that what is drawn depends on what came before."""
    case = model_case(CONFIGS[name], 2, 2, Draws(8))
    twin = TorchLM(CONFIGS[name], device=device, precision=precision, options=options)
    twin.load_parameters({key: 3 * value for key, value in case.params.items()})
    return twin


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("name", CONFIGS)
def test_ids_are_those_of_the_loop_over_the_host(name, policy, precision):
    plain, blocks = (twin_of(name, options, precision=precision) for options in (None, ON))
    for length, first_draw in ((0, 0), (1, 0), (2, 5), (200, 3)):
        expected = list(plain.sample([1, 2, 3], length, policy, Draws(4), first_draw))
        assert list(blocks.sample([1, 2, 3], length, policy, Draws(4), first_draw)) == expected
    assert len(set(expected)) > 3 or policy.top_k == 1  # the likeliest soon repeat themselves


@given(length=st.integers(0, 200), first_draw=st.integers(0, 100), seed=st.integers(0, 2**64 - 1))
def test_any_length_from_any_draw(length, first_draw, seed):
    plain, blocks = twin_of(), twin_of(options=ON)
    arguments = [1], length, SamplingPolicy(), Draws(seed), first_draw
    assert list(blocks.sample(*arguments)) == list(plain.sample(*arguments))


def sampler_of(twin: TorchLM, policy: SamplingPolicy) -> DeviceSampler:
    """With a tape where a CUDA graph would be."""
    sampler = DeviceSampler(twin._step, twin.zero_state(1), 1, policy, None)
    written = [sampler.token, sampler.place, sampler.ids, *(array for pair in sampler.state for array in pair)]
    sampler.graphs = Graphs(lambda: TapeRecorder(lambda: written))
    return sampler


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_captured_token_run_again_goes_on_with_the_text(name, policy):
    twin = twin_of(name)
    expected = list(twin.sample([1], 150, policy, Draws(4), 7))
    with torch.inference_mode():
        sampler = sampler_of(twin, policy)
        assert list(sampler.sample(150, Draws(4, 7))) == expected
    recorder = sampler.graphs.recorder
    assert (recorder.warm_ups, recorder.captures, recorder.replays) == (1, 1, 149)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_the_policy_brings_no_value_to_the_host(policy):
    with Tape():
        sample_token(torch.arange(31.0), policy, torch.tensor(0.3, dtype=torch.float64))


class Counted:
    """How many tokens went through the network."""

    def __init__(self, twin: TorchLM):
        self.step, self.tokens = twin._step, 0

    def __call__(self, token, state):
        self.tokens += 1
        return self.step(token, state)


def test_the_first_id_waits_for_one_token_and_a_text_that_is_left_costs_no_more_than_its_block():
    twin = twin_of(options=ON)
    twin._step = counted = Counted(twin)
    text: Iterator[int] = twin.sample([1], 1000, SamplingPolicy(), Draws(4))
    seen = []
    for _ in range(40):
        next(text)
        seen.append(counted.tokens)
    text.close()
    assert seen == [1, *2 * [3], *4 * [7], *8 * [15], *16 * [31], *9 * [63]]
    counted.tokens = 0
    assert len(list(twin.sample([1], 300, SamplingPolicy(), Draws(4)))) == counted.tokens == 300
    assert 4 * LONGEST < 300


@pytest.mark.parametrize("options", [None, ON], ids=["loop", "blocks"])
def test_where_the_steps_end_the_text_ends_with_an_error(options):
    text = twin_of(options=options).sample([1], 10, SamplingPolicy(), Draws(4), 2**32 - 6)
    assert len([next(text) for _ in range(6)]) == 6
    with pytest.raises(ValueError, match="32"):
        next(text)


def test_two_texts_at_once_do_not_disturb_each_other():
    twin = twin_of(options=ON)
    expected = [list(twin.sample([1], 90, SamplingPolicy(), Draws(seed))) for seed in (1, 2)]
    texts = [twin.sample([1], 90, SamplingPolicy(), Draws(seed)) for seed in (1, 2)]
    interleaved = [[next(text) for text in texts] for _ in range(90)]
    assert np.array(interleaved).T.tolist() == expected


@needs_cuda
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("graph", [False, True])
def test_on_cuda_ids_are_those_of_the_cpu_in_float64(graph, name, policy):
    options = Options(device_sampling=True, device_draws=True, resident=True, graph=graph)
    expected = list(twin_of(name).sample([1, 2], 300, policy, Draws(4), 3))
    assert list(twin_of(name, options, "cuda").sample([1, 2], 300, policy, Draws(4), 3)) == expected


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_on_cuda_a_graph_of_a_token_yields_the_ids_of_the_loop(precision):
    plain = twin_of(device="cuda", precision=precision)
    fast = twin_of(options=Options.production("cuda", precision), device="cuda", precision=precision)
    ids = [list(twin.sample([1], 300, SamplingPolicy(), Draws(4))) for twin in (plain, fast)]
    assert ids[0] == ids[1]

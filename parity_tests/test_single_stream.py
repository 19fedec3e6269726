"""The network for one row, a token at a time, against the plain model, and who owns its weights and its state."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.model import NumpyLM
from lstm_ref.plain_model import loss_plain
from lstm_ref.single_stream import SingleStream, StreamWeights
from parity_tests.cases import ModelCase, model_case, model_cases
from parity_tests.complex_step import relative_error
from parity_tests.test_numpy_model import SETTINGS, awd_case, numpy_model

POLICY = SamplingPolicy(temperature=0.7)


def of_one_row(case: ModelCase, V: int) -> ModelCase:
    return model_case(replace(case.config, vocab_size=V), len(case.window.inputs), 1, case.draws)


@given(case=model_cases(), V=st.sampled_from([1, 3, 7, 33, 100]))
def test_logits_token_by_token_equal_the_plain_models_of_the_window(case, V):
    """V up to 4H: the decoder stands in one matrix with W_hh; beyond, by itself."""
    case = of_one_row(case, V)
    expected = loss_plain(case.config, case.params, case.window, case.state, {}).logits
    stream = SingleStream(StreamWeights(numpy_model(case).network), case.state)
    for t, token in enumerate(case.window.inputs[:, 0]):
        assert relative_error(stream.step(int(token)), expected[t]) <= 1e-12


@given(case=model_cases())
def test_it_leaves_the_state_that_it_begins_with_alone(case):
    case = of_one_row(case, 5)
    before = [(h.copy(), c.copy()) for h, c in case.state]
    SingleStream(StreamWeights(numpy_model(case).network), case.state).step(0)
    for pair, other in zip(case.state, before):
        for array, its in zip(pair, other):
            np.testing.assert_array_equal(array, its)


def sampled(model: NumpyLM, seed: int = 1) -> list[int]:
    return list(model.sample([0], 30, POLICY, Draws(seed)))


def test_two_texts_that_grow_in_turns_are_those_that_grow_alone():
    model = numpy_model(awd_case())
    alone = [sampled(model, seed) for seed in (1, 2)]
    assert alone[0] != alone[1]
    in_turns = zip(*(model.sample([0], 30, POLICY, Draws(seed)) for seed in (1, 2)))
    assert [list(text) for text in zip(*in_turns)] == alone


def changed_by_training(model: NumpyLM, case: ModelCase) -> None:
    model.train_step(case.window, case.state, case.draws, SETTINGS)


def changed_by_loading(model: NumpyLM, case: ModelCase) -> None:
    model.load_parameters({name: -2 * value for name, value in model.parameters().items()})


def changed_by_exchange(model: NumpyLM, case: ModelCase) -> None:
    model.start_averaging()
    for _ in range(3):
        model.train_step(case.window, case.state, case.draws, replace(SETTINGS, lr=100.0))
    sampled(model)
    model.exchange_average()


@pytest.mark.parametrize("change", [changed_by_training, changed_by_loading, changed_by_exchange])
def test_a_text_is_of_the_parameters_as_they_are_now(change):
    case = awd_case()
    model = numpy_model(case, optimizer=OptimizerConfig(optimizer="nt-asgd"))
    sampled(model)
    change(model, case)
    fresh = NumpyLM(case.config, dtype=np.float64)
    fresh.load_parameters(model.parameters())
    assert sampled(model) == sampled(fresh)
    stream, new = (SingleStream(m._stream_weights, model.zero_state(1)) for m in (model, fresh))
    np.testing.assert_array_equal(stream.step(0), new.step(0))

"""NumpyLM against the plain model, and what only a whole model can get wrong."""

import numpy as np
import pytest
from hypothesis import given

import lstm_ref.model
from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import StepSettings
from lstm_ref.core.masks import dropout_masks
from lstm_ref.kernels.adam import adam_plain
from lstm_ref.kernels.clip import clip_global_norm_plain
from lstm_ref.model import NumpyLM
from lstm_ref.plain_model import loss_and_gradients_plain
from parity_tests.cases import ModelCase, model_case, model_cases, values
from parity_tests.complex_step import relative_error

SETTINGS = StepSettings(lr=0.01, clip=0.1)


def numpy_model(case: ModelCase, dtype: np.typing.DTypeLike = np.float64) -> NumpyLM:
    model = NumpyLM(case.config, dtype=dtype)
    model.load_parameters(case.params)
    return model


@given(case=model_cases())
def test_loss_gradients_and_state_equal_the_plain_models(case):
    masks = dropout_masks(case.config, case.draws, *case.window.inputs.shape)
    run, gradients = loss_and_gradients_plain(case.config, case.params, case.window, case.state, masks)
    model = numpy_model(case)
    result = model.loss_and_gradients(case.window, case.state, case.draws)
    assert result.loss == pytest.approx(run.loss, rel=1e-12)
    assert result.penalty == pytest.approx(run.penalty, rel=1e-12, abs=1e-300)
    for name, gradient in gradients.items():
        assert relative_error(result.gradients[name], gradient) <= 1e-11, name
    for (h, c), (h_plain, c_plain) in zip(result.state, run.state):
        assert relative_error(h, h_plain) <= 1e-12
        assert relative_error(c, c_plain) <= 1e-12


@given(case=model_cases())
def test_float32_stays_float32_and_its_loss_near_float64(case):
    expected = numpy_model(case).loss_and_gradients(case.window, case.state, case.draws)
    model = numpy_model(case, np.float32)
    state = model.state_from_arrays(case.state_arrays)
    result = model.loss_and_gradients(case.window, state, case.draws)
    assert all(gradient.dtype == np.float32 for gradient in result.gradients.values())
    assert result.loss == pytest.approx(expected.loss, abs=1e-5)  # some ten roundings of 1e-7 at losses up to 10
    norm = np.sqrt(sum((g**2).sum() for g in expected.gradients.values()))
    for name, gradient in result.gradients.items():
        assert np.linalg.norm(gradient - expected.gradients[name]) <= 1e-4 * norm, name


@pytest.mark.row("C34")
@given(case=model_cases())
def test_a_training_step_is_loss_gradients_clip_and_adam_in_this_order(case):
    model = numpy_model(case)
    params = model.parameters()
    moments = {name: (np.zeros_like(p), np.zeros_like(p)) for name, p in params.items()}
    state = other_state = case.state
    for t in (1, 2, 3):
        draws = case.draws.at(t)
        other = NumpyLM(case.config, dtype=np.float64)
        other.load_parameters(params)
        computed = other.loss_and_gradients(case.window, other_state, draws)
        norm, clipped = clip_global_norm_plain(computed.gradients, SETTINGS.clip)
        for name, p in params.items():
            params[name], *moments[name] = adam_plain(
                p, clipped[name], *moments[name], t, SETTINGS.lr, OptimizerConfig()
            )
        result = model.train_step(case.window, state, draws, SETTINGS)
        state, other_state = result.state, computed.state
        assert result.loss == computed.loss
        assert result.gradient_norm == pytest.approx(norm, rel=1e-12)
        for name, p in model.parameters().items():
            # lr times the rounding of a quotient m/sqrt(v), whose terms may both be near zero
            np.testing.assert_allclose(p, params[name], rtol=1e-9, atol=1e-12, err_msg=name)
        params = model.parameters()


@pytest.mark.row("C33")
def test_the_window_before_changes_the_gradient_only_through_the_state_it_left():
    """Truncated BPTT: with the same carried values, gradients are the same bits whatever window produced them."""
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5)), 6, 3, Draws(2))
    model = numpy_model(case)
    after = model.loss_and_gradients(case.window, case.state, case.draws).state
    carried = model.loss_and_gradients(case.window, after, case.draws)
    fresh = numpy_model(case)
    alone = fresh.loss_and_gradients(case.window, fresh.state_from_arrays(model.state_arrays(after)), case.draws)
    for name in alone.gradients:
        np.testing.assert_array_equal(carried.gradients[name], alone.gradients[name])


@given(case=model_cases())
def test_evaluation_is_the_loss_without_dropout_and_changes_nothing(case):
    model = numpy_model(case)
    before = model.parameters()
    evaluation = model.evaluate(case.window, case.state)
    no_dropout = model.loss_and_gradients(case.window, case.state, None)
    assert evaluation.total / evaluation.tokens == pytest.approx(no_dropout.loss, rel=1e-13, abs=1e-15)
    assert evaluation.tokens == case.window.targets.size
    for name, value in model.parameters().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("kernel", ["softmax_loss_total", "softmax_loss_backward"])
def test_losses_are_pythons_floats_with_and_without_compilation(kernel, monkeypatch):
    """A run writes them into JSON, which has no NumPy numbers."""
    compiled = getattr(lstm_ref.model, kernel)
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5)), 6, 3, Draws(2))
    for function in (compiled, getattr(compiled, "py_func", compiled)):
        monkeypatch.setattr(lstm_ref.model, kernel, function)
        model = numpy_model(case)
        assert type(model.evaluate(case.window, case.state).total) is float
        assert type(model.loss_and_gradients(case.window, case.state, None).loss) is float


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_reported_and_updates_nothing(bad, dtype):
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5)), 6, 3, Draws(2))
    case.params["decoder.bias"][3] = bad
    model = numpy_model(case, dtype)
    before, optimizer = model.parameters(), model.optimizer_state()
    state = model.state_from_arrays(case.state_arrays)
    result = model.train_step(case.window, state, case.draws, SETTINGS)
    assert not (np.isfinite(result.loss) and np.isfinite(result.gradient_norm))
    for name, value in (model.parameters() | model.optimizer_state()).items():
        np.testing.assert_array_equal(value, (before | optimizer)[name])


def test_windows_of_changing_length_share_arrays_and_give_the_same_numbers():
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5)), 6, 3, Draws(2))
    model = numpy_model(case)
    for T in (6, 2, 4, 6, 1):
        window = Window(case.window.inputs[:T], case.window.targets[:T])
        expected = numpy_model(case).loss_and_gradients(window, case.state, case.draws)
        actual = model.loss_and_gradients(window, case.state, case.draws)
        assert actual.loss == expected.loss
        for name in expected.gradients:
            np.testing.assert_array_equal(actual.gradients[name], expected.gradients[name], err_msg=name)


def test_the_state_that_a_step_returns_is_not_overwritten_by_the_next():
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4,)), 6, 3, Draws(2))
    model = numpy_model(case)
    first = model.evaluate(case.window, case.state).state
    kept = [(h.copy(), c.copy()) for h, c in first]
    model.evaluate(case.window, first)
    for pair, kept_pair in zip(first, kept):
        np.testing.assert_array_equal(pair, kept_pair)


@pytest.mark.row("C24")
@given(case=model_cases())
def test_logits_are_of_every_position_and_their_softmax_gives_the_evaluation(case):
    model = numpy_model(case)
    logits, _ = model.logits(case.window.inputs, case.state)
    assert logits.shape == (*case.window.inputs.shape, case.config.vocab_size)
    flat, targets = logits.reshape(-1, case.config.vocab_size), case.window.targets.reshape(-1)
    largest = flat.max(axis=1)
    nll = np.log(np.exp(flat - largest[:, None]).sum(axis=1)) + largest - flat[np.arange(len(targets)), targets]
    assert nll.sum() == pytest.approx(model.evaluate(case.window, case.state).total, rel=1e-12, abs=1e-13)


def test_a_step_allocates_nothing_of_the_size_of_its_window(monkeypatch):
    """After the first step of a shape, numpy.empty and numpy.zeros are not asked for arrays of T*B*H entries."""
    config = LanguageModelConfig(vocab_size=11, hidden_sizes=(16, 24), dropout_between=0.0, dropout_output=0.0)
    case = model_case(config, 20, 8, Draws(3))
    model = numpy_model(case, np.float32)
    state = model.state_from_arrays(case.state_arrays)
    model.train_step(case.window, state, case.draws, SETTINGS)
    asked: list[int] = []
    for name in ("empty", "zeros", "ones"):
        original = getattr(np, name)

        def spy(shape, *rest, original=original, **options):
            asked.append(int(np.prod(shape)))
            return original(shape, *rest, **options)

        monkeypatch.setattr(np, name, spy)
    model.train_step(case.window, state, case.draws, SETTINGS)
    assert max(asked, default=0) < 20 * 8 * 16


@pytest.mark.row("C25")
def test_the_zero_state_is_zero_of_the_models_dtype_and_fresh_at_each_call():
    model = NumpyLM(LanguageModelConfig(vocab_size=5, hidden_sizes=(3, 4)), dtype=np.float32)
    state = model.zero_state(2)
    assert [(h.shape, c.shape) for h, c in state] == [((2, 3), (2, 3)), ((2, 4), (2, 4))]
    assert all(array.dtype == np.float32 and not array.any() for pair in state for array in pair)
    state[0][0][...] = 1
    assert not model.zero_state(2)[0][0].any()


def test_parameters_are_copies():
    case = model_case(LanguageModelConfig(vocab_size=5, hidden_sizes=(3,)), 2, 3, Draws(1))
    model = numpy_model(case)
    model.parameters()["decoder.bias"][...] = np.nan
    np.testing.assert_array_equal(model.parameters()["decoder.bias"], case.params["decoder.bias"])


def test_values_helper_never_draws_the_zero_that_would_hide_an_error():
    assert np.all(values(Draws(0), "x", 10_000) != 0)

"""NumpyLM against the plain model, and what only a whole model can get wrong."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_ref.kernels.decoder
from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import StepSettings
from lstm_ref.core.masks import dropout_masks
from lstm_ref.kernels import decoder
from lstm_ref.kernels.adam import adam_plain
from lstm_ref.kernels.clip import clip_global_norm_plain
from lstm_ref.kernels.sgd import average_plain, sgd_plain
from lstm_ref.model import NumpyLM
from lstm_ref.plain_model import loss_and_gradients_plain
from parity_tests.cases import ModelCase, model_case, model_cases, values
from parity_tests.complex_step import relative_error

SETTINGS = StepSettings(lr=0.01, clip=0.1)

AWD = {
    "embedding_size": 5,
    "tied": True,
    "dropout_embedding": 0.3,
    "dropout_input": 0.3,
    "dropout_locked": True,
    "weight_drop": 0.5,
    "ar_alpha": 2.0,
    "tar_beta": 1.0,
}


def numpy_model(
    case: ModelCase, dtype: np.typing.DTypeLike = np.float64, optimizer: OptimizerConfig | None = None
) -> NumpyLM:
    model = NumpyLM(case.config, optimizer=optimizer, dtype=dtype)
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


@pytest.mark.row("BW28")
@given(case=model_cases(), rows=st.integers(1, 4))
def test_logits_in_blocks_of_a_few_rows_change_nothing_but_the_order_of_sums(case, rows):
    whole = numpy_model(case).loss_and_gradients(case.window, case.state, case.draws)
    evaluation = numpy_model(case).evaluate(case.window, case.state)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "BLOCK", rows * case.config.vocab_size)
        model = numpy_model(case)
        blocked = model.loss_and_gradients(case.window, case.state, case.draws)
        assert model.evaluate(case.window, case.state).total == pytest.approx(evaluation.total, rel=1e-13, abs=1e-14)
    assert blocked.loss == pytest.approx(whole.loss, rel=1e-13, abs=1e-15)
    for name, gradient in whole.gradients.items():
        assert relative_error(blocked.gradients[name], gradient) <= 1e-11, name


@pytest.mark.row("BW28")
def test_neither_training_nor_evaluation_ever_holds_all_logits(monkeypatch):
    T, B, V, rows = 10, 8, 500, 5
    monkeypatch.setattr(decoder, "BLOCK", rows * V)
    case = model_case(
        LanguageModelConfig(vocab_size=V, **AWD | {"embedding_size": 3}, hidden_sizes=(3,)), T, B, Draws(3)
    )
    run_once(case)  # compiled before we look
    tracemalloc.start()
    run_once(case)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows * V * 4 <= peak < T * B * V * 4  # and in this are parameters, gradients and Adam's moments


def run_once(case: ModelCase) -> None:
    model = numpy_model(case, np.float32)
    state = model.state_from_arrays(case.state_arrays)
    model.train_step(case.window, state, case.draws, SETTINGS)
    model.evaluate(case.window, state)


@given(case=model_cases())
def test_float32_stays_float32_and_its_loss_near_float64(case):
    expected = numpy_model(case).loss_and_gradients(case.window, case.state, case.draws)
    model = numpy_model(case, np.float32)
    state = model.state_from_arrays(case.state_arrays)
    result = model.loss_and_gradients(case.window, state, case.draws)
    assert all(gradient.dtype == np.float32 for gradient in result.gradients.values())
    assert result.loss == pytest.approx(expected.loss, abs=1e-5)  # some ten roundings of 1e-7 at losses up to 10
    assert result.penalty == pytest.approx(expected.penalty, rel=1e-5)
    norm = np.sqrt(sum((g**2).sum() for g in expected.gradients.values()))
    for name, gradient in result.gradients.items():
        assert np.linalg.norm(gradient - expected.gradients[name]) <= 1e-4 * norm, name


def updated_plain(config: OptimizerConfig, t: int, p: np.ndarray, g: np.ndarray, moments: list[np.ndarray]):
    """The new parameter and what the optimizer keeps of it."""
    if config.optimizer in ("adam", "adamw"):
        p, *moments = adam_plain(p, g, *moments, t, SETTINGS.lr, config)
        return p, moments
    p = sgd_plain(p, g, SETTINGS.lr, config)
    return p, [average_plain(moments[0], p, t), moments[1]]


@pytest.mark.row("C34", "W34", "W39")
@given(
    case=model_cases(),
    optimizer=st.sampled_from(["adam", "adamw", "sgd", "nt-asgd"]),
    decay=st.sampled_from([0.0, 0.1]),
)
def test_a_training_step_is_loss_gradients_clip_and_update_in_this_order(case, optimizer, decay):
    config = OptimizerConfig(optimizer=optimizer, weight_decay=decay)
    model = numpy_model(case, optimizer=config)
    if optimizer == "nt-asgd":
        model.start_averaging()
    params = model.parameters()
    moments = {name: [np.zeros_like(p), np.zeros_like(p)] for name, p in params.items()}
    state = other_state = case.state
    for t in (1, 2, 3):
        draws = case.draws.at(t)
        other = NumpyLM(case.config, dtype=np.float64)
        other.load_parameters(params)
        computed = other.loss_and_gradients(case.window, other_state, draws)
        norm, clipped = clip_global_norm_plain(computed.gradients, SETTINGS.clip)
        for name, p in params.items():
            params[name], moments[name] = updated_plain(config, t, p, clipped[name], moments[name])
        result = model.train_step(case.window, state, draws, SETTINGS)
        state, other_state = result.state, computed.state
        assert result.loss == computed.loss
        assert result.gradient_norm == pytest.approx(norm, rel=1e-12)
        for name, p in model.parameters().items():
            # lr times the rounding of a quotient m/sqrt(v), whose terms may both be near zero
            np.testing.assert_allclose(p, params[name], rtol=1e-9, atol=1e-12, err_msg=name)
        params = model.parameters()
    if optimizer == "nt-asgd":
        for name, (average, _) in moments.items():
            np.testing.assert_allclose(model.optimizer_state()[f"average.{name}"], average, rtol=1e-9, atol=1e-12)


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
    compiled = getattr(lstm_ref.kernels.decoder, kernel)
    case = model_case(LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5)), 6, 3, Draws(2))
    for function in (compiled, getattr(compiled, "py_func", compiled)):
        monkeypatch.setattr(lstm_ref.kernels.decoder, kernel, function)
        model = numpy_model(case)
        assert type(model.evaluate(case.window, case.state).total) is float
        assert type(model.loss_and_gradients(case.window, case.state, None).loss) is float


def awd_case(**changed: object) -> ModelCase:
    """Every regulariser on, tied; more tokens than words, so ids repeat."""
    config = LanguageModelConfig(**{"vocab_size": 7, "hidden_sizes": (4, 5), **AWD, **changed})  # type: ignore[arg-type]
    return model_case(config, 6, 3, Draws(2))


@pytest.mark.row("W60")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("field", ["dropout_embedding", "dropout_input", "weight_drop", "ar_alpha", "tar_beta"])
def test_a_regulariser_at_zero_is_one_that_is_not_there_and_above_zero_it_acts(field, dtype):
    """To the bit: with all others on; their masks do not depend on it, each has a stream of its own."""

    def gradients(config: LanguageModelConfig, model_config: LanguageModelConfig) -> dict[str, np.ndarray]:
        case = model_case(config, 6, 3, Draws(2))
        model = NumpyLM(model_config, dtype=dtype)
        model.load_parameters(case.params)
        result = model.loss_and_gradients(case.window, model.state_from_arrays(case.state_arrays), case.draws)
        return result.gradients | {"loss": np.array(result.loss), "penalty": np.array(result.penalty)}

    absent = {name: value for name, value in AWD.items() if name != field}
    without = LanguageModelConfig(vocab_size=7, hidden_sizes=(4, 5), **absent)
    zero, on = (dataclasses.replace(without, **{field: value}) for value in (0.0, 0.5))
    expected = gradients(without, without)
    for name, value in gradients(zero, zero).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert not np.array_equal(gradients(on, on)["lstm.weight_ih_l0"], expected["lstm.weight_ih_l0"])


@pytest.mark.row("W28", "W36")
def test_evaluation_knows_neither_dropout_nor_penalty():
    regularised = awd_case()
    off = {"dropout_embedding": 0.0, "dropout_input": 0.0, "weight_drop": 0.0, "ar_alpha": 0.0, "tar_beta": 0.0}
    bare = awd_case(**off, dropout_between=0.0, dropout_output=0.0)
    expected = numpy_model(bare).evaluate(bare.window, bare.state)
    model = numpy_model(regularised)
    model.loss_and_gradients(regularised.window, regularised.state, regularised.draws)  # leaves dropped weights behind
    assert model.evaluate(regularised.window, regularised.state).total == expected.total
    undropped = model.loss_and_gradients(regularised.window, regularised.state, None)
    assert undropped.loss == expected.total / expected.tokens
    assert undropped.penalty > 0


@pytest.mark.row("W28", "W36")
def test_the_training_loss_is_without_penalty_though_its_gradient_has_it():
    case, bare = awd_case(), awd_case(ar_alpha=0.0, tar_beta=0.0)
    step, unpenalised = (numpy_model(c).train_step(c.window, c.state, c.draws, SETTINGS) for c in (case, bare))
    assert step.loss == unpenalised.loss
    assert step.gradient_norm != unpenalised.gradient_norm


@pytest.mark.row("W40")
def test_a_tied_matrix_gets_the_sum_of_both_its_gradients_also_where_ids_repeat():
    """An untied model with two copies of the matrix sees its gradients apart."""
    tied = awd_case()
    assert len(set(tied.window.inputs.ravel().tolist())) < tied.window.tokens
    untied = dataclasses.replace(
        tied,
        config=dataclasses.replace(tied.config, tied=False),
        params=tied.params | {"decoder.weight": tied.params["embedding.weight"]},
    )
    one, two = (numpy_model(c).loss_and_gradients(c.window, c.state, c.draws) for c in (tied, untied))
    assert one.loss == two.loss
    both = two.gradients["embedding.weight"] + two.gradients["decoder.weight"]
    assert relative_error(one.gradients["embedding.weight"], both) <= 1e-14
    assert "decoder.weight" not in one.gradients
    for name in one.gradients.keys() - {"embedding.weight"}:
        np.testing.assert_array_equal(one.gradients[name], two.gradients[name], err_msg=name)


@pytest.mark.row("W24")
def test_a_repeated_word_gets_the_sum_of_its_places_and_a_word_not_read_gets_nothing():
    config = LanguageModelConfig(vocab_size=9, embedding_size=5, hidden_sizes=(4,), dropout_output=0.0)
    case = model_case(config, 6, 3, Draws(2))
    case.window.inputs[...] = np.array([1, 4, 1])
    gradient = numpy_model(case).loss_and_gradients(case.window, case.state, None).gradients["embedding.weight"]
    assert np.flatnonzero(gradient.any(axis=1)).tolist() == [1, 4]
    # Each column of the batch with a word of its own: what word 1 got is what the two words in its places get.
    case.window.inputs[...] = np.array([1, 4, 2])
    case.params["embedding.weight"][2] = case.params["embedding.weight"][1]
    apart = numpy_model(case).loss_and_gradients(case.window, case.state, None).gradients["embedding.weight"]
    np.testing.assert_allclose(gradient[1], apart[1] + apart[2], rtol=0, atol=1e-15)


@pytest.mark.row("W38", "W40")
def test_a_dropped_word_is_neither_read_nor_taught_but_is_still_predicted():
    case = awd_case(tied=False, dropout_embedding=0.5)
    mask = dropout_masks(case.config, case.draws, *case.window.inputs.shape)["embedding"]
    dropped = np.flatnonzero(~mask)
    assert 0 < len(dropped) < 7
    result = numpy_model(case).loss_and_gradients(case.window, case.state, case.draws)
    assert not result.gradients["embedding.weight"][dropped].any()
    assert result.gradients["decoder.weight"][dropped].any(axis=1).all()
    case.params["embedding.weight"][dropped] += 1
    assert numpy_model(case).loss_and_gradients(case.window, case.state, case.draws).loss == result.loss


@pytest.mark.row("W60")
def test_a_dropped_recurrent_weight_is_neither_used_nor_taught_and_stays_in_the_model():
    case = awd_case()
    mask = dropout_masks(case.config, case.draws, *case.window.inputs.shape)["weight_hh_l0"]
    model = numpy_model(case)
    before = model.parameters()
    result = model.loss_and_gradients(case.window, case.state, case.draws)
    gradient = result.gradients["lstm.weight_hh_l0"]
    np.testing.assert_array_equal(gradient != 0, mask)
    np.testing.assert_array_equal(model.parameters()["lstm.weight_hh_l0"], before["lstm.weight_hh_l0"])
    case.params["lstm.weight_hh_l0"][~mask] += 1
    assert numpy_model(case).loss_and_gradients(case.window, case.state, case.draws).loss == result.loss


@pytest.mark.row("W42")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_window_of_one_step_has_no_temporal_penalty(dtype):
    case, bare = (model_case(awd_case(ar_alpha=0.0, tar_beta=beta).config, 1, 3, Draws(2)) for beta in (2.0, 0.0))
    one, none = (numpy_model(c, dtype).loss_and_gradients(c.window, c.state, c.draws) for c in (case, bare))
    assert one.penalty == 0
    for name, gradient in none.gradients.items():
        np.testing.assert_array_equal(one.gradients[name], gradient, err_msg=name)


@pytest.mark.parametrize("where", ["embedding", "input", "l0", "l1", "weight_hh_l0", "weight_hh_l1"])
def test_a_mask_forgotten_on_the_way_back_would_be_seen(where, monkeypatch):
    case = awd_case()
    expected = numpy_model(case).loss_and_gradients(case.window, case.state, case.draws).gradients
    model = numpy_model(case)
    forward = model.network.forward

    def then_forget(arrays, inputs, state, masks):
        result = forward(arrays, inputs, state, masks)
        masks[where] = np.ones_like(masks[where])
        return result

    monkeypatch.setattr(model.network, "forward", then_forget)
    wrong = model.loss_and_gradients(case.window, case.state, case.draws).gradients
    assert max(relative_error(wrong[name], gradient) for name, gradient in expected.items()) > 1e-2


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


@pytest.mark.row("C24", "W2", "W29")
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


@pytest.mark.row("C25", "W30")
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

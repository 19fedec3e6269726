"""The whole model in plain NumPy: every gradient against the complex step."""

import numpy as np
import pytest
from hypothesis import given, settings

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.masks import dropout_masks
from lstm_ref.plain_model import loss_and_gradients_plain, loss_plain
from parity_tests.cases import ModelCase, model_case, model_cases
from parity_tests.complex_step import complex_step_gradient, relative_error


def masks_of(case: ModelCase) -> dict[str, np.ndarray]:
    return dropout_masks(case.config, case.draws, *case.window.inputs.shape)


@settings(max_examples=10)  # a complex step for every parameter
@given(case=model_cases(largest=7))
def test_every_gradient_matches_the_complex_step_with_every_regulariser_on(case):
    masks = masks_of(case)
    _, gradients = loss_and_gradients_plain(case.config, case.params, case.window, case.state, masks)
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for name, value in case.params.items():

        def loss(moved: np.ndarray, name: str = name) -> complex:
            params = {n: v.astype(complex) for n, v in case.params.items()} | {name: moved}
            run = loss_plain(case.config, params, case.window, case.state, masks)
            return run.loss + run.penalty

        expected = complex_step_gradient(loss, value)
        # 1e-12 of the array's own scale, or of the largest gradient where all of the array's entries cancel
        assert np.abs(gradients[name] - expected).max() <= 1e-12 * max(np.abs(expected).max(), 1e-3 * largest), name


@given(case=model_cases())
def test_the_loss_is_the_mean_over_all_tokens_of_single_token_losses(case):
    masks = masks_of(case)
    run = loss_plain(case.config, case.params, case.window, case.state, masks)
    p = np.exp(run.logits - run.logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    each = [-np.log(p[n, target]) for n, target in enumerate(case.window.targets.reshape(-1))]
    assert run.loss == pytest.approx(sum(each) / len(each), rel=1e-12)


def test_a_planted_error_in_a_gradient_is_seen():
    """The comparison can fail: one forgotten factor 1/(1-p) on one layer is far outside the bound."""
    config = LanguageModelConfig(vocab_size=5, hidden_sizes=(3, 4), dropout_between=0.5, dropout_output=0.3)
    case = model_case(config, 4, 2, Draws(1))
    masks = masks_of(case)
    _, right = loss_and_gradients_plain(config, case.params, case.window, case.state, masks)
    without = LanguageModelConfig(vocab_size=5, hidden_sizes=(3, 4), dropout_between=0.4, dropout_output=0.3)
    _, wrong = loss_and_gradients_plain(without, case.params, case.window, case.state, masks)
    assert relative_error(wrong["lstm.weight_hh_l0"], right["lstm.weight_hh_l0"]) > 1e-3

"""The truth of the GPU's table is lstm_ref's plain model."""

import numpy as np
import pytest
import torch

from benchmarks.gpu import float64
from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.masks import dropout_masks
from lstm_ref.core.params import initial_parameters
from lstm_ref.plain_model import loss_and_gradients_plain

CHARACTERS = LanguageModelConfig(vocab_size=9, hidden_sizes=(6, 6))
WORDS = LanguageModelConfig(
    vocab_size=13,
    embedding_size=4,
    hidden_sizes=(7, 5, 4),
    tied=True,
    dropout_embedding=0.2,
    dropout_input=0.3,
    dropout_between=0.4,
    dropout_output=0.25,
    dropout_locked=True,
    weight_drop=0.5,
    ar_alpha=2,
    tar_beta=1,
)


@pytest.mark.parametrize("draws", [None, Draws(3, 5)])
@pytest.mark.parametrize("config", [CHARACTERS, WORDS], ids=["characters", "words"])
def test_loss_gradients_and_state_are_the_plain_models(config: LanguageModelConfig, draws: Draws | None) -> None:
    T, B = 5, 3
    params = {name: p + 0.01 for name, p in initial_parameters(config, seed=1).items()}
    ids = (Draws(2).uniform("ids", (T + 1, B)) * config.vocab_size).astype(np.int64)
    state = [
        (Draws(k).uniform("h", (B, H)) - 0.5, Draws(k).uniform("c", (B, H)) - 0.5)
        for k, H in enumerate(config.hidden_sizes)
    ]
    masks = dropout_masks(config, draws, T, B)
    run, expected = loss_and_gradients_plain(config, params, Window(ids[:-1], ids[1:]), state, masks)
    loss, gradients, next_state = float64.language_model(
        config,
        {name: torch.from_numpy(p) for name, p in params.items()},
        torch.from_numpy(ids[:-1]),
        torch.from_numpy(ids[1:]),
        [(torch.from_numpy(h), torch.from_numpy(c)) for h, c in state],
        {where: torch.from_numpy(mask) for where, mask in masks.items()},
    )
    assert float(loss) == pytest.approx(float(run.loss), rel=1e-13)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient.numpy(), expected[name], rtol=1e-10, atol=1e-14, err_msg=name)
    for pair, truth in zip(next_state, run.state):
        for array, expected_array in zip(pair, truth):
            np.testing.assert_allclose(array.numpy(), expected_array, rtol=1e-12, atol=1e-15)


def test_a_clip_that_does_not_act_proves_nothing() -> None:
    gradients = {"a": torch.tensor([3.0, 4.0]).double()}
    with pytest.raises(ValueError, match="clip=3 does not act on a gradient of norm 5"):
        float64.clipped(gradients, 3)
    found = float64.clipped(gradients, 0.5)["a"]
    assert float(torch.linalg.vector_norm(found)) == pytest.approx(0.5, rel=1e-6)

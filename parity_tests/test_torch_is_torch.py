"""The shared names mean what torch.nn.LSTM means by them: a stock nn.LSTM + nn.Linear, loaded with our parameters, is
the same model. And the original notebook's layout (batch first, `fc`) carries over."""

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import nn

from lstm_ref.core.checkpoint import Checkpoint, Progress
from lstm_ref.core.config import LanguageModelConfig, RunConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.vocab import Vocabulary
from lstm_ref.kernels.embedding import one_hot_encode
from lstm_ref.model import NumpyLM
from parity_tests.cases import ModelCase, model_case, model_cases


class NotebookNet(nn.Module):
    """Stock layers as the original notebook stacks them, without its dropout."""

    def __init__(self, n_tokens: int, n_hidden: int, n_layers: int):
        super().__init__()
        self.lstm = nn.LSTM(n_tokens, n_hidden, n_layers, batch_first=True, dtype=torch.float64)
        self.fc = nn.Linear(n_hidden, n_tokens, dtype=torch.float64)

    def forward(self, x, hidden):
        output, hidden = self.lstm(x, hidden)
        return self.fc(output.reshape(-1, output.shape[2])), hidden


def no_dropout_case(n_layers: int, seed: int = 4) -> ModelCase:
    config = LanguageModelConfig(vocab_size=11, hidden_sizes=(6,) * n_layers, dropout_between=0, dropout_output=0)
    return model_case(config, T=5, B=3, draws=Draws(seed))


def checkpoint_of(case: ModelCase) -> Checkpoint:
    config = RunConfig(hidden_sizes=case.config.hidden_sizes)
    vocabulary = Vocabulary.build("abcdefghijk")
    return Checkpoint(config, vocabulary, "0", Progress(), case.params, {}, {})


@pytest.mark.row("C20", "C22", "C24", "C47", "C59", "C62")
@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_a_stock_network_loaded_with_our_four_keys_is_the_same_model(n_layers):
    case = no_dropout_case(n_layers)
    keys = checkpoint_of(case).seed_form()
    net = NotebookNet(len(keys["tokens"]), keys["n_hidden"], keys["n_layers"])
    net.load_state_dict({name: torch.from_numpy(value) for name, value in keys["state_dict"].items()}, strict=True)
    x = torch.from_numpy(one_hot_encode(case.window.inputs.T, 11, np.float64))  # [N,T,V]
    h, c = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*case.state))  # [layers,N,H]
    output, (h_n, c_n) = net(x, (h, c))
    loss = nn.functional.cross_entropy(output, torch.from_numpy(case.window.targets.T.copy()).flatten())
    loss.backward()
    model = NumpyLM(case.config, dtype=np.float64)
    model.load_parameters(case.params)
    logits, state = model.logits(case.window.inputs, case.state)
    result = model.loss_and_gradients(case.window, case.state, None)
    batch_major = logits.swapaxes(0, 1).reshape(-1, 11)  # the notebook's row n*T + t
    np.testing.assert_allclose(output.detach().numpy(), batch_major, rtol=0, atol=1e-12)
    assert result.loss == pytest.approx(loss.item(), rel=1e-12)
    for layer, (h_l, c_l) in enumerate(state):
        np.testing.assert_allclose(h_l, h_n[layer].detach().numpy(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(c_l, c_n[layer].detach().numpy(), rtol=0, atol=1e-12)
    for name, p in net.named_parameters():
        gradient = result.gradients[name.replace("fc.", "decoder.")]
        np.testing.assert_allclose(gradient, p.grad.numpy(), rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.row("C20", "C22", "C26", "C62")
def test_names_and_shapes_are_those_of_the_notebooks_network():
    stock = NotebookNet(83, 512, 2).state_dict()
    model = NumpyLM(LanguageModelConfig(vocab_size=83, hidden_sizes=(512, 512)))
    ours = {name.replace("decoder.", "fc."): value.shape for name, value in model.parameters().items()}
    assert ours == {name: tuple(value.shape) for name, value in stock.items()}
    assert ours["lstm.weight_ih_l0"] == (2048, 83)
    assert ours["fc.weight"] == (83, 512)


@given(case=model_cases())
def test_reading_the_gates_in_onnx_order_would_be_seen(case):
    """The comparison can fail: i,o,f,g read as i,f,g,o changes the loss of random weights."""
    H = case.config.hidden_sizes[0]
    rows = np.concatenate([np.arange(gate * H, (gate + 1) * H) for gate in (0, 3, 1, 2)])
    wrong = {name: value[rows] if "_l0" in name and "lstm." in name else value for name, value in case.params.items()}
    model = NumpyLM(case.config, dtype=np.float64)
    model.load_parameters(case.params)
    state = model.loss_and_gradients(case.window, case.state, case.draws).state
    model.load_parameters(wrong)
    wrong_state = model.loss_and_gradients(case.window, case.state, case.draws).state
    assert np.abs(state[0][0] - wrong_state[0][0]).max() > 1e-6

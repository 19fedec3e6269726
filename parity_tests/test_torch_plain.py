"""The torch twin against the plain model: every regulariser, each on or off, tied and untied, on one window."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import LossAndGradients, StepSettings
from lstm_ref.core.masks import dropout_masks
from lstm_ref.plain_model import PlainRun, loss_and_gradients_plain
from lstm_torch import decoder_loss
from lstm_torch.decoder_loss import linear_cross_entropy
from lstm_torch.model import TorchLM
from parity_tests.cases import ModelCase, model_case, model_cases
from parity_tests.test_parity import DEVICES

ALL_ON = LanguageModelConfig(
    vocab_size=11,
    embedding_size=6,
    hidden_sizes=(9, 6),
    tied=True,
    dropout_embedding=0.3,
    dropout_input=0.4,
    dropout_between=0.2,
    dropout_output=0.5,
    dropout_locked=True,
    weight_drop=0.5,
    ar_alpha=2.0,
    tar_beta=1.0,
)
OFF = {
    "dropout_embedding": 0.0,
    "dropout_input": 0.0,
    "dropout_between": 0.0,
    "dropout_output": 0.0,
    "weight_drop": 0.0,
    "ar_alpha": 0.0,
    "tar_beta": 0.0,
}
ALL_OFF = dataclasses.replace(ALL_ON, **OFF, dropout_locked=False)


def twin_of(case: ModelCase, device: str = "cpu", precision: str = "float64") -> TorchLM:
    twin = TorchLM(case.config, device=device, precision=precision)
    twin.load_parameters(case.params)
    return twin


def computed(case: ModelCase, device: str = "cpu", precision: str = "float64") -> LossAndGradients:
    twin = twin_of(case, device, precision)
    return twin.loss_and_gradients(case.window, twin.state_from_arrays(case.state_arrays), case.draws)


def truth(case: ModelCase, config: LanguageModelConfig | None = None) -> tuple[PlainRun, dict[str, np.ndarray]]:
    config = config or case.config
    masks = dropout_masks(config, case.draws, *case.window.inputs.shape)
    return loss_and_gradients_plain(config, case.params, case.window, case.state, masks)


def norm_of(arrays: dict[str, np.ndarray]) -> float:
    return float(np.sqrt(sum((array**2).sum() for array in arrays.values())))


def assert_bit_equal(actual: LossAndGradients, expected: LossAndGradients) -> None:
    assert (actual.loss, actual.penalty) == (expected.loss, expected.penalty)
    assert actual.gradients.keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        np.testing.assert_array_equal(actual.gradients[name], gradient, err_msg=name, strict=True)


def assert_agree(actual: LossAndGradients, run: PlainRun, gradients: dict[str, np.ndarray]) -> None:
    assert actual.loss == pytest.approx(run.loss, abs=1e-10)
    assert actual.penalty == pytest.approx(run.penalty, abs=1e-10)
    assert actual.gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(actual.gradients[name], gradient, rtol=0, atol=1e-8, err_msg=name)
        assert np.linalg.norm(actual.gradients[name] - gradient) <= 1e-10 * max(1, np.linalg.norm(gradient)), name


# ---- agreement ------------------------------------------------------------------------------------------------------


@pytest.mark.row("W24", "W25", "W28", "W37", "W38", "W40", "W41", "W42", "W60", "BW21", "BW28")
@pytest.mark.parametrize("device", DEVICES)
@given(case=model_cases(), rows=st.integers(1, 70))
def test_loss_penalty_gradients_and_state_agree_in_float64(device, case, rows):
    with pytest.MonkeyPatch.context() as monkeypatch:  # the decoder takes the window in blocks of any size
        monkeypatch.setattr(decoder_loss, "BLOCK", rows * case.config.vocab_size)
        actual = computed(case, device)
    run, gradients = truth(case)
    assert_agree(actual, run, gradients)
    for pair, expected in zip(actual.state, run.state):
        for array, wanted in zip(pair, expected):
            np.testing.assert_allclose(array.cpu().numpy(), wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@given(case=model_cases())
def test_float32_stays_near_the_float64_truth(device, case):
    """A few hundred operations of 6e-8 each, on values and factors of size 1 to 4."""
    run, gradients = truth(case)
    actual = computed(case, device, "float32")
    assert actual.loss == pytest.approx(run.loss, abs=1e-5)
    assert actual.penalty == pytest.approx(run.penalty, abs=1e-5)
    for name, gradient in gradients.items():
        assert np.linalg.norm(actual.gradients[name] - gradient) <= 1e-4 * norm_of(gradients), name


@pytest.mark.row("W41", "W42")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("lower", "upper"), [(24, 16), (23, 15)], ids=["even widths", "odd widths"])
def test_bf16_stays_within_its_rounding_of_the_truth_with_every_regulariser_on(lower, upper, device):
    """eps of bf16 is 7.8e-3. The penalty is a mean of squares of rounded activations: off by twice their rounding."""
    config = dataclasses.replace(ALL_ON, embedding_size=upper, hidden_sizes=(lower, upper))
    case = model_case(config, T=9, B=4, draws=Draws(5))
    run, gradients = truth(case)
    actual = computed(case, device, "bf16")
    assert all(gradient.dtype == np.float32 for gradient in actual.gradients.values())
    assert actual.loss == pytest.approx(run.loss, abs=2e-2)
    assert actual.loss != pytest.approx(run.loss, abs=1e-7)  # and it really is bf16
    assert actual.penalty == pytest.approx(run.penalty, rel=2 * 7.8e-3)
    for name, gradient in gradients.items():
        assert np.linalg.norm(actual.gradients[name] - gradient) <= 0.05 * norm_of(gradients), name


@pytest.mark.parametrize("off", sorted(OFF))
def test_a_regulariser_left_out_would_be_seen(off):
    """The comparison can fail: against the truth without it, each regulariser is far outside the bound."""
    case = model_case(ALL_ON, 5, 4, Draws(3))
    run, gradients = truth(case, dataclasses.replace(ALL_ON, **{off: OFF[off]}))
    with pytest.raises(AssertionError):
        assert_agree(computed(case), run, gradients)


# ---- what each regulariser is ---------------------------------------------------------------------------------------


@pytest.mark.row("W37")
@pytest.mark.parametrize("locked", [True, False])
def test_a_locked_mask_is_one_for_all_steps_and_another_for_every_row(locked):
    config = dataclasses.replace(ALL_OFF, dropout_output=0.5, dropout_locked=locked)
    case = model_case(config, T=8, B=5, draws=Draws(1))
    twin = twin_of(case)
    masks = dropout_masks(config, case.draws, 8, 5)
    tensors = {where: torch.from_numpy(mask) for where, mask in masks.items()}
    with torch.no_grad():
        state = twin.state_from_arrays(case.state_arrays)
        y, x, _ = twin._forward(torch.from_numpy(case.window.inputs), state, tensors)
    kept = x != 0
    torch.testing.assert_close(x[kept], 2 * y[kept], rtol=0, atol=0)  # 1/(1-p), so that the mean is y
    assert bool((kept == kept[:1]).all()) is locked
    assert not (kept[0] == kept[0, :1]).all()


@pytest.mark.row("W38")
def test_a_dropped_word_is_zero_wherever_it_stands_and_the_others_are_scaled():
    config = dataclasses.replace(ALL_OFF, dropout_embedding=0.3)
    case = model_case(config, T=20, B=5, draws=Draws(4))
    twin = twin_of(case)
    masks = {where: torch.from_numpy(mask) for where, mask in dropout_masks(config, case.draws, 20, 5).items()}
    inputs = torch.from_numpy(case.window.inputs)
    x, whole = twin.network._embed(inputs, masks), twin.network._embed(inputs, {})
    dropped = ~masks["embedding"][inputs]
    assert dropped.any()
    assert not dropped.all()
    assert not x[dropped].any()
    torch.testing.assert_close(x[~dropped], whole[~dropped] / 0.7, rtol=1e-15, atol=0)


@pytest.mark.row("W40")
@pytest.mark.parametrize("device", DEVICES)
def test_a_tied_matrix_is_one_array_and_its_gradient_the_sum_of_both_uses(device):
    case = model_case(ALL_ON, 5, 4, Draws(3))
    network = twin_of(case, device).network
    assert network.decoder.weight is network.embedding.weight
    assert "decoder.weight" not in network.shared_parameters()
    untied = dataclasses.replace(
        case,
        config=dataclasses.replace(ALL_ON, tied=False),
        params=case.params | {"decoder.weight": case.params["embedding.weight"]},
    )
    tied, apart = computed(case, device), computed(untied, device)
    assert tied.loss == apart.loss
    of_both = apart.gradients["embedding.weight"] + apart.gradients["decoder.weight"]
    np.testing.assert_allclose(tied.gradients["embedding.weight"], of_both, rtol=0, atol=1e-14)


@pytest.mark.row("W60")
def test_a_dropped_weight_gets_no_gradient_and_stays_what_it_is():
    case = model_case(dataclasses.replace(ALL_ON, weight_drop=0.5), 5, 4, Draws(3))
    twin = twin_of(case)
    gradients = twin.loss_and_gradients(case.window, twin.state_from_arrays(case.state_arrays), case.draws).gradients
    masks = dropout_masks(case.config, case.draws, 5, 4)
    for k in range(2):
        mask = masks[f"weight_hh_l{k}"]
        assert not gradients[f"lstm.weight_hh_l{k}"][~mask].any()
        assert gradients[f"lstm.weight_hh_l{k}"][mask].all()
    for name, value in twin.parameters().items():
        np.testing.assert_array_equal(value, case.params[name], err_msg=name)


@pytest.mark.row("W42")
def test_the_temporal_penalty_of_one_step_is_zero_and_so_is_its_gradient():
    case = model_case(dataclasses.replace(ALL_ON, ar_alpha=0.0, tar_beta=2.0), 1, 4, Draws(3))
    actual = computed(case)
    assert actual.penalty == 0
    without = dataclasses.replace(case, config=dataclasses.replace(case.config, tar_beta=0.0))
    assert_bit_equal(actual, computed(without))


# ---- on and off -----------------------------------------------------------------------------------------------------


class StockNet(nn.Module):
    """Stock layers alone, with our decoder's loss."""

    def __init__(self, config: LanguageModelConfig):
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size, dtype=torch.float64)
        sizes = zip(config.input_sizes, config.hidden_sizes)
        self.lstm = nn.ModuleList(nn.LSTM(I, H, dtype=torch.float64) for I, H in sizes)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size, dtype=torch.float64))

    def forward(self, inputs, targets, state):
        x = self.embedding(inputs)
        for layer, (h, c) in zip(self.lstm, state):
            x, _ = layer(x, (h[None], c[None]))
        return linear_cross_entropy(x.flatten(0, 1), self.embedding.weight, self.bias, targets.flatten())


@pytest.mark.row("W60")
@pytest.mark.parametrize("locked", [True, False])
def test_with_every_regulariser_off_the_model_is_its_stock_layers_bit_by_bit(locked):
    case = model_case(dataclasses.replace(ALL_OFF, dropout_locked=locked), 5, 4, Draws(3))
    net, names = StockNet(case.config), list(case.params)
    with torch.no_grad():
        for p, name in zip(net.parameters(), [names[-1], *names[:-1]]):  # `bias` comes first, being the net's own
            p.copy_(torch.from_numpy(case.params[name]))
    state = [tuple(torch.from_numpy(array) for array in pair) for pair in case.state]
    loss = net(torch.from_numpy(case.window.inputs), torch.from_numpy(case.window.targets), state)
    loss.backward()
    actual = computed(case)
    assert (actual.loss, actual.penalty) == (loss.item(), 0)
    for p, name in zip(net.parameters(), [names[-1], *names[:-1]]):
        np.testing.assert_array_equal(actual.gradients[name], p.grad.numpy(), err_msg=name)


@pytest.mark.row("W36", "W60")
@pytest.mark.parametrize("device", DEVICES)
@given(case=model_cases())
def test_evaluation_knows_no_dropout_and_no_penalty(device, case):
    twin = twin_of(case, device)
    evaluated = twin.evaluate(case.window, twin.state_from_arrays(case.state_arrays))
    run, _ = loss_and_gradients_plain(case.config, case.params, case.window, case.state, {})
    assert evaluated.tokens == case.window.targets.size
    assert evaluated.total == pytest.approx(run.loss * evaluated.tokens, rel=1e-10)


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_step_reports_the_loss_without_the_penalty(device):
    case = model_case(ALL_ON, 5, 4, Draws(3))
    twin, expected = twin_of(case, device), computed(case, device)
    state = twin.state_from_arrays(case.state_arrays)
    result = twin.train_step(case.window, state, case.draws, StepSettings(lr=0.1, clip=1.0))
    assert float(result.loss) == expected.loss
    assert expected.penalty > 0.1
    assert float(result.gradient_norm) == pytest.approx(norm_of(expected.gradients), rel=1e-12)


# ---- memory ---------------------------------------------------------------------------------------------------------


class LargestArray(TorchDispatchMode):
    """Counts the elements of the largest floating-point array that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        returned = function(*args, **(kwargs or {}))
        for array in torch.utils._pytree.tree_leaves(returned):
            if isinstance(array, torch.Tensor) and array.is_floating_point():
                self.elements = max(self.elements, array.numel())
        return returned


@pytest.mark.row("BW28")
@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
def test_neither_training_nor_evaluation_ever_holds_the_logits_of_a_window(precision, monkeypatch):
    V, T, B = 1000, 20, 7
    config = dataclasses.replace(ALL_ON, vocab_size=V)
    case = model_case(config, T, B, Draws(3))
    twin = TorchLM(config, optimizer=OptimizerConfig(optimizer="nt-asgd"), precision=precision)
    twin.load_parameters(case.params)
    monkeypatch.setattr(decoder_loss, "BLOCK", 9 * V)
    state = twin.state_from_arrays(case.state_arrays)
    with LargestArray() as largest:
        twin.train_step(case.window, state, case.draws, StepSettings(lr=0.1, clip=1.0))
        twin.evaluate(case.window, state)
    assert largest.elements == 9 * V
    with LargestArray() as largest:
        twin.logits(case.window.inputs, state)
    assert largest.elements == T * B * V  # where they are asked for

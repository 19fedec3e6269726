"""What is computed in which precision: torch's switches are back afterwards, and what is said is what is set."""

import pytest
import torch

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_torch.model import TorchLM
from lstm_torch.options import Options
from lstm_torch.precision import describe, float32_precision
from parity_tests.cases import model_case
from parity_tests.test_parity import needs_cuda

CHARACTERS = LanguageModelConfig(vocab_size=83, hidden_sizes=(512, 512))
AWD = LanguageModelConfig(vocab_size=33_278, embedding_size=400, hidden_sizes=(1150, 1150, 400), tied=True)


def switches() -> tuple[str, str]:
    return torch.backends.cudnn.rnn.fp32_precision, torch.backends.cuda.matmul.fp32_precision


def test_the_global_switches_are_set_inside_and_back_outside_even_after_an_error():
    before = switches()
    for recurrence in ("ieee", "tf32"):
        with float32_precision(recurrence, "ieee"):
            assert switches() == (recurrence, "ieee")
        assert switches() == before
    with pytest.raises(ZeroDivisionError), float32_precision("ieee", "ieee"):
        1 / 0  # noqa: B018
    assert switches() == before


@pytest.mark.parametrize(
    ("config", "precision", "rows", "recurrence"),
    [
        (CHARACTERS, "float32", 128, "float32; layers B=128 I=88 H=512 standard; B=128 I=512 H=512 standard"),
        (CHARACTERS, "float64", 128, "float64; layers B=128 I=88 H=512 standard; B=128 I=512 H=512 standard"),
        (
            CHARACTERS,
            "bf16",
            128,
            "fp16, gradients times 1024; layers B=128 I=128 H=512 persistent; B=128 I=512 H=512 persistent",
        ),
        (
            AWD,
            "bf16",
            20,
            "fp16, gradients times 1024; layers B=20 I=400 H=1152 standard; B=20 I=1152 H=1152 standard; "
            "B=24 I=1152 H=512 persistent",
        ),
    ],
)
def test_production_says_what_each_layer_computes_with(config, precision, rows, recurrence):
    said = describe(config, Options.production("cuda", precision), "cuda", precision, rows)
    assert said["recurrence"] == recurrence
    assert said["parameters"] == ("float64" if precision == "float64" else "float32")
    assert said["products"] == ("bf16 factors, float32 sums" if precision == "bf16" else said["parameters"])


def test_autocast_on_cuda_is_called_what_it_is():
    assert describe(CHARACTERS, Options(), "cuda", "bf16", 128)["recurrence"] == "float16 (autocast)"


@needs_cuda
def test_on_cuda_float32_is_float32_and_tf32_is_seen():
    """In the logits: TF32's factors have 10 bits."""
    config, case = CHARACTERS, model_case(CHARACTERS, 20, 16, Draws(3))
    errors = {}
    for name in ("float32", "tf32"):
        twin = TorchLM(config, device="cuda", options=Options(recurrence=name))
        exact = TorchLM(config, precision="float64")
        for each in (twin, exact):
            each.load_parameters({key: 0.1 * value for key, value in case.params.items()})
        states = [each.state_from_arrays(case.state_arrays) for each in (twin, exact)]
        logits = [each.logits(case.window.inputs, state)[0] for each, state in zip((twin, exact), states)]
        errors[name] = abs(logits[0] - logits[1]).max() / abs(logits[1]).max()
    assert errors["float32"] < 1e-5 < errors["tf32"] < 1e-2


@needs_cuda
def test_on_cuda_an_lstm_under_autocast_to_bf16_is_float16():
    """Why the fast path does not leave the recurrence to autocast; where this fails, torch has changed."""
    layer = torch.nn.LSTM(8, 16, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        y, _ = layer(torch.zeros(3, 8, 8, device="cuda"))
    assert y.dtype == torch.float16

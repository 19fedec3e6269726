"""The judge against those that know: PyTorch in float64, and its own derivatives by autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Question, layer_names
from parity_tests.suite.referee import Referee
from parity_tests.suite.strategies import clips, layers, losses, updates

CLAIMS = Capabilities()
KINDS = [
    {},
    {"layer_count": 3},
    {"directions": 2},
    {"layer_count": 2, "directions": 2, "lengths": True},
    {"lengths": True},
    {"batch_first": True},
    {"projections": True},
]
ALL = ("dy", "dh_n", "dc_n")


def torch_lstm(question: Question) -> tuple[torch.nn.LSTM, dict[str, torch.Tensor], tuple[torch.Tensor, ...]]:
    """The module, its inputs as leaves, and (y, h_n, c_n)."""
    arrays, names = question.arrays, layer_names(question.arrays)
    directions = 1 + any(name.endswith("_reverse") for name in names)
    weight = arrays["weight_ih_l0"]
    H = weight.shape[0] // 4
    module = torch.nn.LSTM(
        weight.shape[1],
        H,
        len(names) // directions,
        bidirectional=directions == 2,
        batch_first=question.settings.get("batch_first", False),
        proj_size=arrays["weight_hr_l0"].shape[0] if "weight_hr_l0" in arrays else 0,
        dtype=torch.float64,
    )
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[name]))
    leaves = {name: torch.from_numpy(arrays[name]).requires_grad_() for name in ("x", "h0", "c0")}
    if "lengths" in arrays:
        x = torch.nn.utils.rnn.pack_padded_sequence(
            leaves["x"], torch.from_numpy(arrays["lengths"]), enforce_sorted=False
        )
        y, (h_n, c_n) = module(x, (leaves["h0"], leaves["c0"]))
        y = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=len(arrays["x"]))[0]
    else:
        y, (h_n, c_n) = module(leaves["x"], (leaves["h0"], leaves["c0"]))
    return module, leaves, (y, h_n, c_n)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
def test_the_judge_is_torchs_lstm_in_float64(kind, data):
    question = data.draw(layers(CLAIMS, **kind))
    answer = Referee().answer(question)
    for name, theirs in zip(("y", "h_n", "c_n"), torch_lstm(question)[2]):
        np.testing.assert_allclose(answer[name], theirs.detach().numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
def test_complex_steps_are_autograds_gradients(kind, data):
    question = data.draw(layers(CLAIMS, upstream=ALL, H=st.integers(1, 3), T=st.integers(1, 3), **kind))
    module, leaves, outputs = torch_lstm(question)
    sum((torch.from_numpy(question.arrays[name]) * out).sum() for name, out in zip(ALL, outputs)).backward()
    answer = Referee().answer(question)
    expected = {f"d{name}": p.grad for name, p in (*module.named_parameters(), *leaves.items())}
    assert answer.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = max(1.0, float(gradient.abs().max()))
        np.testing.assert_allclose(answer[name], gradient.numpy(), rtol=1e-11, atol=1e-13 * scale)


@given(question=losses())
def test_the_judges_loss_is_torchs(question):
    logits = torch.from_numpy(question.arrays["logits"]).requires_grad_()
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(question.arrays["targets"]))
    loss.backward()
    answer = Referee().answer(question)
    np.testing.assert_allclose(answer["loss"], loss.item(), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(answer["dlogits"], logits.grad.numpy(), rtol=1e-12, atol=1e-14)


@given(question=clips())
def test_the_judges_clip_is_torchs(question):
    tensors = [torch.nn.Parameter(torch.from_numpy(array)) for array in question.arrays.values()]
    for tensor in tensors:
        tensor.grad = tensor.detach().clone()
    norm = torch.nn.utils.clip_grad_norm_(tensors, question.settings["max_norm"])
    answer = Referee().answer(question)
    np.testing.assert_allclose(answer["norm"], norm.item(), rtol=1e-14)
    for name, tensor in zip(question.arrays, tensors):
        np.testing.assert_allclose(answer[name], tensor.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize("op", ["adam", "sgd"])
@given(data=st.data())
def test_the_judges_updates_are_torchs(op, data):
    question = data.draw(updates(op))
    p = torch.nn.Parameter(torch.from_numpy(question.arrays["p"].copy()))
    s = question.settings
    optimizer = (
        torch.optim.SGD([p]) if op == "sgd" else torch.optim.Adam([p], betas=(s["beta1"], s["beta2"]), eps=s["eps"])
    )
    for g, lr, after in zip(question.arrays["g"], question.arrays["lr"], Referee().answer(question)["p"]):
        p.grad, optimizer.param_groups[0]["lr"] = torch.from_numpy(g.copy()), float(lr)
        optimizer.step()
        np.testing.assert_allclose(after, p.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_the_judge_imports_no_twin():
    import subprocess
    import sys

    code = "import sys, parity_tests.suite.verify, parity_tests.suite.diagnose; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "parity_tests.suite.referee" in loaded
    assert not {"torch", "onnx", "onnxruntime", "lstm_torch", "lstm_ref.model", "lstm_ref.kernels"} & set(loaded)

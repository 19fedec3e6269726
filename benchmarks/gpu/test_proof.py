"""What is right passes, and every planted fault is refused: in the comparison and in whole training steps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.gpu.device import Device
from benchmarks.gpu.ours import OurSteps
from benchmarks.gpu.peers import PeerNetwork, PeerOptions, PeerSteps
from benchmarks.gpu.proof import FACTORS, distance, prove, tolerance
from benchmarks.gpu.rows import character, softmax, words
from benchmarks.gpu.rows.recurrence import Layer
from benchmarks.gpu.rows.sampling import PeerSampler, SampleTask
from benchmarks.gpu.steps import StepTask
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConformanceError
from lstm_torch.options import Options

TRUTH = {"a": torch.tensor([3.0, 4.0]).double(), "b": torch.ones(2, 2).double()}


def test_an_error_is_relative_to_the_norm_of_its_array() -> None:
    assert distance(torch.tensor([3.0, 4.5]), TRUTH["a"]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("arrived", "message"),
    [
        ({"a": torch.tensor([3.0, 4.5])}, "b missing"),
        ({"a": torch.tensor([3.0, 4.5]), "b": torch.ones(2, 2)}, "a is off the float64 truth by 0.1 .* allowed 0.05"),
        ({"a": TRUTH["a"], "b": torch.ones(2, 2) * math.nan}, "b is off the float64 truth by nan"),
        ({"a": TRUTH["a"], "b": torch.ones(4)}, r"b has shape \[4\], expected \[2, 2\]"),
    ],
)
def test_what_is_wrong_is_refused(arrived: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        prove(arrived, TRUTH, 0.05)


def test_slack_is_of_its_array_alone() -> None:
    arrived = {"a": torch.tensor([3.0, 4.5]), "b": TRUTH["b"]}
    proof = prove(arrived, TRUTH, 0.05, slack={"a": 0.06})
    assert (proof.error, proof.allowed) == (pytest.approx(0.1), pytest.approx(0.11))
    with pytest.raises(ConformanceError, match="a is off"):
        prove(arrived, TRUTH, 0.05, slack={"b": 0.06})


def test_a_truth_of_zeros_proves_nothing() -> None:
    with pytest.raises(ValueError, match="norm 0"):
        distance(torch.zeros(3), torch.zeros(3))


def test_coarser_precisions_and_longer_windows_are_allowed_more_and_none_a_tenth() -> None:
    allowed = [tolerance(precision, 1024, 1150) for precision in ("float32", "tf32", "fp16", "bf16")]
    assert allowed == sorted(allowed)
    assert tolerance("float32", 100, 512) < tolerance("float32", 1000, 512)
    assert allowed[-1] < 0.1
    assert FACTORS["float32"] == 0


# ---- whole contenders, each with one fault ------------------------------------------------------------------------


@pytest.fixture(params=["characters", "words"])
def task(request: pytest.FixtureRequest, cpu: Device) -> StepTask:
    return character.task(cpu, 3) if request.param == "characters" else words.task(cpu, 3, (7, 5))


def float32_steps(task: StepTask) -> PeerSteps:
    return PeerSteps(task, PeerOptions(precision="float32", dropout=False))


def test_right_steps_are_proved(task: StepTask) -> None:
    assert float32_steps(task).prove().error < 3e-6
    assert OurSteps(task, "float32", Options()).prove().error < 3e-6


def test_swapped_gates_are_refused(task: StepTask, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = float32_steps(task)
    load = steps._load

    @torch.no_grad()
    def load_swapped() -> None:
        load()
        bias = steps._parameters["lstm.bias_hh_l1"]
        i, f, g, o = bias.clone().chunk(4)
        bias.copy_(torch.cat([f, i, g, o]))

    monkeypatch.setattr(steps, "_load", load_swapped)
    with pytest.raises(ConformanceError, match="off the float64 truth"):
        steps.prove()


def test_a_dropped_carry_is_refused(task: StepTask, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = PeerNetwork.forward

    def forget(self, inputs, state):
        return forward(self, inputs, [(h * 0, c) for h, c in state])

    monkeypatch.setattr(PeerNetwork, "forward", forget)
    with pytest.raises(ConformanceError, match="off the float64 truth"):
        float32_steps(task).prove()


def test_a_missing_clip_is_refused(task: StepTask, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = float32_steps(task)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: None)
    with pytest.raises(ConformanceError, match="off the float64 truth"):
        steps.prove()


def test_a_step_that_does_not_update_is_refused(task: StepTask, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = float32_steps(task)
    steps._take(0)  # so that there are moments
    monkeypatch.setattr(steps._optimizer, "step", lambda: None)
    with pytest.raises(ConformanceError, match="off the float64 truth"):
        steps.prove()


def test_masks_of_another_step_are_refused(task: StepTask, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = OurSteps(task, "float32", Options())
    train_step = steps._model.train_step

    def with_other_masks(window, state, draws, settings):
        return train_step(window, state, Draws(draws.seed, draws.step + 1), settings)

    monkeypatch.setattr(steps._model, "train_step", with_other_masks)
    with pytest.raises(ConformanceError, match="off the float64 truth"):
        steps.prove()


def test_bf16_where_float32_was_promised_is_refused(task: StepTask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PeerSteps(task, PeerOptions(precision="bf16", dropout=False)).prove().error > 1e-4
    monkeypatch.setattr(Device, "autocast", lambda *_: torch.autocast("cpu", torch.bfloat16))
    with pytest.raises(ConformanceError, match="off the float64 truth"):
        float32_steps(task).prove()


def test_a_padded_input_has_no_gradient_in_its_padding(cpu: Device) -> None:
    task = character.task(cpu, 3)
    steps = PeerSteps(task, PeerOptions(precision="float32", multiple=16, dropout=False))
    assert steps._parameters["lstm.weight_ih_l0"].shape[1] == 16
    assert steps.prove().error < 3e-6
    assert not steps._parameters["lstm.weight_ih_l0"][:, task.config.vocab_size :].detach().any()


@pytest.mark.parametrize("backward", [False, True])
def test_a_wrong_layer_is_refused(cpu: Device, backward: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def layer() -> Layer:
        return Layer(cpu, 4, (6, 2, 8), "float32", dtype=torch.float32, backward=backward, graph=False)

    assert layer().prove().error < 1e-6
    right = Layer._layer

    def one_step_late(self):
        y, h, c = right(self)
        return torch.cat([y[:1], y[:-1]]), h, c

    monkeypatch.setattr(Layer, "_layer", one_step_late)
    with pytest.raises(ConformanceError, match="is off the float64 truth"):
        layer().prove()


def test_a_wrong_softmax_is_refused(cpu: Device) -> None:
    def without_bias(x, weight, bias, targets):
        return F.cross_entropy(F.linear(x, weight, bias * 0), targets)

    def built(loss):
        return softmax.Softmax(cpu, 5, (12, 6, 17), loss, torch.float32, graph=False)

    assert built(softmax.eager).prove().error < 1e-6
    with pytest.raises(ConformanceError, match="dbias is off"):
        built(without_bias).prove()


def test_wrong_samples_are_refused(cpu: Device) -> None:
    config = LanguageModelConfig(vocab_size=11, hidden_sizes=(8, 8))
    task = SampleTask(config, 12, cpu, 3)
    sampler = PeerSampler(task, cell=True)
    assert sampler.prove().error <= 1e-6
    greedy, drawn = sampler._tokens(1), sampler._tokens(5)
    likeliest = int(task.logits(greedy[:4])[-1].argmax())
    with pytest.raises(ConformanceError, match="greedy token 4 is"):
        task.prove([*greedy[:4], (likeliest + 1) % 11, *greedy[5:]], drawn, "float32")
    with pytest.raises(ConformanceError, match="12 tokens that begin with 1, expected the prime and 12"):
        task.prove(greedy, drawn[:-1], "float32")
    unlikely = int(task.logits(drawn[:4])[-1].argmin())
    with pytest.raises(ConformanceError, match="drawn token 4 is"):
        task.prove(greedy, [*drawn[:4], unlikely, *drawn[5:]], "float32")


def test_inputs_are_random_and_nowhere_zero(task: StepTask) -> None:
    for name, array in {**task.parameters, **task.state}.items():
        assert np.count_nonzero(array) > 0.9 * array.size, name
    other = replace(task, seed=4)
    assert not np.array_equal(task.windows[0].inputs, other.windows[0].inputs)

"""The proof that stands before every timing: it passes what is right in float64 too, and refuses what is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import run
from benchmarks.agreement import greedy_truth, prove_sampler, prove_trainer
from benchmarks.cases import SampleCase, StepCase
from benchmarks.contenders import SAMPLERS, TRAINERS, Trainer, TrainerEntry
from benchmarks.contenders.notebook import NotebookTrainer
from benchmarks.contenders.twins import TwinSampler, TwinTrainer
from lstm_ref.core.batching import Window
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConformanceError

STEP = StepCase(vocab_size=14, hidden_sizes=(9, 9), batch_size=3, seq_length=6)
SAMPLE = SampleCase(vocab_size=15, hidden_sizes=(10, 10), length=8)


@pytest.mark.parametrize("name", TRAINERS)
def test_every_trainer_agrees_in_float64_to_its_last_digits(name: str) -> None:
    prove_trainer(name, TRAINERS[name], replace(STEP, dtype="float64"))


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_writes_the_greedy_text_in_float64(name: str) -> None:
    case = replace(SAMPLE, dtype="float64")
    prove_sampler(name, SAMPLERS[name].build(case), case)


class _AddsGradientsUp(NotebookTrainer):
    def __init__(self, case: StepCase):
        super().__init__(case)
        self._net.zero_grad = lambda set_to_none=True: None  # type: ignore[method-assign]


class _ForgetsTheState(NotebookTrainer):
    def step(self, window: Window) -> float:
        self._hidden = self._net.zero_hidden(window.inputs.shape[1])
        return super().step(window)


class _SwapsTwoGates(NotebookTrainer):
    def step(self, window: Window) -> float:
        params = self.parameters()
        i, f, g, o = np.split(params["lstm.bias_ih_l1"], 4)
        self.load_parameters({**params, "lstm.bias_ih_l1": np.concatenate([f, i, g, o])})
        return super().step(window)


class _MisplacesOneTarget(NotebookTrainer):
    def step(self, window: Window) -> float:
        targets = window.targets.copy()
        targets[-1, 0] = (targets[-1, 0] + 1) % STEP.vocab_size
        return super().step(Window(window.inputs, targets))


class _ReturnsNoNumber(NotebookTrainer):
    def step(self, window: Window) -> float:
        super().step(window)
        return float("nan")


class _HasMasksOfItsOwn(TwinTrainer):
    def __init__(self, case: StepCase):
        super().__init__("torch", case)
        self._draws = Draws(case.seed + 1)


WRONG_TRAINERS: Mapping[str, Callable[[StepCase], Trainer]] = {
    "adds gradients up": _AddsGradientsUp,
    "forgets the state": _ForgetsTheState,
    "swaps two gates": _SwapsTwoGates,
    "misplaces one target": _MisplacesOneTarget,
    "returns no number": _ReturnsNoNumber,
    "clips at twice the norm": lambda case: NotebookTrainer(replace(case, clip=2 * case.clip)),
    "learns twice as fast": lambda case: NotebookTrainer(replace(case, lr=2 * case.lr)),
    "drops out in secret": lambda case: NotebookTrainer(replace(case, dropout=0.1)),
}


@pytest.mark.parametrize("fault", WRONG_TRAINERS)
def test_a_wrong_trainer_is_refused(fault: str) -> None:
    with pytest.raises(ConformanceError, match="allowed"):
        prove_trainer(fault, TrainerEntry(build=WRONG_TRAINERS[fault]), STEP)


def test_a_trainer_with_other_masks_than_the_shared_ones_is_refused() -> None:
    with pytest.raises(ConformanceError, match="step 1: loss"):
        prove_trainer("masks", TrainerEntry(build=_HasMasksOfItsOwn, shared_masks=True), STEP)


def test_nothing_is_timed_if_one_contender_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = TRAINERS["NumpyLM"]
    monkeypatch.setattr(run, "TRAINERS", {"right": right, "wrong": TrainerEntry(build=_ForgetsTheState, peer=True)})
    lines: list[str] = []
    with pytest.raises(ConformanceError, match="wrong"):
        run.run_case(STEP, rounds=1, warmups=0, progress=lines.append)
    assert [line.split(", ")[-1] for line in lines] == ["proving: right", "proving: wrong"]


class _TakesTheSecondBest(TwinSampler):
    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        return super().text(prime, size, 2 if top_k == 1 else top_k, seed)


class _IgnoresTopK(TwinSampler):
    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        return super().text(prime, size, 1 if top_k == 1 else SAMPLE.vocab_size, seed)


class _StopsOneEarly(TwinSampler):
    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        return super().text(prime, size, top_k, seed)[: None if top_k == 1 else -1]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [(_TakesTheSecondBest, "greedy text"), (_IgnoresTopK, "not among the top 5"), (_StopsOneEarly, "characters")],
)
def test_a_wrong_sampler_is_refused(wrong: type[TwinSampler], complaint: str) -> None:
    with pytest.raises(ConformanceError, match=complaint):
        prove_sampler("wrong", wrong("numpy", SAMPLE), SAMPLE)


def test_a_case_whose_greedy_text_rounding_could_decide_is_refused() -> None:
    with pytest.raises(ValueError, match="rounding may decide"):
        greedy_truth(replace(SAMPLE, weight_scale=0.0))

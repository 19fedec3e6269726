"""The proof that stands before every timing: it passes what is right in float64 too, and refuses what is wrong."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import run
from benchmarks.agreement import greedy_truth, prove_sampler, prove_trainer, tolerance
from benchmarks.cases import StepCase, characters
from benchmarks.contenders import Trainer, TrainerEntry, contenders
from benchmarks.contenders.notebook import NotebookTrainer
from benchmarks.contenders.torch_lstm import TorchLSTMTrainer
from benchmarks.contenders.torch_words import TorchWordTrainer
from benchmarks.contenders.twins import TwinSampler, TwinTrainer
from benchmarks.small import AWD, BF16, SAMPLE, STEPS
from benchmarks.small import CHARACTERS as STEP
from lstm_ref.core.batching import Window
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConformanceError

IN_FULL = {kind: replace(case, precision="float64") for kind, case in STEPS.items() if kind != "bf16"}
SAMPLE_IN_FULL = replace(SAMPLE, precision="float64")


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, case in IN_FULL.items() for name in contenders(case)]
)
def test_every_trainer_agrees_in_float64_to_its_last_digits(kind: str, name: str) -> None:
    prove_trainer(name, contenders(IN_FULL[kind])[name], IN_FULL[kind])


@pytest.mark.parametrize("name", contenders(SAMPLE_IN_FULL))
def test_every_sampler_writes_the_greedy_text_in_float64(name: str) -> None:
    prove_sampler(name, contenders(SAMPLE_IN_FULL)[name].build(SAMPLE_IN_FULL), SAMPLE_IN_FULL)


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
        targets[-1, 0] = (targets[-1, 0] + 1) % STEP.config.vocab_size
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
    "drops out in secret": lambda case: NotebookTrainer(replace(case, config=characters(14, 9, 9))),
}


@pytest.mark.parametrize("fault", WRONG_TRAINERS)
def test_a_wrong_trainer_is_refused(fault: str) -> None:
    with pytest.raises(ConformanceError, match="allowed"):
        prove_trainer(fault, TrainerEntry(build=WRONG_TRAINERS[fault]), STEP)


class _NeverDecays(TorchWordTrainer):
    def __init__(self, case: StepCase):
        super().__init__(replace(case, optimizer=replace(case.optimizer, weight_decay=0.0)), shared_masks=True)


class _DrawsAMaskAStep(TorchWordTrainer):
    """Dropout that is not locked."""

    def __init__(self, case: StepCase):
        config = replace(case.config, dropout_locked=False)
        super().__init__(replace(case, config=config), shared_masks=True)


class _UntiesTheDecoder(TorchWordTrainer):
    def __init__(self, case: StepCase):
        super().__init__(case, shared_masks=True)
        self._decoder.weight = type(self._decoder.weight)(self._embedding.weight.detach().clone())


def _without(**changes: float) -> Callable[[StepCase], Trainer]:
    def build(case: StepCase) -> Trainer:
        return TorchWordTrainer(replace(case, config=replace(case.config, **changes)), shared_masks=True)

    return build


WRONG_WORD_TRAINERS: Mapping[str, Callable[[StepCase], Trainer]] = {
    "never decays the weights": _NeverDecays,
    "has a mask a step": _DrawsAMaskAStep,
    "unties the decoder": _UntiesTheDecoder,
    "drops no word": _without(dropout_embedding=0.0),
    "drops no recurrent weight": _without(weight_drop=0.0),
    "drops no input": _without(dropout_input=0.0),
    "regularises no activation": _without(ar_alpha=0.0),
    "regularises no change of it": _without(tar_beta=0.0),
    "learns a thousandth faster": lambda case: TorchWordTrainer(replace(case, lr=1.001 * case.lr), shared_masks=True),
}


@pytest.mark.parametrize("fault", WRONG_WORD_TRAINERS)
def test_a_wrong_trainer_of_words_is_refused(fault: str) -> None:
    with pytest.raises(ConformanceError, match="allowed"):
        prove_trainer(fault, TrainerEntry(build=WRONG_WORD_TRAINERS[fault], shared_masks=True), AWD)


class _SwapsTwoGatesInBf16(TorchLSTMTrainer):
    def step(self, window: Window) -> float:
        if self._case.precision == "bf16":
            params = self.parameters()
            i, f, g, o = np.split(params["lstm.bias_ih_l1"], 4)
            self.load_parameters({**params, "lstm.bias_ih_l1": np.concatenate([f, i, g, o])})
        return super().step(window)


def test_what_is_wrong_in_bf16_only_is_refused() -> None:
    prove_trainer("right", TrainerEntry(build=TorchLSTMTrainer), BF16)
    with pytest.raises(ConformanceError, match="bf16, step 1"):
        prove_trainer("wrong", TrainerEntry(build=_SwapsTwoGatesInBf16), BF16)


def test_a_bf16_contender_that_is_a_little_wrong_is_refused_in_float32() -> None:
    """What bf16's rounding would hide."""
    entry = TrainerEntry(build=lambda case: TorchLSTMTrainer(replace(case, clip=1.001 * case.clip)))
    with pytest.raises(ConformanceError, match="float32, step 1"):
        prove_trainer("wrong", entry, BF16)


def test_a_trainer_with_other_masks_than_the_shared_ones_is_refused() -> None:
    with pytest.raises(ConformanceError, match="step 1: loss"):
        prove_trainer("masks", TrainerEntry(build=_HasMasksOfItsOwn, shared_masks=True), STEP)


def test_nothing_is_timed_if_one_contender_of_one_case_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = contenders(STEP)["NumpyLM"], TrainerEntry(build=_ForgetsTheState, peer=True)
    later = replace(STEP, seed=1)
    entries = {STEP: {"right": replace(right, peer=True)}, later: {"right": right, "wrong": wrong}}
    monkeypatch.setattr(run, "contenders", entries.__getitem__)
    lines: list[str] = []
    with pytest.raises(ConformanceError, match="wrong"):
        run.run_cases([STEP, later], rounds=1, warmups=0, progress=lines.append)
    assert [line.split(", ")[-1] for line in lines] == ["proving: right", "proving: right", "proving: wrong"]


def test_only_who_clips_with_torchs_own_norm_is_allowed_its_rounding() -> None:
    bound = tolerance(STEP, STEP.seq_length)
    of_norm = np.finfo(STEP.dtype).eps * max(p.size for p in STEP.parameters().values()) ** 0.5

    def off(case: StepCase) -> Trainer:
        return TorchLSTMTrainer(replace(case, clip=(1 + bound + of_norm / 2) * case.clip))

    prove_trainer("right", TrainerEntry(build=off, torchs_norm=True), STEP)
    with pytest.raises(ConformanceError, match="exp_avg"):
        prove_trainer("wrong", TrainerEntry(build=off), STEP)


class _TakesTheSecondBest(TwinSampler):
    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        return super().text(prime, size, 2 if top_k == 1 else top_k, seed)


class _IgnoresTopK(TwinSampler):
    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        return super().text(prime, size, 1 if top_k == 1 else SAMPLE.config.vocab_size, seed)


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

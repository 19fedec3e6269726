"""`lstm_torch` as its users run it, with every switch of its options on and off: so each one's gain is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from benchmarks.gpu.device import Device
from benchmarks.gpu.proof import Proof
from benchmarks.gpu.steps import PROVED_STEP, StepTask
from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError
from lstm_ref.core.language_model import StepSettings
from lstm_torch.model import TorchLM
from lstm_torch.options import Options, RecurrenceName

FULL, PLAIN = "ours", "ours, all switches off"
OF_A_STEP = ("device_draws", "padding", "resident", "graph", "recurrence")
OF_SAMPLING = ("padding", "graph", "device_sampling", "recurrence")


def full_options(device: Device, precision: str) -> Options:
    """What production takes on CUDA. A CPU takes none of it there; in a dry run it takes all that it can."""
    if device.is_cuda:
        return Options.production(device.name, precision)
    return _checked(Options(device_draws=True, padding=True, resident=True, device_sampling=True), device, precision)


def variants(device: Device, precision: str, names: Sequence[str], *, alone: bool = False) -> dict[str, Options]:
    """Name -> options: production's, none, production's without each of `names` and, if asked, each alone. A graph
    needs others: where one of them goes, it goes too, and the name says so."""
    full, plain = full_options(device, precision), Options()
    found = {FULL: full, PLAIN: plain}
    for name in names:
        if getattr(full, name) == getattr(plain, name):
            continue
        off = replace(full, **{name: getattr(plain, name)})
        if _checked(off, device, precision, raises=False) is None:
            found[f"{FULL} without {name} and graph"] = _checked(replace(off, graph=False), device, precision)
        else:
            found[f"{FULL} without {name}"] = off
        only = replace(plain, **{name: getattr(full, name)})
        if alone and _checked(only, device, precision, raises=False) is not None:
            found[f"ours, {name} alone"] = only
    return found


def recurrences(device: Device, precision: str) -> dict[str, Options]:
    """Name -> production's options with another precision of the LSTM layers."""
    full = full_options(device, precision)
    names = [name for name in get_args(RecurrenceName) if name != full.recurrence]
    tried = {f"{FULL}, recurrence {name}": replace(full, recurrence=name) for name in names}
    return {name: options for name, options in tried.items() if _checked(options, device, precision, raises=False)}


def _checked(options: Options, device: Device, precision: str, *, raises: bool = True) -> Options | None:
    """The options, or None where they cannot be."""
    try:
        options.check(device.name, precision)
    except ConfigError:
        if raises:
            raise
        return None
    return options


def rounding_of(options: Options, precision: str) -> str:
    """The coarsest precision that the factors of any product have: it decides what a proof allows."""
    coarsest = ("float32", "tf32", "fp16", "bf16")
    return max(precision, options.recurrence or precision, key=coarsest.index)


def build(
    config: LanguageModelConfig,
    device: Device,
    precision: str,
    options: Options,
    parameters: Mapping[str, np.ndarray],
    optimizer: OptimizerConfig | None = None,
) -> TorchLM:
    model = TorchLM(config, optimizer=optimizer, device=device.name, precision=precision, options=options)
    model.load_parameters(parameters)
    return model


class OurSteps:
    """A Runner. per_run: windows that one call of `run` takes, in turn over the task's; their draws are new at each
    step, as in training."""

    WARM_UPS = 3  # steps at each length: an ordinary one, one that is captured, one that is launched

    def __init__(self, task: StepTask, precision: str, options: Options, per_run: int = 1):
        self._task, self._per_run, self._rounding = task, per_run, rounding_of(options, precision)
        task.device.set_precision("float32")
        self._model = build(task.config, task.device, precision, options, task.parameters, task.optimizer)
        self._state = self._model.zero_state(task.batch_size)
        self._settings = StepSettings(lr=task.lr, clip=task.clip)
        self._step, self._loss = 0, None
        one_of_each: Mapping[int, Window] = {len(window.inputs): window for window in task.windows}
        self._take(list(one_of_each.values()) * self.WARM_UPS)
        task.device.synchronize()

    def _take(self, windows: Sequence[Window]) -> None:
        for window in windows:
            draws = Draws(self._task.seed, self._step)
            result = self._model.train_step(window, self._state, draws, self._settings)
            self._state, self._loss = result.state, result.loss
            self._step += 1

    def run(self) -> None:
        self._task.device.set_precision("float32")
        windows = self._task.windows
        self._take([windows[(self._step + n) % len(windows)] for n in range(self._per_run)])

    def prove(self) -> Proof:
        """The first window, once more from the beginning, with the masks of PROVED_STEP."""
        task, model, now = self._task, self._model, self._step
        task.device.set_precision("float32")
        model.load_parameters(task.parameters)
        before = model.parameters() | model.optimizer_state()
        self._state, self._step = model.state_from_arrays(task.state), PROVED_STEP
        self._take(task.windows[:1])
        self._step = now
        gradients = task.gradients_of_update(before, model.parameters() | model.optimizer_state())
        arrived = {"loss": float(self._loss), **gradients, **model.state_arrays(self._state)}
        numerics = model.numerics(task.batch_size)
        remark = f"recurrence: {numerics['recurrence']}"
        return task.prove(arrived, self._rounding, dropout=True, remark=remark)

"""Who is timed. A contender of a case is built from the case alone, and starts from the case's parameters.

Parameters and optimizer state go in and out by the names of `lstm_ref.core.params`, so that one proof serves all.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from benchmarks.cases import SampleCase, StepCase
from benchmarks.products import flops
from lstm_ref.core.batching import Window


class Trainer(Protocol):
    """Built with the zero state."""

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        """Leaves the optimizer's and the carried state alone."""
        ...

    def parameters(self) -> dict[str, np.ndarray]: ...

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """With Adam at least `exp_avg.<parameter>` and `exp_avg_sq.<parameter>`."""
        ...

    def step(self, window: Window) -> float:
        """One whole training step, done when it returns. Returns the loss, without AR and TAR."""
        ...


class Sampler(Protocol):
    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        """The prime and 1 + size characters after it; top_k=1 is greedy."""
        ...


def _any(case: StepCase | SampleCase) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """peer: the others are compared with the fastest of these. needs: modules of an extra, and the extra's name last.
    takes: whether it can do a case."""

    build: Callable[[Any], Any]
    peer: bool = False
    needs: tuple[str, ...] = ()
    takes: Callable[[Any], bool] = _any

    @property
    def missing(self) -> str | None:
        """What to do about a library that is not there."""
        absent = [module for module in self.needs if find_spec(module) is None]
        return f"no {absent[0]}: pip install 'lstm-parity[{self.needs[-1]}]'" if absent else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerEntry(Entry):
    """shared_masks: it takes its dropout masks from `lstm_ref.core.masks`, and is proved with them; one that draws its
    own is proved at dropout 0. torchs_norm: it clips with torch's own norm, see benchmarks/agreement.py."""

    shared_masks: bool = False
    torchs_norm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerEntry(Entry):
    pass


def _made(place: str, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
    """`module:Class` of this folder, imported when it is built: NumpyLM is timed in a process without torch, as its
    users run it. The case comes after `arguments`."""

    def build(case: Any) -> Any:
        module, _, name = place.partition(":")
        return getattr(importlib.import_module(f"benchmarks.contenders.{module}"), name)(*arguments, case, **options)

    return build


PLAIN_MOST = 250e9  # FLOP of a step: one of AWD-LSTM's takes the plain form half a minute
TORCH, ONNX = ("torch",), ("onnx", "onnxruntime", "onnx")


def _in_full(case: StepCase | SampleCase) -> bool:
    return case.precision != "bf16"


def _plain(case: StepCase | SampleCase) -> bool:
    return _in_full(case) and flops(case) < PLAIN_MOST


def _characters(case: StepCase | SampleCase) -> bool:
    """nn.LSTM's own layers, which are of one size."""
    return not case.of_words and len(set(case.config.hidden_sizes)) == 1


def _characters_in_full(case: StepCase | SampleCase) -> bool:
    return _characters(case) and _in_full(case)


def _words(case: StepCase) -> bool:
    return case.of_words and _in_full(case)


def _float32(case: SampleCase) -> bool:
    return case.precision == "float32"


_peer = functools.partial(TrainerEntry, peer=True, needs=TORCH, torchs_norm=True)
_nn_lstm, _of_words = (
    functools.partial(_made, f"torch_{kind}Trainer") for kind in ("lstm:TorchLSTM", "words:TorchWord")
)

TRAINERS = {
    "NumPy, plain": TrainerEntry(build=_made("plain:PlainTrainer"), shared_masks=True, takes=_plain),
    "NumpyLM": TrainerEntry(build=_made("twins:TwinTrainer", "numpy"), shared_masks=True, takes=_in_full),
    "TorchLM": TrainerEntry(build=_made("twins:TwinTrainer", "torch"), shared_masks=True, needs=TORCH),
    # nn.LSTM too, so it may be the best of them
    "the notebook's own": _peer(build=_made("notebook:NotebookTrainer"), takes=_characters_in_full),
    "torch nn.LSTM": _peer(build=_nn_lstm(), takes=_characters),
    "torch nn.LSTM, input padded": _peer(build=_nn_lstm(multiple=32), takes=_characters),
    # Not in bf16: it took 97 s a step.
    "torch nn.LSTM, oneDNN off": _peer(build=_nn_lstm(onednn=False), takes=_characters_in_full),
    "torch nn.LSTM, its own masks": _peer(build=_of_words(), takes=_words),
    "torch nn.LSTM, shared masks": _peer(build=_of_words(shared_masks=True), takes=_words, shared_masks=True),
    "torch nn.LSTM, the same, oneDNN off": _peer(
        build=_of_words(shared_masks=True, onednn=False), takes=_words, shared_masks=True
    ),
}

SAMPLERS = {
    "NumPy, plain": SamplerEntry(build=_made("plain:PlainSampler")),
    "NumpyLM": SamplerEntry(build=_made("twins:TwinSampler", "numpy")),
    "TorchLM": SamplerEntry(build=_made("twins:TwinSampler", "torch"), needs=TORCH),
    "the notebook's own": SamplerEntry(build=_made("notebook:NotebookSampler"), peer=True, needs=TORCH),
    "torch LSTMCell, 1 thread": SamplerEntry(build=_made("lstm_cell:CellSampler", 1), peer=True, needs=TORCH),
    "torch LSTMCell, 2 threads": SamplerEntry(build=_made("lstm_cell:CellSampler", 2), peer=True, needs=TORCH),
    "ONNX Runtime, 1 thread": SamplerEntry(
        build=_made("onnx_step:OnnxSampler", 1), peer=True, needs=ONNX, takes=_float32
    ),
    "ONNX Runtime, 2 threads": SamplerEntry(
        build=_made("onnx_step:OnnxSampler", 2), peer=True, needs=ONNX, takes=_float32
    ),
}


def contenders(case: StepCase | SampleCase) -> dict[str, Any]:
    """Name -> entry, of those that can do the case and whose libraries are installed."""
    return {name: entry for name, entry in _able(case).items() if entry.missing is None}


def left_out(case: StepCase | SampleCase) -> dict[str, str]:
    """Name -> why, of those that could do the case if their libraries were installed."""
    return {name: entry.missing for name, entry in _able(case).items() if entry.missing is not None}


def _able(case: StepCase | SampleCase) -> dict[str, Any]:
    entries: Mapping[str, Entry] = TRAINERS if isinstance(case, StepCase) else SAMPLERS
    return {name: entry for name, entry in entries.items() if entry.takes(case)}

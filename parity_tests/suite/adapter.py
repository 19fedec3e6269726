"""How somebody's LSTM comes into the suite: what it can do, and how a question reaches it.

The short way, for one layer and the forward pass, is a function of arrays in PyTorch's names and layouts:

    def forward(params, x, h0, c0):          # params["weight_ih_l0"] [4H,I], ...; x [T,B,I]; h0, c0 [1,B,H]
        return y, h_n, c_n                   # y [T,B,H]; h_n, c_n [1,B,H]

An object with methods named as the operations of question.py answers more, and one with `answer(question)` and
`capabilities` answers as it likes. What is not claimed is not asked, and the report says so.
"""

import dataclasses
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lstm_ref.core.errors import UsageError
from parity_tests.suite.question import OPERATIONS, Answer, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an implementation claims. The defaults are the least: one layer, forward, float64."""

    operations: tuple[str, ...] = ("forward",)
    dtypes: tuple[str, ...] = ("float64",)
    layers: int = 1  # the most
    directions: int = 1  # 2: bidirectional too
    biases: int = 2  # 2 as in PyTorch; 1: bias_hh is always zero, and its gradient is not asked; 0: both are
    lengths: bool = False  # rows of a batch may end early
    batch_first: bool = False  # takes x [B,T,I] with batch_first=True
    projections: bool = False  # weight_hr [P,H]
    peepholes: bool = False  # peephole [3H]: i, f, o
    tied: bool = False  # models: decoder.weight may be the embedding's
    drops: tuple[str, ...] = ("outputs", "input")  # models: where masks may fall; besides: embedding, weight_hh
    device: str = "cpu"
    note: str = ""  # printed in the report

    def __post_init__(self) -> None:
        if unknown := set(self.operations) - set(OPERATIONS):
            raise UsageError(f"unknown operations {sorted(unknown)}; expected some of {', '.join(OPERATIONS)}")
        if unknown := set(self.dtypes) - {"float64", "float32"}:
            raise UsageError(f"unknown dtypes {sorted(unknown)}: questions come in float64 and float32")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Capabilities":
        """From JSON, or from the dict that a Python object declares."""
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(values) - names:
            raise UsageError(f"unknown capabilities {sorted(unknown)}; expected some of {', '.join(sorted(names))}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Adapter(Protocol):
    """An implementation under test. `answer` may raise anything: that is a verdict, not an error of the suite."""

    name: str
    capabilities: Capabilities

    def answer(self, question: Question) -> Answer: ...


class MethodAdapter:
    """A Python object whose methods are named as the operations, or a function that is `forward`.

    weights, gradients and model parameters arrive as one dict; the other arrays and the settings as keyword or
    positional arguments, in the order of question.py.
    """

    def __init__(self, name: str, methods: Mapping[str, Callable[..., Any]], capabilities: Capabilities):
        self.name, self.methods, self.capabilities = name, methods, capabilities

    def answer(self, question: Question) -> Answer:
        arrays, settings = dict(question.arrays), dict(question.settings)
        method = self.methods[question.op]
        if question.op == "clip":
            norm, gradients = method(arrays, **settings)
            return _arrays({"norm": norm, **gradients})
        weights = question.weights()
        rest = {name: array for name, array in arrays.items() if name not in weights}
        if question.op in ("forward", "backward"):
            positional = ["x", "h0", "c0"] + ["dy", "dh_n", "dc_n"] * (question.op == "backward")
            keywords = {name: array for name, array in rest.items() if name not in positional}
            given = method(weights, *(rest[name] for name in positional), **keywords, **settings)
            return _named(given, ("y", "h_n", "c_n"))
        if question.op in ("model", "train", "generate"):
            masks = question.masks()
            rest = {name: array for name, array in rest.items() if not name.startswith("mask.")}
            return _named(method(weights, **rest, **({"masks": masks} if masks else {}), **settings), ("ids",))
        return _named(method(**rest, **settings), OUTPUTS[question.op])


OUTPUTS = {
    "loss": ("loss", "dlogits"),
    "adam": ("p",),
    "sgd": ("p",),
    "batches": ("inputs", "targets"),
    "evaluate": ("loss", "perplexity"),
    "sample": ("id",),
}


def _named(given: Any, names: tuple[str, ...]) -> Answer:
    """What a method returned: a dict of arrays, one array, or a tuple in the order of `names`."""
    if isinstance(given, Mapping):
        return _arrays(given)
    parts = given if isinstance(given, tuple | list) and len(names) > 1 else (given,)
    if len(parts) != len(names):
        raise TypeError(f"returned {len(parts)} values, expected {', '.join(names)}")
    return _arrays(dict(zip(names, parts)))


def _arrays(values: Mapping[str, Any]) -> Answer:
    return {str(name): np.asarray(value) for name, value in values.items()}


def as_adapter(thing: Any, name: str = "") -> Adapter:
    """An adapter of a Python object: itself, a class without arguments, an object with methods, a torch.nn.LSTM, or a
    function. Raises UsageError for what is none of these."""
    if inspect.isclass(thing):
        try:
            thing = thing()
        except TypeError as error:
            raise UsageError(f"{thing.__name__} cannot be made without arguments ({error}): pass an instance") from None
    name = name or getattr(thing, "name", "") or getattr(thing, "__name__", type(thing).__name__)
    declared = getattr(thing, "capabilities", None)
    if hasattr(thing, "answer") and declared is not None:
        if isinstance(declared, Mapping):
            thing.capabilities = Capabilities.from_dict(declared)
        return thing
    if "torch" in sys.modules and isinstance(thing, sys.modules["torch"].nn.Module):
        from parity_tests.suite.adapters.torch_lstm import TorchModule

        return TorchModule(thing)
    methods = {op: getattr(thing, op) for op in OPERATIONS if callable(getattr(thing, op, None))}
    if not methods and callable(thing):
        methods = {"forward": thing}
    if not methods:
        raise UsageError(f"{name} has no method of {', '.join(OPERATIONS)}, and is no function")
    if declared is None:
        capabilities = Capabilities(operations=tuple(methods))
    else:
        capabilities = Capabilities.from_dict({"operations": tuple(methods), **declared})
    return MethodAdapter(name, methods, capabilities)


def load_object(target: str) -> Any:
    """`package.module:object` or `file.py:object`. Raises UsageError that says which part is not there."""
    place, _, attribute = target.partition(":")
    if not attribute:
        raise UsageError(f"{target!r}: expected MODULE:OBJECT or FILE.py:OBJECT")
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise UsageError(f"no file {place}; expected MODULE:OBJECT or FILE.py:OBJECT")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, "")
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise UsageError(f"cannot import {place!r}: {error}; expected MODULE:OBJECT or FILE.py:OBJECT") from None
    thing: Any = module
    for part in attribute.split("."):
        if not hasattr(thing, part):
            raise UsageError(f"{place} has no {part!r}; expected MODULE:OBJECT or FILE.py:OBJECT")
        thing = getattr(thing, part)
    return thing

"""torch.nn.LSTM under test, and modules that are called like it. Gradients are autograd's.

    native   PyTorch's own CPU kernels
    onednn   oneDNN's, which PyTorch takes unless told otherwise for float32 without projections or packed sequences;
             it claims nothing else, because the native kernels would answer in its name

`TorchModule(module)` tests somebody's: the class of `module` is built anew for the sizes of each question, with the
arguments of nn.LSTM, on the device of `module`. A subclass of nn.LSTM fits, and so does any Module whose constructor
takes (input_size, hidden_size) first, whose parameters have nn.LSTM's names, and that maps x, (h0, c0) to
y, (h_n, c_n). Of num_layers, bias, batch_first, bidirectional and proj_size it claims what its
constructor takes by name.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstm_ref.core.errors import UsageError
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Answer, Question, layer_names

MOST_LAYERS = 4  # the suite's questions need not go deeper
OPTIONS = {"num_layers", "bias", "batch_first", "bidirectional", "proj_size"}
UPSTREAM = {"dy": "y", "dh_n": "h_n", "dc_n": "c_n"}


class TorchModule:
    """An `Adapter`. onednn: None leaves the choice as it is set, True and False make it."""

    def __init__(self, module: nn.Module, name: str = "", *, onednn: bool | None = None):
        self.build = type(module)
        self.name = name or self.build.__name__
        self.onednn = onednn
        first = next(module.parameters(), None)
        self.device = first.device if first is not None else torch.device("cpu")
        options = _options(self.build)
        self.without_bias = "bias" in options and "bias_ih_l0" not in _parameters(module)
        self.capabilities = Capabilities(
            operations=("forward", "backward"),
            dtypes=("float32",) if onednn else ("float64", "float32"),
            layers=MOST_LAYERS if "num_layers" in options else 1,
            directions=2 if "bidirectional" in options else 1,
            biases=0 if self.without_bias else 2,
            lengths=issubclass(self.build, nn.LSTM) and not onednn,  # a packed sequence
            batch_first="batch_first" in options,
            projections="proj_size" in options and not onednn,
            device=str(self.device),
            note=f"torch {torch.__version__}",
        )

    def answer(self, question: Question) -> Answer:
        if question.op not in self.capabilities.operations:
            raise UsageError(f"{self.name} answers forward and backward, not {question.op}")
        onednn = bool(torch.backends.mkldnn.enabled) if self.onednn is None else self.onednn
        projected = "weight_hr_l0" in question.arrays  # oneDNN has none: it would warn, and native kernels answer
        with _kernels(onednn and not projected):
            module = self._module(question)
            if question.op == "forward":
                with torch.no_grad():
                    return _numpy(self._run(module, self._tensors(question), question))
            inputs = self._tensors(question)
            moving = {name: inputs[name].requires_grad_() for name in ("x", "h0", "c0")} | _parameters(module)
            outputs = self._run(module, inputs, question)
            upstream = [inputs[name] for name in UPSTREAM]
            gradients = torch.autograd.grad([outputs[name] for name in UPSTREAM.values()], [*moving.values()], upstream)
            return _numpy({f"d{name}": gradient for name, gradient in zip(moving, gradients)})

    def _module(self, question: Question) -> nn.Module:
        """A module of the question's sizes with its weights. Left in training mode: cuDNN needs it for gradients."""
        weights = question.weights()
        names = layer_names(weights)
        options: dict[str, int | bool] = {}
        if any(name.endswith("_reverse") for name in names):
            options["bidirectional"] = True
        if (layers := len(names) // (2 if options else 1)) > 1:
            options["num_layers"] = layers
        if question.settings.get("batch_first"):
            options["batch_first"] = True
        if "weight_hr_l0" in weights:
            options["proj_size"] = weights["weight_hr_l0"].shape[0]
        if self.without_bias:
            options["bias"] = False
        input_size, hidden_size = weights["weight_ih_l0"].shape[1], weights["weight_hh_l0"].shape[0] // 4
        module = self.build(input_size, hidden_size, **options)
        module.to(self.device, getattr(torch, question.dtype.name))
        _load(module, weights)
        return module

    def _tensors(self, question: Question) -> dict[str, Tensor]:
        rest = {name: array for name, array in question.arrays.items() if name not in question.weights()}
        return {
            name: torch.from_numpy(array.copy()).to("cpu" if name == "lengths" else self.device)
            for name, array in rest.items()
        }

    def _run(self, module: nn.Module, inputs: Mapping[str, Tensor], question: Question) -> dict[str, Tensor]:
        x, state = inputs["x"], (inputs["h0"], inputs["c0"])
        if "lengths" not in inputs:
            y, (h_n, c_n) = module(x, state)
        else:
            batch_first = bool(question.settings.get("batch_first"))
            packed = pack_padded_sequence(x, inputs["lengths"], batch_first, enforce_sorted=False)
            packed_y, (h_n, c_n) = module(packed, state)
            y, _ = pad_packed_sequence(packed_y, batch_first, total_length=x.shape[1 if batch_first else 0])
        return {"y": y, "h_n": h_n, "c_n": c_n}


def _options(build: type[nn.Module]) -> set[str]:
    """The options of nn.LSTM that the constructor takes by name; one with **kwargs hands them on to nn.LSTM."""
    parameters = inspect.signature(build).parameters
    hands_on = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    return OPTIONS if hands_on and issubclass(build, nn.LSTM) else OPTIONS & parameters.keys()


def _parameters(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters())


def _load(module: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Raises UsageError where the names or shapes are not nn.LSTM's. A missing bias may stand for zeros."""
    parameters = _parameters(module)
    left = {name for name in weights.keys() - parameters.keys() if weights[name].any() or "bias" not in name}
    if left or parameters.keys() - weights.keys():
        raise UsageError(f"the module has the parameters {', '.join(parameters)}, expected {', '.join(weights)}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            if tuple(parameter.shape) != weights[name].shape:
                raise UsageError(f"{name} has shape {tuple(parameter.shape)}, expected {weights[name].shape}")
            parameter.copy_(torch.from_numpy(weights[name].copy()))


def _numpy(tensors: Mapping[str, Tensor]) -> Answer:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


@contextmanager
def _kernels(onednn: bool) -> Iterator[None]:
    """One thread, with or without oneDNN; and everything as it was afterwards."""
    threads, enabled = torch.get_num_threads(), bool(torch.backends.mkldnn.enabled)
    torch.set_num_threads(1)
    setattr(torch.backends.mkldnn, "enabled", onednn)  # noqa: B010  a property of the module, which mypy does not see
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        setattr(torch.backends.mkldnn, "enabled", enabled)  # noqa: B010


native = TorchModule(nn.LSTM(1, 1), "torch native", onednn=False)
onednn = TorchModule(nn.LSTM(1, 1), "torch oneDNN", onednn=True)

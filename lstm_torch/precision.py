"""What is computed in which precision: set here, and said here.

float32 products on CUDA are made of float32's factors, or of TF32's, which have 10 bits instead of 23. torch's switches
are global, cuDNN's LSTM takes TF32 unless told otherwise, and two models in one process may want different things. So
nothing is left set: a model sets what it computes with while it computes.

Proved by parity_tests/test_torch_precision.py.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from lstm_ref.core.config import LanguageModelConfig
from lstm_torch.options import Options
from lstm_torch.recurrence import Recurrence, is_persistent

Float32Precision = Literal["ieee", "tf32"]

RECURRENCES = {  # of an option or a precision: what the layers' arrays are
    "float64": torch.float64,
    "float32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@contextmanager
def float32_precision(recurrence: Float32Precision, products: Float32Precision) -> Iterator[None]:
    """Of cuDNN's LSTM and of matrix products."""
    switches: list[Any] = [torch.backends.cudnn.rnn, torch.backends.cuda.matmul]
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch, value in zip(switches, (recurrence, products)):
            switch.fp32_precision = value
        yield
    finally:
        for switch, value in zip(switches, before):
            switch.fp32_precision = value


def recurrence_of(options: Options, precision: str) -> Recurrence | None:
    """How the layers compute; None: as stock layers do, under autocast if the precision is bf16."""
    if options.recurrence is None and not options.padding:
        return None
    return Recurrence(RECURRENCES[options.recurrence or precision], options.padding)


def describe(
    config: LanguageModelConfig, options: Options, device: str, precision: str, batch_size: int
) -> dict[str, str]:
    """What each part computes with, in words."""
    parameters = "float64" if precision == "float64" else "float32"
    products = "bf16 factors, float32 sums" if precision == "bf16" else parameters
    return {
        "parameters": parameters,
        "recurrence": _describe_recurrence(config, options, device, precision, batch_size),
        "products": products,
        "options": ", ".join(f"{name}={value}" for name, value in dataclasses.asdict(options).items()),
    }


def _describe_recurrence(
    config: LanguageModelConfig, options: Options, device: str, precision: str, batch_size: int
) -> str:
    kind = recurrence_of(options, precision)
    if kind is None:
        of_autocast = "float16 (autocast)" if device == "cuda" else "bf16 (autocast)"
        return of_autocast if precision == "bf16" else precision
    name = options.recurrence or precision
    scaled = f", gradients times {kind.gradient_scale:g}" if kind.gradient_scale != 1 else ""
    sizes = [kind.sizes(batch_size, I, H) for I, H in zip(config.input_sizes, config.hidden_sizes)]
    layers = [
        f"B={B} I={I} H={H} {'persistent' if device == 'cuda' and is_persistent(kind.dtype, of_layer) else 'standard'}"
        for of_layer in sizes
        for B, I, H in [of_layer]
    ]
    return f"{name}{scaled}; layers {'; '.join(layers)}"

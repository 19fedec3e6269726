"""Names, shapes and initial values of the parameters, with PyTorch's names and layouts.

embedding.weight                      [V,E]           only with embedding_size > 0
lstm.weight_ih_l<k>, lstm.weight_hh_l<k>  [4H,I], [4H,H]  gate order i, f, g, o
lstm.bias_ih_l<k>, lstm.bias_hh_l<k>  [4H] each       both: their sum moves twice a step, see kernels/cell.py
decoder.weight, decoder.bias          [V,H], [V]      tied: no decoder.weight, embedding.weight is it
"""

import re
from collections.abc import Mapping

import numpy as np

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ShapeError


def parameter_shapes(config: LanguageModelConfig) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    if config.embedding_size:
        shapes["embedding.weight"] = (config.vocab_size, config.embedding_size)
    for layer, (I, H) in enumerate(zip(config.input_sizes, config.hidden_sizes)):
        shapes[f"lstm.weight_ih_l{layer}"] = (4 * H, I)
        shapes[f"lstm.weight_hh_l{layer}"] = (4 * H, H)
        shapes[f"lstm.bias_ih_l{layer}"] = (4 * H,)
        shapes[f"lstm.bias_hh_l{layer}"] = (4 * H,)
    if not config.tied:
        shapes["decoder.weight"] = (config.vocab_size, config.hidden_sizes[-1])
    shapes["decoder.bias"] = (config.vocab_size,)
    return shapes


def parameter_count(config: LanguageModelConfig) -> int:
    return sum(int(np.prod(shape, dtype=object)) for shape in parameter_shapes(config).values())


def optimizer_shapes(config: LanguageModelConfig, optimizer: OptimizerConfig) -> dict[str, tuple[int, ...]]:
    """What an optimizer keeps: `step`, and arrays of the parameters' shapes. `averaged` counts the steps in `average`,
    0 while averaging has not begun."""
    per_parameter, counts = {
        "adam": (("exp_avg", "exp_avg_sq"), ("step",)),
        "adamw": (("exp_avg", "exp_avg_sq"), ("step",)),
        "sgd": ((), ("step",)),
        "nt-asgd": (("average",), ("step", "averaged")),
    }[optimizer.optimizer]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(counts, ())
    return shapes | {f"{key}.{name}": s for key in per_parameter for name, s in parameter_shapes(config).items()}


def describe(config: LanguageModelConfig) -> str:
    """The layers in a few lines, and the parameter count."""
    lines = []
    if config.embedding_size:
        words = f", of words {config.dropout_embedding:g}" if config.dropout_embedding else ""
        lines.append(
            f"Embedding({config.vocab_size}, {config.embedding_size}), dropout {config.dropout_input:g}{words}"
        )
    last = len(config.hidden_sizes) - 1
    for layer, (I, H) in enumerate(zip(config.input_sizes, config.hidden_sizes)):
        p = config.dropout_output if layer == last else config.dropout_between
        recurrent = f", of weight_hh {config.weight_drop:g}" if config.weight_drop else ""
        lines.append(f"LSTM({I}, {H}), dropout {p:g}{recurrent}")
    lines.append(f"Linear({config.hidden_sizes[-1]}, {config.vocab_size}), bias{', tied' if config.tied else ''}")
    return "\n".join([*lines, f"{parameter_count(config):,} parameters"])


def initial_parameters(config: LanguageModelConfig, seed: int) -> dict[str, np.ndarray]:
    """float64 values, uniform in [-r, r); a float32 model rounds them, so both precisions start from one model.

    r is 1/sqrt(H) for a layer's weights and biases, and 1/sqrt(H of the last layer) for the decoder: what torch.nn.LSTM
    and torch.nn.Linear take unless told otherwise. With an embedding, as the word seed has it: r is 0.1 for embedding
    and decoder, and the decoder's bias is 0. Stream `init/<parameter>` of step 0.
    """
    draws, values = Draws(seed, 0), {}
    of_words = 0.1 if config.embedding_size else config.hidden_sizes[-1] ** -0.5
    for name, shape in parameter_shapes(config).items():
        layer = re.fullmatch(r"lstm\.\w+_l(\d+)", name)
        r = config.hidden_sizes[int(layer[1])] ** -0.5 if layer else of_words
        if name == "decoder.bias" and config.embedding_size:
            r = 0.0
        values[name] = r * (2 * draws.uniform(f"init/{name}", shape) - 1)
    return values


def check_parameters(config: LanguageModelConfig, params: Mapping[str, np.ndarray]) -> None:
    """Raises ShapeError unless `params` has exactly the names and shapes that the config asks for."""
    check_shapes(parameter_shapes(config), params, "parameters")


def check_optimizer_state(
    config: LanguageModelConfig, optimizer: OptimizerConfig, state: Mapping[str, np.ndarray]
) -> None:
    """As `check_parameters`, of what `LanguageModel.optimizer_state` gives."""
    check_shapes(optimizer_shapes(config, optimizer), state, f"state of {optimizer.optimizer}")


def check_shapes(expected: Mapping[str, tuple[int, ...]], arrays: Mapping[str, np.ndarray], what: str) -> None:
    if missing := expected.keys() - arrays.keys():
        raise ShapeError(f"{what} missing: {', '.join(sorted(missing))}")
    if extra := arrays.keys() - expected.keys():
        raise ShapeError(f"unknown {what}: {', '.join(sorted(extra))}; expected {', '.join(expected)}")
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            turned = len(shape) == 2 and arrays[name].shape == shape[::-1]
            hint = f"; it looks transposed: pass {name}.T" if turned else ""
            raise ShapeError(f"{name} has shape {arrays[name].shape}, expected {shape}{hint}")

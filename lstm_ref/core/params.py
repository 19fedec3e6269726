"""Names, shapes and initial values of the parameters, with PyTorch's names and layouts.

embedding.weight                      [V,E]           only with embedding_size > 0
lstm.weight_ih_l<k>, lstm.weight_hh_l<k>  [4H,I], [4H,H]  gate order i, f, g, o
lstm.bias_ih_l<k>, lstm.bias_hh_l<k>  [4H] each       both: their sum moves twice a step, see kernels/cell.py
decoder.weight, decoder.bias          [V,H], [V]
"""

from collections.abc import Mapping

import numpy as np

from lstm_ref.core.config import LanguageModelConfig
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
    shapes["decoder.weight"] = (config.vocab_size, config.hidden_sizes[-1])
    shapes["decoder.bias"] = (config.vocab_size,)
    return shapes


def parameter_count(config: LanguageModelConfig) -> int:
    return sum(int(np.prod(shape, dtype=object)) for shape in parameter_shapes(config).values())


def describe(config: LanguageModelConfig) -> str:
    """The layers in a few lines, and the parameter count."""
    lines = []
    if config.embedding_size:
        lines.append(f"Embedding({config.vocab_size}, {config.embedding_size}), dropout {config.dropout_input:g}")
    last = len(config.hidden_sizes) - 1
    for layer, (I, H) in enumerate(zip(config.input_sizes, config.hidden_sizes)):
        p = config.dropout_output if layer == last else config.dropout_between
        lines.append(f"LSTM({I}, {H}), dropout {p:g}")
    lines.append(f"Linear({config.hidden_sizes[-1]}, {config.vocab_size}), bias")
    return "\n".join([*lines, f"{parameter_count(config):,} parameters"])


def initial_parameters(config: LanguageModelConfig, seed: int) -> dict[str, np.ndarray]:
    """float64 values, uniform in [-r, r); a float32 model rounds them, so both precisions start from one model.

    r is 0.1 for the embedding, 1/sqrt(H) for a layer's weights and biases, and 1/sqrt(H of the last layer) for the
    decoder: what torch.nn.LSTM and torch.nn.Linear take unless told otherwise. Stream `init/<parameter>` of step 0.
    """
    draws = Draws(seed, 0)
    ranges = {"embedding": 0.1, "decoder": config.hidden_sizes[-1] ** -0.5}
    values = {}
    for name, shape in parameter_shapes(config).items():
        group = name.split(".")[0]
        r = ranges[group] if group in ranges else config.hidden_sizes[int(name.rsplit("_l", 1)[1])] ** -0.5
        values[name] = r * (2 * draws.uniform(f"init/{name}", shape) - 1)
    return values


def check_parameters(config: LanguageModelConfig, params: Mapping[str, np.ndarray]) -> None:
    """Raises ShapeError unless `params` has exactly the names and shapes that the config asks for."""
    expected = parameter_shapes(config)
    if missing := expected.keys() - params.keys():
        raise ShapeError(f"parameters missing: {', '.join(sorted(missing))}")
    if extra := params.keys() - expected.keys():
        raise ShapeError(f"unknown parameters: {', '.join(sorted(extra))}; expected {', '.join(expected)}")
    for name, shape in expected.items():
        if params[name].shape != shape:
            hint = f"; it looks transposed: pass {name}.T" if params[name].shape == shape[::-1] else ""
            raise ShapeError(f"{name} has shape {params[name].shape}, expected {shape}{hint}")

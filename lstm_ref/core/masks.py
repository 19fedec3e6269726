"""Where dropout falls, and its masks: the same bits for both twins."""

import numpy as np

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws


def dropout_rates(config: LanguageModelConfig) -> dict[str, float]:
    """Where -> drop probability, of those that are not 0. Where is `embedding` (whole words), `input` (what the words
    become), `l<k>` (the output of layer k) or `weight_hh_l<k>` (its recurrent weights)."""
    layers = range(len(config.hidden_sizes))
    rates = {"embedding": config.dropout_embedding, "input": config.dropout_input}
    rates |= {f"l{k}": config.dropout_between if k < layers[-1] else config.dropout_output for k in layers}
    rates |= {f"weight_hh_l{k}": config.weight_drop for k in layers}
    return {where: rate for where, rate in rates.items() if rate > 0}


def mask_shapes(config: LanguageModelConfig, T: int, B: int) -> dict[str, tuple[int, ...]]:
    """Where -> shape of its mask: [V], [T,B,N], or [4H,H]. Locked: [1,B,N], the same for every step."""
    steps = 1 if config.dropout_locked else T
    shapes: dict[str, tuple[int, ...]] = {
        "embedding": (config.vocab_size,),
        "input": (steps, B, config.embedding_size),
    }
    for k, H in enumerate(config.hidden_sizes):
        shapes |= {f"l{k}": (steps, B, H), f"weight_hh_l{k}": (4 * H, H)}
    return shapes


def dropout_masks(config: LanguageModelConfig, draws: Draws | None, T: int, B: int) -> dict[str, np.ndarray]:
    """Where -> bool, True where a value is kept, from stream `dropout/<where>`. draws=None: no dropout."""
    if draws is None:
        return {}
    shapes = mask_shapes(config, T, B)
    return {
        where: draws.keep_mask(f"dropout/{where}", shapes[where], rate) for where, rate in dropout_rates(config).items()
    }

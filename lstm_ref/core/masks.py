"""Where dropout falls, and its masks: the same bits for both twins."""

import numpy as np

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws


def dropout_rates(config: LanguageModelConfig) -> dict[str, float]:
    """Where -> drop probability; where is `input` (the embedding) or `l<k>` (the output of layer k)."""
    last = len(config.hidden_sizes) - 1
    rates = {"input": config.dropout_input}
    rates |= {f"l{k}": config.dropout_between if k < last else config.dropout_output for k in range(last + 1)}
    return {where: rate for where, rate in rates.items() if rate > 0}


def dropout_masks(config: LanguageModelConfig, draws: Draws | None, T: int, B: int) -> dict[str, np.ndarray]:
    """Where -> bool [T,B,N], True where a value is kept, from stream `dropout/<where>`. draws=None: no dropout."""
    if draws is None:
        return {}
    sizes = {"input": config.embedding_size} | {f"l{k}": H for k, H in enumerate(config.hidden_sizes)}
    return {
        where: draws.keep_mask(f"dropout/{where}", (T, B, sizes[where]), rate)
        for where, rate in dropout_rates(config).items()
    }

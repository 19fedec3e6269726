"""How a user of torch or ONNX Runtime draws a character from what the network returns."""

import random

import numpy as np


def drawn(logits: np.ndarray, top_k: int, generator: random.Random) -> int:
    """One of the `top_k` largest of logits [V], by softmax. NumPy's generators would take longer than Python's."""
    if top_k == 1:
        return int(logits.argmax())
    kept = np.argpartition(logits, -top_k)[-top_k:]
    weights = np.exp(logits[kept] - logits[kept].max())
    return generator.choices(kept.tolist(), weights.tolist())[0]

"""What no version can do without: floating-point operations, and bytes of device memory read or written once.

Of an LSTM layer a token takes 2 * 4H(I+H) operations forward (a multiplication and an addition for each weight) and
twice that backward, for the gradient of the input and of the weights; of the decoder 2 H V and twice that. One-hot
input is a gather forward and a scatter backward: no operations. Elementwise work is left out: under a hundredth.
"""

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.params import parameter_count

TRAINING = 3  # forward once, backward twice
# Bytes a parameter that an update reads and writes at least: itself and what the optimizer keeps, float32.
UPDATE_BYTES = {"sgd": 8, "nt-asgd": 8, "adam": 24, "adamw": 24}


def forward_flops_a_token(config: LanguageModelConfig) -> int:
    flops = 2 * config.hidden_sizes[-1] * config.vocab_size
    for layer, (I, H) in enumerate(zip(config.input_sizes, config.hidden_sizes)):
        one_hot = layer == 0 and not config.embedding_size
        flops += 2 * 4 * H * (H if one_hot else I + H)
    return flops


def training_flops_a_token(config: LanguageModelConfig) -> int:
    return TRAINING * forward_flops_a_token(config)


def step_bytes(config: LanguageModelConfig, optimizer: str, tokens: int) -> int:
    """Of a training step whose activations never leave the chip: parameters updated, ids and targets read (int64)."""
    return UPDATE_BYTES[optimizer] * parameter_count(config) + 16 * tokens


def recurrence_flops(T: int, B: int, I: int, H: int, backward: bool) -> int:
    """Of one layer over a window, its input product included."""
    return (TRAINING if backward else 1) * T * B * 2 * 4 * H * (I + H)


def recurrence_bytes(T: int, B: int, I: int, H: int, backward: bool, size: int) -> int:
    """x and the weights read, y written; backward, dy read, dx and the weights' gradient written. size: of a number.

    What the forward pass keeps for the backward one is not counted: it might be computed again."""
    weights, x, y = 4 * H * (I + H + 2), T * B * I, T * B * H
    return size * (weights + x + y) * (2 if backward else 1)


def softmax_flops(N: int, D: int, V: int) -> int:
    return TRAINING * 2 * N * D * V


def softmax_bytes(N: int, D: int, V: int, size: int) -> int:
    """x, W, b read and their gradients written, targets read; the logits never stand in memory."""
    return 2 * size * (N * D + V * D + V) + 8 * N

r"""Clipping by the global norm [Pascanu et al. 2013, Alg. 1].

    norm = sqrt(sum over all parameters of |grad|^2)                    (1)
    grad *= min(1, max_norm / (norm + 1e-6))                            (2)
    x + y = s + e exactly,   s = fl(x + y)                              (3)  [Knuth 1969, TwoSum]

The 1e-6 is that of torch.nn.utils.clip_grad_norm_: without it a clipped step is 1e-6/norm longer than torch's.

A norm that is off makes every clipped step too long by one factor. 33 million squares in eight running float64 sums are
off by 5e-12 where a few words have nearly all of the gradient; fifty steps of AWD-LSTM at lr 30 made half a nat of it.

Proved by parity_tests/test_clip.py.
"""

import numpy as np

from lstm_ref.core.jit import jit

EPSILON = 1e-6
PIECE = 1024  # squares that are added up before (3)


def clip_global_norm_plain(grads, max_norm):
    """grads: name -> array. Returns the norm before clipping and the scaled gradients, new arrays."""
    norm = np.sqrt(sum(np.sum(np.square(grad, dtype=np.float64)) for grad in grads.values()))
    factor = min(1.0, max_norm / (norm + EPSILON))
    return norm, {name: grad * grad.dtype.type(factor) for name, grad in grads.items()}


@jit
def sum_of_squares(x):
    """x [N] -> float64. Sums of pieces are added up by (3): in one running sum, squares that come late are too small to
    count in full."""
    total, lost = 0.0, 0.0
    for begin in range(0, x.size, PIECE):
        piece = _sum_of_piece(x[begin : begin + PIECE])
        s = total + piece
        if not np.isfinite(s):
            return s
        part = s - total
        lost += (total - (s - part)) + (piece - part)
        total = s
    return total + lost


@jit
def _sum_of_piece(x):
    """Eight running sums, so that the loop vectorises without reordering one float sum."""
    sums = np.zeros(8)
    whole = x.size - x.size % 8
    for n in range(0, whole, 8):
        for k in range(8):
            value = np.float64(x[n + k])
            sums[k] += value * value
    for n in range(whole, x.size):
        value = np.float64(x[n])
        sums[0] += value * value
    return sums.sum()


def global_norm(grads):
    """(1). grads: name -> contiguous array of any shape, float32 or float64. float64; NaN or inf if any entry is."""
    return float(np.sqrt(sum(sum_of_squares(grad.reshape(-1)) for grad in grads.values())))


def clip_factor(norm, max_norm):
    """The factor of (2). The fused update (kernels/adam.py) applies it, so the gradient is not written once more."""
    return min(1.0, max_norm / (norm + EPSILON))

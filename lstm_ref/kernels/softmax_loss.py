r"""Softmax and cross-entropy, mean over N tokens.

    logp_n = z_n - m_n - log sum_v exp(z_nv - m_n),   m_n = max_v z_nv  (1)  the shift keeps exp from overflowing
    loss = -1/N sum_n logp_n[target_n]                                  (2)  nats
    dz_n = (exp(logp_n) - onehot(target_n)) / N                         (3)

Shapes: logits z [N,V]; targets int64 [N].

Proved by parity_tests/test_softmax_loss.py.
"""

import math

import numpy as np

from lstm_ref.core.jit import jit
from lstm_ref.kernels.activations import exp


def log_softmax_plain(logits):
    """(1), along the last axis."""
    shifted = logits - np.max(logits.real, axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def softmax_loss_plain(logits, targets):
    """(2)."""
    return -np.mean(log_softmax_plain(logits)[np.arange(targets.size), targets])


def softmax_loss_backward_plain(logits, targets):
    """(3). Returns dlogits [N,V]."""
    dlogits = np.exp(log_softmax_plain(logits))
    dlogits[np.arange(targets.size), targets] -= 1
    return dlogits / targets.size


@jit
def softmax_loss_total(logits, targets):
    """N times (2), summed in float64. A target's probability is never formed, so it cannot round to zero."""
    total = 0.0
    for n in range(targets.size):
        row = logits[n]
        largest = row.max()
        total_n = 0.0
        for v in range(row.size):
            total_n += exp(row[v] - largest)
        total += math.log(total_n) - (row[targets[n]] - largest)
    return total


@jit
def softmax_loss_backward(logits, targets):
    """N times (2), and (3) in place of the logits.

    p and onehot are scaled by the same rounded 1/N: were 1/N subtracted from p/N, each with a rounding of its own, each
    target would be pulled the same way by 2e-8 of its gradient.
    """
    total, one = 0.0, logits.dtype.type(1)
    scale = logits.dtype.type(1.0 / targets.size)
    for n in range(targets.size):
        row = logits[n]
        largest, target = row.max(), row[targets[n]]
        e_target = exp(target - largest)
        total_n = 0.0
        for v in range(row.size):
            e = exp(row[v] - largest)
            row[v] = e
            total_n += e
        total += math.log(total_n) - (target - largest)
        inverse = row.dtype.type(1.0 / total_n)
        for v in range(row.size):
            row[v] = row[v] * inverse * scale
        row[targets[n]] = (e_target * inverse - one) * scale
    return total

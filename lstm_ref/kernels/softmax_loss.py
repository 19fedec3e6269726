r"""Softmax and cross-entropy, mean over N tokens.

    logp_n = z_n - m_n - log sum_v exp(z_nv - m_n),   m_n = max_v z_nv  (1)  the shift keeps exp from overflowing
    loss = -1/N sum_n logp_n[target_n]                                  (2)  nats
    dz_n = (exp(logp_n) - onehot(target_n)) / N                         (3)
    x + b = s + e exactly,   s = fl(x + b)                              (4)  [Knuth 1969, TwoSum]
    exp(s + e) = exp(s) (1 + e)   to e^2, so for small e                (5)

Shapes: logits z [N,V], or z = x + b with a bias b [V]; targets int64 [N].

Why the compiled forms add the decoder's bias themselves, by (4) and (5): x lies on a grid, as coarse as 5e-7 where
|x| > 4, and b is one number for all rows. So fl(x + b) is off by the same amount in every row, and a mean over 12,800
rows does not average it out. That alone put 17e-6 between the parameters of two float32 twins, where 3e-6 is rounding,
in 12 steps of the 2x512 character model as it left its plateau.

Proved by parity_tests/test_softmax_loss.py.
"""

import math

import numpy as np

from lstm_ref.core.jit import jit, jit_inline
from lstm_ref.kernels.activations import exp

CORRECTED = 8192.0  # largest logit for which (5) is used: there e^2 is float32's rounding, at 1e10 e is up to 512
LANES = 64  # running maxima and sums side by side: with one of each a logit took 4.8 ns, so it takes 1.1


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


@jit_inline
def rounding_error(x, b, s):
    """e of (4), from s = fl(x + b)."""
    b_part = s - x
    return (x - (s - b_part)) + (b - b_part)


@jit
def _largest(x, b, lanes):
    """max_v fl(x_v + b_v). NaN is passed over: its own exponential makes the loss NaN."""
    L, V = lanes.size, x.size
    for v in range(min(L, V)):
        lanes[v] = x[v] + b[v]
    for start in range(L, V, L):
        x_part, b_part = x[start : start + L], b[start : start + L]
        for k in range(x_part.size):
            s = x_part[k] + b_part[k]
            lanes[k] = s if s > lanes[k] else lanes[k]
    largest = lanes[0]
    for k in range(min(L, V)):
        largest = lanes[k] if lanes[k] > largest else largest
    return largest


@jit
def _sum(x, lanes):
    """In float64."""
    total = 0.0
    lanes[:] = total
    for start in range(0, x.size, lanes.size):
        part = x[start : start + lanes.size]
        for k in range(part.size):
            lanes[k] += part[k]
    for k in range(lanes.size):
        total += lanes[k]
    return total


@jit
def _distance(x, b, largest, trust):
    """x + b - largest of one logit, with the error of (4)."""
    s = x + b
    return np.float64(s - largest) + trust * rounding_error(x, b, s)


@jit
def _token(row, b, target, maxima, sums):
    """Of one token with logits z = row + b: its loss, and the sum of exp(z - max z), which takes the place of row. A
    target's probability is never formed, so it cannot round to zero."""
    largest = _largest(row, b, maxima)
    trust = row.dtype.type(1 if abs(largest) <= CORRECTED else 0)
    distance = _distance(row[target], b[target], largest, trust)
    for v in range(row.size):
        s = row[v] + b[v]
        y = exp(s - largest)
        row[v] = y + y * (trust * rounding_error(row[v], b[v], s))  # (5)
    total = _sum(row, sums)
    return math.log(total) - distance, total


@jit
def softmax_loss_total(x, b, targets):
    """N times (2) for the logits x + b, summed in float64. x is used up."""
    maxima, sums = np.empty(LANES, x.dtype), np.empty(LANES)
    total = 0.0
    for n in range(targets.size):
        loss, _ = _token(x[n], b, targets[n], maxima, sums)
        total += loss
    return total


@jit
def softmax_loss_backward(x, b, targets, tokens, db):
    """For some rows of the logits x + b, of `tokens` in all: their part of N times (2); (3) in place of x, and its sum
    over the rows added to db [V], float64.

    p and onehot are scaled by the same rounded 1/N: were 1/N subtracted from p/N, each with a rounding of its own, each
    target would be pulled the same way by 2e-8 of its gradient.
    """
    maxima, sums = np.empty(LANES, x.dtype), np.empty(LANES)
    total, one = 0.0, x.dtype.type(1)
    scale = x.dtype.type(1.0 / tokens)
    for n in range(targets.size):
        row, target = x[n], targets[n]
        loss, total_n = _token(row, b, target, maxima, sums)
        total += loss
        inverse = x.dtype.type(1.0 / total_n)
        y_target = row[target]
        for v in range(row.size):
            row[v] = row[v] * inverse * scale
        row[target] = (y_target * inverse - one) * scale
        for v in range(row.size):
            db[v] += row[v]
    return total

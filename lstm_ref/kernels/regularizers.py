r"""Activation regularisation and its temporal sibling [Merity et al. 2017, arXiv:1708.01009].

    AR  = alpha * mean over t,b,j of (m_tbj h_tbj)^2                    (1)  h after dropout
    dAR = 2 alpha / (T B H) * m h                                       (2)  by m h
    TAR  = beta * mean over t<T,b,j of (h_t+1,bj - h_tbj)^2             (3)  h before dropout; 0 where T = 1
    dTAR_t = 2 beta / ((T-1) B H) * (h_t - h_t-1 - (h_t+1 - h_t))       (4)  by h_t; what lies outside 1..T adds nothing

h: the last layer's output, [T,B,H].

Proved by parity_tests/test_regularizers.py.
"""

import numpy as np

from lstm_ref.core.jit import jit


def activation_plain(h, alpha):
    """(1)."""
    return alpha * np.mean(h * h)


def activation_backward_plain(h, alpha):
    """(2)."""
    return 2 * alpha / h.size * h


def temporal_plain(h, beta):
    """(3)."""
    if len(h) == 1:
        return 0.0 * np.sum(h)
    steps = h[1:] - h[:-1]
    return beta * np.mean(steps * steps)


def temporal_backward_plain(h, beta):
    """(4)."""
    dh = np.zeros_like(h)
    if len(h) == 1:
        return dh
    steps = h[1:] - h[:-1]
    scaled = 2 * beta / steps.size * steps
    dh[1:] += scaled
    dh[:-1] -= scaled
    return dh


@jit
def _activation(h, factor, dh):
    """sum h^2 in float64; adds factor h to dh. Flat."""
    total = 0.0
    for n in range(h.size):
        value = np.float64(h[n])
        total += value * value
        dh[n] += factor * h[n]
    return total


def activation(h, alpha, dh):
    """(1), and (2) added to dh, in one pass. Contiguous arrays; nothing is touched where alpha is 0."""
    if alpha == 0:
        return 0.0
    return alpha / h.size * _activation(h.reshape(-1), h.dtype.type(2 * alpha / h.size), dh.reshape(-1))


@jit
def _temporal(h, factor, dh):
    """sum (h_t+1 - h_t)^2 in float64; adds factor times its gradient / 2 to dh. h, dh [T,N]."""
    total = 0.0
    for t in range(1, len(h)):
        before, now, dbefore, dnow = h[t - 1], h[t], dh[t - 1], dh[t]
        for n in range(now.size):
            step = now[n] - before[n]
            value = np.float64(step)
            total += value * value
            dnow[n] += factor * step
            dbefore[n] -= factor * step
    return total


def temporal(h, beta, dh):
    """(3), and (4) added to dh, in one pass. As `activation`."""
    if beta == 0 or len(h) == 1:
        return 0.0
    T, size = len(h), h[1:].size
    return beta / size * _temporal(h.reshape(T, -1), h.dtype.type(2 * beta / size), dh.reshape(T, -1))

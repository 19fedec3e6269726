r"""Activation regularisation and its temporal sibling [Merity et al. 2017, arXiv:1708.01009].

    AR  = alpha * mean over t,b,j of (m_tbj h_tbj)^2                    (1)  h after dropout
    dAR = 2 alpha / (T B H) * m h                                       (2)  by m h
    TAR  = beta * mean over t<T,b,j of (h_t+1,bj - h_tbj)^2             (3)  h before dropout; 0 where T = 1
    dTAR_t = 2 beta / ((T-1) B H) * (h_t - h_t-1 - (h_t+1 - h_t))       (4)  by h_t; what lies outside 1..T adds nothing

h: the last layer's output, [T,B,H].

Proved by parity_tests/test_regularizers.py.
"""

import numpy as np


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

r"""sigmoid and tanh, and how they are computed.

    sigmoid(x) = 1 / (1 + exp(-x)) = 1/2 + 1/2 tanh(x/2)                (1)
    tanh(x) ~ x P(x^2) / Q(x^2), |x| <= 7.90531;  1 for x > 9.0109      (2)

(2) is the float32 form: a rational function with P of degree 6 and Q of degree 3, the coefficients that Eigen and XLA
use, within 6 units in the last place of tanh. It vectorises to 0.4 ns an element where a call of libm's tanh takes 24.
The second part makes saturated gates exact: f = 1 and i = 0 have to keep a cell bit by bit. float64 is where bugs are
hunted, so it calls libm. Comparisons are written so that NaN passes through.

Proved by parity_tests/test_activations.py.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

_f = np.float32
BOUND = _f(7.90531110763549805)  # P/Q is fitted up to here
SATURATED, ONE = _f(9.0109), _f(1)  # tanh rounds to 1 in float32 beyond
P0, P1, P2, P3 = _f(4.89352455891786e-03), _f(6.37261928875436e-04), _f(1.48572235717979e-05), _f(5.12229709037114e-08)
P4, P5, P6 = _f(-8.60467152213735e-11), _f(2.00018790482477e-13), _f(-2.76076847742355e-16)
Q0, Q1, Q2, Q3 = _f(4.89352518554385e-03), _f(2.26843463243900e-03), _f(1.18534705686654e-04), _f(1.19825839466702e-06)
HALF = _f(0.5)


def sigmoid_plain(x):
    """(1), any real or complex array. The sign is taken out first, so exp never overflows."""
    sign = np.where(np.real(x) >= 0, 1.0, -1.0).astype(x.real.dtype)
    z = np.exp(-sign * x)
    return np.where(sign > 0, 1 / (1 + z), z / (1 + z))


def _tanh_float32(x):
    """(2) by Horner's rule."""
    r = BOUND if x > BOUND else x
    r = -BOUND if r < -BOUND else r
    s = r * r
    p = P0 + s * (P1 + s * (P2 + s * (P3 + s * (P4 + s * (P5 + s * P6)))))
    q = Q0 + s * (Q1 + s * (Q2 + s * Q3))
    y = r * p / q
    y = ONE if x > SATURATED else y
    return -ONE if x < -SATURATED else y


def _tanh_float64(x):
    return math.tanh(x)


def _sigmoid_float32(x):
    return HALF + HALF * tanh(HALF * x)


def _sigmoid_float64(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(x))


def tanh(x):
    """One real scalar, in its own precision. Inside a kernel Numba takes the form for the scalar's type."""
    return _tanh_float32(x) if isinstance(x, np.float32) else _tanh_float64(x)


def sigmoid(x):
    """One real scalar, in its own precision. Inside a kernel Numba takes the form for the scalar's type."""
    return _sigmoid_float32(x) if isinstance(x, np.float32) else _sigmoid_float64(x)


@overload(tanh)
def _typed_tanh(x):
    return _tanh_float32 if x == types.float32 else _tanh_float64


@overload(sigmoid)
def _typed_sigmoid(x):
    return _sigmoid_float32 if x == types.float32 else _sigmoid_float64

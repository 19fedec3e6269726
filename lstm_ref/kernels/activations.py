r"""exp, sigmoid and tanh, and how they are computed in float32.

    sigmoid(x) = 1 / (1 + exp(-x))                                      (1)
    tanh(x) = x + x^3 P(x^2)  for |x| <= 5/8;   sign(x) (1 - 2 / (1 + exp(2|x|)))  beyond   (2)
    exp(x) = 2^n exp(r),   n = round(x / ln 2),   r = x - n ln 2        (3)

P and the polynomial for exp(r) are those of Cephes [Moshier 1992]. Without a branch or a call they vectorise: 0.4 ns a
sigmoid, 0.7 ns a tanh, where libm's tanh takes 16.

Why not the cheaper rational function of Eigen and XLA: its slope at 0 is 1 - 1.3e-7, the same way in every gate and
step, and its error of 5 units in the last place near saturation is a large part of 1 - f where a gate is nearly open.
With it the gradient of a 100-step window of the 2x512 character model was three times further from float64.

float64 is where bugs are hunted, so it calls libm. NaN passes through, and saturation is exact: f = 1 and i = 0 have to
keep a cell bit by bit.

Proved by parity_tests/test_activations.py.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

_f = np.float32
ONE, TWO, ZERO = _f(1), _f(2), _f(0)
SMALL = _f(0.625)
P0, P1, P2 = _f(-3.33332819422e-1), _f(1.33314422036e-1), _f(-5.37397155531e-2)
P3, P4 = _f(2.06390887954e-2), _f(-5.70498872745e-3)
E0, E1, E2 = _f(5.0000001201e-1), _f(1.6666665459e-1), _f(4.1665795894e-2)
E3, E4, E5 = _f(8.3334519073e-3), _f(1.3981999507e-3), _f(1.9875691500e-4)
LOG2_E, LN2_HIGH, LN2_LOW = _f(1.44269504088896341), _f(0.693359375), _f(-2.12194440e-4)  # ln 2 in two parts
LOWEST, HIGHEST = _f(-87.9), _f(88.8)  # beyond, n makes 2^n zero or infinity
ROUND = _f(1.5 * 2**23)  # adding it leaves n in the low bits of a float32
LARGEST = 709.782712893384  # ln of the largest float64
ROUND_BITS, EXPONENT = np.int32(0x4B400000 - 127), np.int32(23)


def sigmoid_plain(x):
    """(1), any real or complex array. The sign is taken out first, so exp never overflows."""
    sign = np.where(np.real(x) >= 0, 1.0, -1.0).astype(x.real.dtype)
    z = np.exp(-sign * x)
    return np.where(sign > 0, 1 / (1 + z), z / (1 + z))


def _exp_float32(x):
    """(3). 2^n is made by putting n into the exponent's bits."""
    x = HIGHEST if x > HIGHEST else x
    x = LOWEST if x < LOWEST else x
    shifted = np.float32(x * LOG2_E + ROUND)
    n = shifted - ROUND
    r = x - n * LN2_HIGH - n * LN2_LOW
    y = ONE + (r + r * r * (E0 + r * (E1 + r * (E2 + r * (E3 + r * (E4 + r * E5))))))
    return y * np.int32((shifted.view(np.int32) - ROUND_BITS) << EXPONENT).view(np.float32)


def _sigmoid_float32(x):
    return ONE / (ONE + exp(-x))


def _tanh_float32(x):
    size = -x if x < ZERO else x
    t = ZERO if size > SMALL else x
    s = t * t
    near = t + t * s * (P0 + s * (P1 + s * (P2 + s * (P3 + s * P4))))
    far = ONE - TWO / (ONE + exp(size + size))
    far = -far if x < ZERO else far
    return far if size > SMALL else near


def _exp_float64(x):
    return math.exp(x) if x <= LARGEST else math.inf + x  # Python's would raise; and NaN + inf is NaN


def _sigmoid_float64(x):
    z = math.exp(-abs(x))  # at most 1; and what is small stays exact, where 1 - 1 / (1 + z) would lose it
    return (1 if x >= 0 else z) / (1 + z)


def _tanh_float64(x):
    return math.tanh(x)


def exp(x):
    """One real scalar, in its own precision. Inside a kernel Numba takes the form for the scalar's type."""
    return _exp_float32(x) if isinstance(x, np.float32) else _exp_float64(x)


def sigmoid(x):
    """As `exp`."""
    return _sigmoid_float32(x) if isinstance(x, np.float32) else _sigmoid_float64(x)


def tanh(x):
    """As `exp`."""
    return _tanh_float32(x) if isinstance(x, np.float32) else _tanh_float64(x)


@overload(exp)
def _typed_exp(x):
    return _exp_float32 if x == types.float32 else _exp_float64


@overload(sigmoid)
def _typed_sigmoid(x):
    return _sigmoid_float32 if x == types.float32 else _sigmoid_float64


@overload(tanh)
def _typed_tanh(x):
    return _tanh_float32 if x == types.float32 else _tanh_float64

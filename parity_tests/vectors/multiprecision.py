r"""Arrays of multi-precision numbers: the arithmetic under the golden vectors.

A NumPy array of dtype object holds mpmath numbers, and `@`, `*`, `+` then work with them; so the equations read as
everywhere else. 1 - sigmoid(a) is computed as sigmoid(-a), and 1 - tanh(a)^2 as sech(a)^2: nothing cancels where a gate
is saturated.

    df/dx = (f(x + h) - f(x - h)) / 2h + O(h^2)                         (1)

With h = 1e-40 and twice the digits, (1) is right to about 80 digits: by it every gradient is checked that is derived
by hand here.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from mpmath import mp

DIGITS = 60  # fifty that count, ten of guard
PRINTED = 30
STEP = "1e-40"

Exact = dict[str, np.ndarray]


def exact(values) -> np.ndarray:
    """float64 or float32 of any shape -> object array of the same numbers."""
    return _mpf(np.asarray(values, np.float64).astype(object))


_mpf = np.frompyfunc(mp.mpf, 1, 1)
exp = np.frompyfunc(mp.exp, 1, 1)
log = np.frompyfunc(mp.log, 1, 1)
sqrt = np.frompyfunc(mp.sqrt, 1, 1)
tanh = np.frompyfunc(mp.tanh, 1, 1)
sigmoid = np.frompyfunc(lambda a: 1 / (1 + mp.exp(-a)), 1, 1)
tanh_slope = np.frompyfunc(lambda a: mp.sech(a) ** 2, 1, 1)


def sigmoid_slope(a: np.ndarray) -> np.ndarray:
    return sigmoid(a) * sigmoid(-a)


def zeros(shape) -> np.ndarray:
    return exact(np.zeros(shape))


def nearest(values: np.ndarray) -> np.ndarray:
    """The float64 nearest to each number, ties to even: that is how Python divides integers."""
    return np.asarray(np.frompyfunc(_nearest, 1, 1)(values), np.float64)


def _nearest(value) -> float:
    if not mp.isfinite(value):
        raise ArithmeticError(f"{value} is no answer")
    man, exponent = abs(value).man_exp
    magnitude = float(Fraction(int(man)) * Fraction(2) ** int(exponent))
    return -magnitude if value < 0 else magnitude


def digits(values: np.ndarray) -> list[str]:
    """Thirty significant digits of each number, in C order. Trailing zeros are left out."""
    return [mp.nstr(mp.mpf(value), PRINTED) for value in np.asarray(values, object).reshape(-1)]


def central_differences(f: Callable[[Exact], Any], inputs: Mapping[str, np.ndarray]) -> Exact:
    """(1) for every number of every input. f: a dict like `inputs` -> one number."""
    slopes: Exact = {}
    with mp.workdps(2 * DIGITS):
        h = mp.mpf(STEP)
        for name, array in inputs.items():
            slopes[name] = np.empty(array.shape, object)
            for place in np.ndindex(array.shape):
                ends = []
                for moved_by in (h, -h):
                    moved = array.copy()
                    moved[place] += moved_by
                    ends.append(f({**inputs, name: moved}))
                slopes[name][place] = (ends[0] - ends[1]) / (2 * h)
    return slopes

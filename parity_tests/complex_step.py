"""The gradient oracle: df/dx = Im f(x + ih) / h [Squire & Trapp 1998].

No difference is taken, so nothing cancels and h can be 1e-30: the result is exact to rounding. f has to be written in
operations that are holomorphic near x, which the plain kernels are.
"""

from collections.abc import Callable

import numpy as np

STEP = 1e-30


def complex_step_gradient(f: Callable[[np.ndarray], complex], x: np.ndarray) -> np.ndarray:
    """df/dx for every entry of x. f takes a complex array of x's shape and returns a scalar."""
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[index] += 1j * STEP
        gradient[index] = f(moved).imag / STEP
    return gradient


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest expected value: an entry that cancels to near zero counts by that scale."""
    assert actual.shape == expected.shape
    scale = np.abs(expected).max(initial=0.0) or 1.0
    return float(np.abs(actual - expected).max(initial=0.0) / scale)

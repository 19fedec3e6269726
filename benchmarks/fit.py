r"""How cost grows: a power law through measured points, by least squares in the logarithms.

    log y = log a + p log x + residual                                  (1)
    spread = exp(rms of the residuals) - 1                              (2)  0.1: the law is off by a tenth

A power law is a description, not a model: fixed costs pull p down at small x, caches that overflow push it up. So the
steepness between neighbouring points stands beside p: where it changes, so does what the time is spent on. And what it
is spent on is asked, by least squares of the relative residuals:

    y = a + b x + c L,   a, b, c >= 0                                   (3)  L: the time of the products alone
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """factor a, exponent p and spread of (1) and (2)."""

    factor: float
    exponent: float
    spread: float

    def at(self, x: float) -> float:
        return self.factor * x**self.exponent


def fitted(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """x, y: positive, two points at least, not all x equal."""
    u, w = [math.log(value) for value in x], [math.log(value) for value in y]
    n, mean_u, mean_w = len(u), math.fsum(u) / len(u), math.fsum(w) / len(w)
    exponent = math.fsum((a - mean_u) * (b - mean_w) for a, b in zip(u, w, strict=True))
    exponent /= math.fsum((a - mean_u) ** 2 for a in u)
    intercept = mean_w - exponent * mean_u
    squares = math.fsum((b - intercept - exponent * a) ** 2 for a, b in zip(u, w))
    return PowerLaw(math.exp(intercept), exponent, math.expm1(math.sqrt(squares / n)))


def steepness(x: Sequence[float], y: Sequence[float]) -> list[float]:
    """The exponent between each point and the next."""
    points = list(zip(x, y, strict=True))
    return [math.log(d / b) / math.log(c / a) for (a, b), (c, d) in itertools.pairwise(points)]


GAIN = 1e-3


@dataclass(frozen=True, slots=True)
class Parts:
    """a, b, c of (3), and the rms of the relative residuals."""

    fixed: float
    linear: float
    products: float
    spread: float


def parts_of(x: Sequence[float], y: Sequence[float], limits: Sequence[float]) -> Parts:
    """The best of the fits with some of the terms of (3) in which none is negative; a further term has to bring it
    GAIN nearer. All y positive."""
    terms = np.stack([np.ones(len(x)), x, limits], axis=1) / np.asarray(y)[:, None]
    best = Parts(0.0, 0.0, 0.0, 1.0)
    for chosen in (list(c) for count in (1, 2, 3) for c in itertools.combinations(range(3), count)):
        factors = np.zeros(3)
        factors[chosen] = np.linalg.lstsq(terms[:, chosen], np.ones(len(x)), rcond=None)[0]
        spread = float(np.sqrt(np.mean((terms @ factors - 1) ** 2)))
        if factors.min() >= 0 and spread < best.spread - GAIN:
            best = Parts(*map(float, factors), spread)
    return best

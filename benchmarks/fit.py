r"""How cost grows: a power law through measured points, by least squares in the logarithms.

    log y = log a + p log x + residual                                  (1)
    spread = exp(rms of the residuals) - 1                              (2)  0.1: the law is off by a tenth

A power law is a description, not a model: fixed costs pull p down at small x, caches that overflow push it up. So the
steepness between neighbouring points stands beside p: where it changes, so does what the time is spent on.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


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

"""The numbers of the golden vectors: tiny cases, chosen so that nothing hides.

All numbers of a case come from one grid, k/256 with 0 < |k| < 255, and no two of them are equal: no two gates, biases
or states can be exchanged unseen. They have eight significant bits, so float32, TF32, float16 and bfloat16 hold them
exactly, and what such a program gets wrong it has rounded itself.
"""

from typing import NamedTuple

import numpy as np

from parity_tests.suite.question import Question

PRIME, ROOT = 509, 367  # 367 generates all residues modulo 509


class Case(NamedTuple):
    name: str
    purpose: str  # one line; by_hand has its calculation below it
    question: Question


class Grid:
    """Hands out k/256, each k once, in the order of the powers of ROOT from 37*seed on."""

    def __init__(self, seed: int):
        self.residue, self.left = pow(ROOT, 37 * seed, PRIME), PRIME - 1

    def __call__(self, *shape: int) -> np.ndarray:
        """float64 [shape]. Raises ValueError when there are no more different numbers."""
        count = int(np.prod(shape))
        self.left -= count
        if self.left < 0:
            raise ValueError(f"the grid has {PRIME - 1} numbers, and {-self.left} more were asked for")
        values = np.empty(count)
        for n in range(count):
            values[n] = (self.residue if self.residue < PRIME / 2 else self.residue - PRIME) / 256
            self.residue = self.residue * ROOT % PRIME
        return values.reshape(shape)

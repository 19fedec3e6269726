"""What it takes: one question with random numbers, T = 4, every size different, every bias, h0 and c0 nonzero.

Nothing is symmetric, nothing is 0, and each step's state goes into the next, so whatever an LSTM does otherwise than
the equations moves an output by a part of its size. The tolerance is for float64, at which the right answers of two
implementations differ by some units of 1e-16: 1e-9 is the project's bound for h and c.
"""

import numpy as np

from lstm_ref.core.draws import Draws
from parity_tests.suite.published.case import PublishedCase, PublishedSuite, forward, within
from parity_tests.suite.published.cell import expect

T, B, I, H = 4, 3, 5, 2
TOLERANCE = 1e-9


def suite(seed: int = 0) -> PublishedSuite:
    draws = Draws(seed)

    def between(name: str, *shape: int) -> np.ndarray:
        """Uniform in [-1, 1)."""
        return 2 * draws.uniform(name, shape) - 1

    question = forward(
        between("x", T, B, I),
        H,
        weight_ih_l0=between("weight_ih", 4 * H, I),
        weight_hh_l0=between("weight_hh", 4 * H, H),
        bias_ih_l0=between("bias_ih", 4 * H),
        bias_hh_l0=between("bias_hh", 4 * H),
        h0=between("h0", 1, B, H),
        c0=between("c0", 1, B, H),
    )
    outputs = ("y", "h_n", "c_n")
    return PublishedSuite(
        name="random",
        title=f"one random vector, T={T}, every bias, h0, c0 nonzero",
        source="parity_tests/suite/published/random_vector.py",
        tolerance=f"rtol and atol {TOLERANCE:g}",
        note="all sizes different; y, h_n and c_n compared",
        cases=(PublishedCase("random", question, expect(question, outputs), within(TOLERANCE, TOLERANCE)),),
    )

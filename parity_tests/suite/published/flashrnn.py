"""flashrnn's test of its LSTM kernels in bfloat16, at its smallest size, drawn twenty times.

Each test draws once: the input's part of the pre-activation and the bias from a normal distribution, the recurrent
matrix from one divided by sqrt(H); the state starts at 0. Every h and every c is then compared with a plain loop within
0.2 + 0.4 |expected|. In our question the input is that part itself, and weight_ih the identity; a question for each
number of steps shows every c. The backward test has the same tolerance; what is scored here is the forward pass.

The suite has batches of 2 to 64, 1 to 128 heads of 32 to 1024 units, and 1, 3 or 1024 steps; this is B=2, H=32 in one
head, T=3. From a zero state, one step could not tell at any tolerance what the recurrent matrix does.
"""

import numpy as np

from lstm_ref.core.draws import Draws
from parity_tests.suite.published.case import Accepts, PublishedCase, PublishedSuite, forward, within
from parity_tests.suite.published.cell import expect
from parity_tests.suite.question import Answer

RTOL, ATOL = 0.4, 0.2
SEEDS = 20


def bfloat16(x: np.ndarray) -> np.ndarray:
    """The nearest number with 8 bits of significand, ties to even, by way of float32. NaN and infinity stay."""
    bits = x.astype(np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(x), rounded.view(np.float32), x).astype(np.float64)


def normal(draws: Draws, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """[Box & Muller 1958]: two uniform numbers a normal one. u in (0, 1]: its logarithm is finite."""
    u, v = 1 - draws.uniform(f"{name}/radius", shape), draws.uniform(f"{name}/angle", shape)
    return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)


def compare_rounded() -> Accepts:
    equal = within(RTOL, ATOL)

    def compare(expected: Answer, got: Answer) -> bool:
        return equal(*({name: bfloat16(answer[name]) for name in expected} for answer in (expected, got)))

    return compare


def cases(seed: int, T: int, B: int, H: int) -> list[PublishedCase]:
    """One draw: the first step, the first two, ..., all of them."""
    draws = Draws(seed)
    weights = {
        "weight_ih_l0": np.eye(4 * H),
        "weight_hh_l0": bfloat16(bfloat16(normal(draws, "R", (4 * H, H))) / np.sqrt(H)),
        "bias_ih_l0": bfloat16(normal(draws, "b", (4 * H,))),
    }
    x, found = bfloat16(normal(draws, "Wx", (T, B, 4 * H))), []
    for t in range(1, T + 1):
        question, name = forward(x[:t], H, **weights), f"bfloat16 draw {seed}, {t} of {T} steps"
        found.append(PublishedCase(name, question, expect(question, ("y", "c_n")), compare_rounded(), 1, seed))
    return found


def suite(T: int = 3, B: int = 2, H: int = 32, seeds: int = SEEDS) -> PublishedSuite:
    """Sizes that flashrnn tests are listed above; others show what its tolerance does with fewer numbers to compare."""
    return PublishedSuite(
        name="flashrnn",
        title=f"flashrnn bf16, its generator, T={T}, B={B}, H={H}, {seeds} draws",
        source="NX-AI/flashrnn flashrnn/tests/test_lstm.py, utils.py",
        tolerance=f"rtol {RTOL:g}, atol {ATOL:g}",
        note="tolerance without a model; h0 = c0 = 0; one bias",
        cases=tuple(case for seed in range(seeds) for case in cases(seed, T, B, H)),
    )

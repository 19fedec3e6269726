"""Nothing is timed that disagrees with float64 at its own shape.

Compared in the norm of each array, |out - truth| / |truth|: a wrong line (a gate, a mask, a bias, a carry) changes some
array by a tenth of its norm or more. What rounding may do:

    4 eps32 sqrt(T H)      roundings of sums and cells in float32 through T steps of H products, as a random walk
    8 eps                  where factors are rounded to fewer bits: eps = 2^-7 bf16, 2^-10 fp16 and TF32

The second does not grow with T or H. Each factor is off by eps/2 at most, independently, so the norm of a sum of
products is off by about that much however long the sum is. On its way from input to gradient a number is rounded some
6 times a layer, each way: a random walk of 12 L roundings, of eps/sqrt(12) in the mean, sqrt(L) eps; and a forget gate
of one half carries an error on. bf16 on a CPU was off by 1 eps at most, over two layers and 100 steps as over three
and 70 with every regulariser; float32 by a hundredth of what is allowed. A NaN never passes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lstm_ref.core.errors import ConformanceError

EPS32 = float(np.finfo(np.float32).eps)
FACTORS = {"float32": 0.0, "tf32": 8 * 2.0**-10, "fp16": 8 * 2.0**-10, "bf16": 8 * 2.0**-7}


@dataclass(frozen=True, slots=True)
class Proof:
    """The largest error, and what is allowed. remark: what else is worth knowing of the contender."""

    error: float
    allowed: float
    remark: str = ""


def tolerance(precision: str, steps: int, hidden: int) -> float:
    """steps: T through which rounding accumulates; hidden: the most products in a sum."""
    return FACTORS[precision] + 4 * EPS32 * (steps * hidden) ** 0.5


def distance(arrived: Tensor, truth: Tensor) -> float:
    """|arrived - truth| / |truth|, in float64. Raises ValueError for a truth of zeros: it proves nothing."""
    truth = truth.double()
    norm = float(torch.linalg.vector_norm(truth))
    if not norm > 0:
        raise ValueError(f"a truth of norm {norm} proves nothing: take other inputs")
    return float(torch.linalg.vector_norm(arrived.to(truth) - truth)) / norm


def prove(
    arrived: Mapping[str, Tensor],
    truth: Mapping[str, Tensor],
    allowed: float,
    remark: str = "",
    slack: Mapping[str, float] | None = None,
) -> Proof:
    """Every array of the truth. slack: what more is allowed of an array. Raises ConformanceError, which names the
    worst, unless all are near enough."""
    if missing := truth.keys() - arrived.keys():
        raise ConformanceError(f"{', '.join(sorted(missing))} missing, expected all of {', '.join(truth)}")
    errors = {}
    for name, expected in truth.items():
        if arrived[name].shape != expected.shape:
            raise ConformanceError(f"{name} has shape {list(arrived[name].shape)}, expected {list(expected.shape)}")
        errors[name] = distance(arrived[name], expected)
    bounds = {name: allowed + (slack or {}).get(name, 0.0) for name in errors}
    worst = max(errors, key=lambda name: (errors[name] != errors[name], errors[name] - bounds[name]))
    if not errors[worst] <= bounds[worst]:
        raise ConformanceError(
            f"{worst} is off the float64 truth by {errors[worst]:.3g} of its norm, allowed {bounds[worst]:.3g}"
        )
    return Proof(errors[worst], bounds[worst], remark)

"""Which layout do these arrays have? Found by trying: the one under which they give the outputs that they gave.

Two ways in, and the best of both is returned. By name: every system of the table whose names and shapes fit, also with
several layers and directions. By shape, for one layer in one direction: every way to read the arrays as kernels and
biases (layouts/readings.py), in all 24 orders of the gates, with biases added, dropped or doubled, with 1 added to the
forget gate or not, with h and c exchanged or not, and with peepholes in all 6 orders.
"""

from dataclasses import replace

import numpy as np

from lstm_ref.core.errors import ShapeError, UsageError
from lstm_ref.core.layouts.candidates import Candidate, by_name, by_shape
from lstm_ref.core.layouts.case import Case
from lstm_ref.core.layouts.ours import Arrays

MOST_EQUAL = 100  # candidates that are looked at in full where the data cannot tell them apart


def identify(
    arrays: Arrays,
    *,
    x: np.ndarray,
    y: np.ndarray | None = None,
    h0: np.ndarray | None = None,
    c0: np.ndarray | None = None,
    h_n: np.ndarray | None = None,
    c_n: np.ndarray | None = None,
    top: int = 10,
    tolerance: float | None = None,
) -> list[Candidate]:
    """The ways to read `arrays` that come nearest to the outputs, best first; of equal ones the usual first.

    x [T,B,I]; y [T,B,D*H]; states [L*D,B,H] or [B,H], zero where not given. At least one of y, h_n and c_n. Only random
    numbers everywhere tell all layouts apart: with equal gates or zero states several fit, and are returned.
    tolerance: what fits [default: the square root of the coarsest dtype's eps; a wrong reading is off by far more].
    Raises ShapeError if the shapes do not go together, UsageError if nothing at all can be made of the arrays.
    """
    given = {"x": x, "y": y, "h0": h0, "c0": c0, "h_n": h_n, "c_n": c_n}
    eps = _coarsest({**arrays, **{name: value for name, value in given.items() if value is not None}})
    case = Case.of(given)
    trials = [*by_name(arrays, case), *by_shape(arrays, case)]
    if not trials:
        shapes = ", ".join(f"{name} {list(np.shape(value))}" for name, value in arrays.items())
        raise UsageError(f"no layout that we know has such arrays for x {list(case.x.shape)}: {shapes or 'none'}")
    floor = 64 * eps  # below this one error is as good as another: the roundings of a few sums in the coarsest dtype
    trials.sort(key=lambda trial: (max(trial[0], floor), trial[1], trial[0]))
    kept: list[tuple[int, Candidate]] = []
    seen: set[bytes] = set()
    for error, unusual, build in trials:
        if len(kept) >= (MOST_EQUAL if error <= floor else top):
            break
        candidate = build()
        if (digest := candidate.digest()) not in seen:
            seen.add(digest)
            kept.append((unusual, replace(candidate, error=candidate.error_on(case))))
    kept.sort(key=lambda pair: (max(pair[1].error, floor), pair[0], pair[1].error))
    within = float(np.sqrt(eps)) if tolerance is None else tolerance
    return [replace(candidate, fits=candidate.error <= within) for _, candidate in kept[:top]]


def _coarsest(values: Arrays) -> float:
    """The largest eps of all dtypes. Raises ShapeError for what is not made of finite real numbers."""
    for name, value in values.items():
        if np.asarray(value).dtype.kind != "f":
            raise ShapeError(f"{name} is {np.asarray(value).dtype}, expected real floating-point numbers")
        if not np.isfinite(value).all():
            raise ShapeError(f"{name} has values that are not finite")
    return max(float(np.finfo(np.asarray(value).dtype).eps) for value in values.values())

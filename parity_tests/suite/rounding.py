r"""How far an answer may lie from the truth: bounds from arithmetic, not from taste.

The judge computes the answer again, several times, with a random error of up to one unit roundoff in every result that
a computer would round (four after exp, sigmoid and tanh: libraries differ there). How far these runs scatter is what
rounding can do to this question, at this dtype, T, H, depth and saturation [stochastic arithmetic: Parker, Pierce &
Eggert 2000]. With d_r the deviation of run r,

    bound = SAFETY * (max_r |d_r| + rms over the array of max_r |d_r|) + 2 u |exact| + tiny      (1)

An answer within (1) for its dtype passes. One beyond it, but within (1) for a coarser format in every question of a
check, was computed in that format: ROUNDING, and the format is named. One at most SUSPICION times beyond is SUSPECT:
look at it. The rest is wrong, and so is everything that is not finite where the truth is.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from lstm_ref.core.draws import Draws
from parity_tests.suite.question import Answer, Question
from parity_tests.suite.referee import Referee

UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "TF32": 2.0**-11, "fp16": 2.0**-11, "bf16": 2.0**-8}
RUNS = 6
SAFETY = 4.0  # of six runs the largest deviation is seldom the largest that can be
SUSPICION = 4.0
AMPLIFIED = 2.0**8  # float64 cannot hold an error below its own rounding: runs take it so much larger
TYPICAL = 2.0**1.5  # of six runs with errors of up to a unit, the largest; rounding leaves half a unit on average
POOL = 1 << 14


@functools.cache
def _pool(seed: int) -> np.ndarray:
    return 2 * Draws(seed).uniform("suite/wobble", (POOL,)) - 1


class Wobble:
    """x (1 + e), |e| <= units * unit, e from a fixed pool: the same errors in every process."""

    def __init__(self, unit: float, seed: int):
        self.unit, self.pool, self.at = unit, _pool(seed), 0

    def __call__(self, x: np.ndarray, units: float = 1) -> np.ndarray:
        x = np.asarray(x)
        errors = np.resize(np.roll(self.pool, -self.at) if x.size > POOL - self.at else self.pool[self.at :], x.shape)
        self.at = (self.at + x.size) % POOL
        return x * (1 + self.unit * units * errors)


@dataclass(frozen=True)
class Truth:
    """The exact answer in float64, and the bounds (1) of each format."""

    question: Question
    exact: Answer
    _scatter: dict[str, Answer] = field(default_factory=dict)

    def bounds(self, unit_name: str) -> Answer:
        """(1), of every array of the answer."""
        tiny = 4 * float(np.finfo(self.question.dtype).tiny)
        return {
            name: self._bound(deviation, self.exact[name], UNITS[unit_name]) + tiny
            for name, deviation in self.scatter(unit_name).items()
        }

    def effective_unit(self, name: str, error: np.ndarray) -> float:
        """The unit roundoff that would leave errors of this size, to a factor of about 2."""
        own = str(self.question.dtype)
        spread = np.sqrt(np.mean(np.square(self.scatter(own)[name])))
        return float(UNITS[own] * TYPICAL * np.sqrt(np.mean(np.square(error))) / spread) if spread else np.inf

    def scatter(self, unit_name: str) -> Answer:
        """max_r |d_r|."""
        if unit_name not in self._scatter:
            self._scatter[unit_name] = self._run(UNITS[unit_name])
        return self._scatter[unit_name]

    def _run(self, unit: float) -> Answer:
        scatter = {name: np.zeros(a.shape) for name, a in self.exact.items()}
        times = AMPLIFIED if unit == UNITS["float64"] else 1.0  # small errors leave deviations in proportion
        for seed in range(RUNS):
            with np.errstate(all="ignore"):
                run = Referee(Wobble(times * unit, seed)).answer(self.question)
                for name, deviation in scatter.items():
                    np.fmax(deviation, np.abs(run[name] - self.exact[name]) / times, out=deviation)
        return scatter

    @staticmethod
    def _bound(deviation: np.ndarray, exact: np.ndarray, unit: float) -> np.ndarray:
        rms = np.sqrt(np.mean(np.square(deviation))) if deviation.size else 0.0
        return SAFETY * (deviation + rms) + 2 * unit * np.abs(exact)


@functools.lru_cache(maxsize=512)  # more than the battery has
def truth(question: Question) -> Truth:
    return Truth(question, Referee().answer(question))


def ratios(error: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """error / bound; infinite where the error is not a number, so that a NaN never passes."""
    with np.errstate(all="ignore"):
        ratio = np.where(error == 0, 0.0, error / bound)
    return np.where(np.isnan(ratio), np.inf, ratio)

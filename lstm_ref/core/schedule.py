r"""The learning rate of a step, and what a validation changes about a run.

    constant    lr
    plateau     lr / 4^m, m validations so far that were no better than the best before them [word seed]
    one-cycle   up from lr / 25 to lr over the first 30 % of all steps, then down to lr / 250,000, either way along a
                half cosine [Smith & Topin 2018]; torch.optim.lr_scheduler.OneCycleLR without its momentum

With lr_by_length a window of T steps takes T / seq_length of that, because its loss is a mean over fewer or more steps
[Merity et al. 2018, Sec. 5].

nt-asgd begins to average where Algorithm 1 there says: after validation t, where t > n others came before it and its
loss is above the lowest of them all but the last n.
"""

import math
from collections.abc import Sequence

from lstm_ref.core.config import RunConfig

PLATEAU_FACTOR = 0.25
WARM_UP, FIRST_DIVISOR, LAST_DIVISOR = 0.3, 25, 10_000  # of one-cycle, as PyTorch has them


def learning_rate(config: RunConfig, step: int, total_steps: int, plateaus: int) -> float:
    """Of step `step` of 0..total_steps - 1, before lr_by_length. plateaus: m, 0 but with the schedule of that name."""
    if config.schedule == "one-cycle":
        return one_cycle(config.lr, step, total_steps)
    return config.lr * PLATEAU_FACTOR**plateaus


def one_cycle(lr: float, step: int, total_steps: int) -> float:
    first = lr / FIRST_DIVISOR
    top, last = WARM_UP * total_steps - 1, total_steps - 1  # steps, as numbers: top is between two, or before the first
    if step <= top:
        return _half_cosine(first, lr, step / top)
    return _half_cosine(lr, first / LAST_DIVISOR, (step - top) / (last - top))


def _half_cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (math.cos(math.pi * part) + 1)


def averaging_begins(losses: Sequence[float], n: int) -> bool:
    """After the last of these validations. n: the config's nonmonotone."""
    *earlier, loss = losses
    return len(earlier) > n and loss > min(earlier[:-n])

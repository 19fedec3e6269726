"""Learning rates, and when nt-asgd begins to average: pure functions, against PyTorch's and the authors' own."""

import math
import warnings

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lstm_ref.core.config import RunConfig
from lstm_ref.core.schedule import averaging_begins, learning_rate, one_cycle

losses = st.sampled_from([4.0, 4.5, 5.0, 5.5, 6.0])  # few values, so that equal ones come


def torch_one_cycle(lr: float, total_steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=total_steps, cycle_momentum=False)
    rates = []
    for _ in range(total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the step after the last
            cycle.step()
    return rates


@pytest.mark.row("BW11")
@given(lr=st.floats(1e-6, 100), total_steps=st.integers(1, 300))
@example(lr=0.004, total_steps=1)
@example(lr=0.004, total_steps=3)
@example(lr=0.004, total_steps=10)  # whose warm-up ends on a step
def test_one_cycle_is_pytorchs(lr, total_steps):
    ours = [one_cycle(lr, step, total_steps) for step in range(total_steps)]
    assert ours == pytest.approx(torch_one_cycle(lr, total_steps), rel=1e-12, abs=0)


def test_one_cycle_rises_to_lr_and_falls_to_almost_nothing():
    rates = [one_cycle(0.004, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.004 / 25, rel=1e-15)
    assert max(rates) == rates[299] == 0.004
    assert rates[-1] == pytest.approx(0.004 / 250_000, rel=1e-9)
    assert rates[:300] == sorted(rates[:300])
    assert rates[299:] == sorted(rates[299:], reverse=True)


@given(lr=st.floats(1e-6, 100), step=st.integers(0, 9999))
def test_a_constant_lr_is_lr_at_every_step(lr, step):
    assert learning_rate(RunConfig(lr=lr), step, 10_000, 0) == lr


@pytest.mark.row("W49")
@given(lr=st.floats(1e-6, 100), step=st.integers(0, 9999), plateaus=st.integers(0, 20))
def test_every_plateau_divides_lr_by_four(lr, step, plateaus):
    assert learning_rate(RunConfig(lr=lr, schedule="plateau"), step, 10_000, plateaus) == lr / 4**plateaus


@pytest.mark.row("W49")
def test_no_number_of_plateaus_is_too_many():
    assert learning_rate(RunConfig(schedule="plateau"), 0, 1, 100_000) == 0


def begins_by_the_authors(history: list[float], n: int) -> int | None:
    """The validation after which the authors' main.py switches to ASGD, by their condition, or None."""
    best_val_loss: list[float] = []
    for t, val_loss in enumerate(history):
        if len(best_val_loss) > n and val_loss > min(best_val_loss[:-n]):
            return t
        best_val_loss.append(val_loss)
    return None


@pytest.mark.row("W60")
@given(history=st.lists(losses, min_size=1, max_size=15), n=st.integers(1, 6))
def test_averaging_begins_where_the_authors_code_begins(history, n):
    ours = (t for t in range(len(history)) if averaging_begins(history[: t + 1], n))
    assert next(ours, None) == begins_by_the_authors(history, n)


@pytest.mark.row("W60")
@pytest.mark.parametrize(
    ("history", "n", "begins"),
    [
        ([5.0], 1, False),
        ([5.0, 6.0], 1, False),  # t > n is not yet
        ([5.0, 4.9, 5.1], 1, True),
        ([5.0, 4.9, 5.0], 1, False),  # not worse than the best before the last one, only equal
        ([5.0, 4.0, 4.5, 4.6], 2, False),  # 4.6 is worse than 4.0, but that is among the last two
        ([5.0, 4.0, 4.5, 4.6, 4.4], 2, True),
        ([math.inf, 4.0, 3.0], 1, False),
    ],
)
def test_averaging_begins_when_a_loss_is_above_the_best_of_all_but_the_last_n_before_it(history, n, begins):
    assert averaging_begins(history, n) == begins

"""Search for the values with the lowest loss: four strategies, one interface.

manual    the i-th trial takes the i-th value of every list
grid      every combination of listed values, the last list running fastest
random    each value drawn by itself [Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization", JMLR
          13]: where few of many values matter, n trials show n values of those, and a grid of n far fewer
bayesian  the tree-structured Parzen estimator [Bergstra, Bardenet, Bengio & Kegl 2011, "Algorithms for
          Hyper-Parameter Optimization", NIPS, Sec. 4], as Optuna has it: it models where the good trials so far lie and
          where the others, and tries next what is likelier under the first. Its first ten trials are random ones.

A strategy is a function of the space, the seed, the trial's number and the trials before it, and of nothing else. So a
search that was stopped goes on as if it had not.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, get_args

from pydantic.dataclasses import dataclass

from lstm_ref.core.config import STRICT
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, DataError, DivergedError, UsageError
from lstm_ref.core.search_space import Choice, Dimension, Range, Space

Strategy = Literal["manual", "grid", "random", "bayesian"]
DEFAULT_TRIALS = 20  # of strategies that have no end of their own
Values = Mapping[str, object]
Objective = Callable[[int, Values], float]  # of a trial's number and values: its loss; lower is better


@dataclass(config=STRICT, frozen=True, slots=True)
class Trial:
    """What was tried and what came of it: a finite loss, or a failure that says why there is none."""

    number: int
    values: Values
    loss: float | None = None
    failure: str | None = None
    same_as: int | None = None  # the earlier trial of the same values, whose result this is


def search(
    space: Space,
    strategy: Strategy,
    objective: Objective,
    trials: int | None = None,
    seed: int = 0,
    done: Sequence[Trial] = (),
) -> Iterator[Trial]:
    """Trial after trial, from number len(done) on.

    objective: a function, so values that come again are not tried again. Where it raises DivergedError, ConfigError,
    DataError or MemoryError, or returns no finite number, the trial has failed and the search goes on.
    trials: how many, those done included; None: see `planned`.
    """
    history = list(done)
    for number in range(len(done), planned(space, strategy, trials)):
        values = _propose(space, strategy, seed, history)
        before = next((trial for trial in history if trial.values == values), None)
        if before is None:
            trial = _try(objective, number, values)
        else:
            trial = Trial(number, values, before.loss, before.failure, same_as=before.number)
        history.append(trial)
        yield trial


def planned(space: Space, strategy: Strategy, trials: int | None) -> int:
    """How many trials a search will have. Raises UsageError where the space or the number does not suit the strategy,
    or where the strategy needs what is not installed."""
    if strategy not in get_args(Strategy):
        raise UsageError(f"unknown strategy {strategy!r}; strategies: {', '.join(get_args(Strategy))}")
    if strategy == "bayesian":
        _optuna()
    if strategy in ("random", "bayesian"):
        return DEFAULT_TRIALS if trials is None else trials
    lengths = {name: len(_listed(name, dimension, strategy)) for name, dimension in space.items()}
    if strategy == "manual" and len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise UsageError(f"manual: the i-th trial takes every list's i-th value, so they are equally long; {counts}")
    count = math.prod(lengths.values()) if strategy == "grid" else max(lengths.values())
    if trials is not None and trials != count:
        raise UsageError(f"{strategy}: the lists make {count} trials, not {trials}: leave --trials out")
    return count


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """By loss; failures last, and what is equal in the order of the search."""
    return sorted(trials, key=lambda trial: (math.inf if trial.loss is None else trial.loss, trial.number))


def _try(objective: Objective, number: int, values: Values) -> Trial:
    try:
        loss = float(objective(number, values))
    except (DivergedError, ConfigError, DataError) as error:
        reason, _, _ = str(error).partition("; ")  # what follows is how to go on with that run
        return Trial(number, values, failure=reason)
    except MemoryError as error:
        return Trial(number, values, failure=f"out of memory ({error})")
    if not math.isfinite(loss):
        return Trial(number, values, failure=f"loss {loss}")
    return Trial(number, values, loss)


def _propose(space: Space, strategy: Strategy, seed: int, history: Sequence[Trial]) -> dict[str, object]:
    """The values of trial number len(history)."""
    number = len(history)
    if strategy == "bayesian":
        return _bayesian(space, seed, history)
    if strategy == "random":
        draws = Draws(seed, number)
        return {name: space[name].at(float(draws.uniform(f"search/{name}", (1,))[0])) for name in space}
    lists = [_listed(name, dimension, strategy) for name, dimension in space.items()]
    rows = zip(*lists, strict=True) if strategy == "manual" else itertools.product(*lists)
    return dict(zip(space, next(itertools.islice(rows, number, None)), strict=True))


def _listed(name: str, dimension: Dimension, strategy: Strategy) -> tuple[object, ...]:
    if isinstance(dimension, Range):
        raise UsageError(
            f"{strategy}: {name} is a range, expected listed values: --try {name}=A/B/C, or --strategy random"
        )
    return dimension.values


def _optuna() -> ModuleType:
    """Imported by the one strategy that needs it, and silent."""
    try:
        import optuna
    except ModuleNotFoundError:
        raise UsageError("a Bayesian search needs the 'tune' extra: pip install 'lstm-parity[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _bayesian(space: Space, seed: int, history: Sequence[Trial]) -> dict[str, object]:
    """A failure counts as a loss that is worse than any, so that the search turns away from there.

    The sampler is made anew for each trial, with a seed of the trial's own: it keeps a state otherwise."""
    optuna = _optuna()
    own_seed = int(Draws(seed, len(history)).words("search/bayesian", 1)[0])
    distributions = {name: _distribution(dimension) for name, dimension in space.items()}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=own_seed))
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: _parameter(space[name], value) for name, value in trial.values.items()},
                distributions=distributions,
                value=math.inf if trial.loss is None else trial.loss,
            )
            for trial in history
        ]
    )
    parameters = study.ask(distributions).params
    return {name: _value(space[name], parameter) for name, parameter in parameters.items()}


def _distribution(dimension: Dimension) -> Any:
    distributions = _optuna().distributions
    if isinstance(dimension, Choice):
        return distributions.CategoricalDistribution(range(len(dimension.values)))
    kind = distributions.IntDistribution if dimension.whole else distributions.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)


def _parameter(dimension: Dimension, value: object) -> object:
    """As Optuna has it: a listed value by its place, for a list of sizes is nothing that Optuna can store."""
    return dimension.values.index(value) if isinstance(dimension, Choice) else value


def _value(dimension: Dimension, parameter: float) -> object:
    return dimension.values[int(parameter)] if isinstance(dimension, Choice) else dimension.nearest(parameter)

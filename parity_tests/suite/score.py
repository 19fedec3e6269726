"""Which wrong LSTMs does a suite catch? A score for other people's tests, by the wrong LSTMs of the bank.

A suite is scored as it runs: every wrong LSTM is put in the place of the implementation under test, and it is caught
when any test of the run fails. A right LSTM goes through as well. A suite that rejects it has no score: it would fail
everything.

Suites known by name are those of published/. Somebody's own is `FILE.py:object` (or `package.module:object`):

    def catches(lstm) -> bool:                       # True: my tests fail for this one
        y, h_n, c_n = lstm.forward(params, x, h0, c0)    # params in PyTorch's names, gate order i, f, g, o
        return not np.allclose(y, expected)

`lstm` has `name`, `forward(params, x, h0, c0)` and `answer(question)`. Tests that assert count too: whatever exception
leaves `catches` is a test that failed. Or the object has `cases`, as PublishedSuite has. A pytest file is not taken: it
imports the implementation that it tests, and there is no way to hand it another; wrap its checks in such a function.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lstm_ref.core.errors import UsageError
from parity_tests.suite.adapter import load_object
from parity_tests.suite.published import SUITES
from parity_tests.suite.published.page import page
from parity_tests.suite.published.tables import markdown, table
from parity_tests.suite.published.wrong_lstms import RIGHT, Implementation, participants

__all__ = ["Implementation", "Score", "ScoreTable", "load_suite", "markdown", "score", "score_command", "table"]


class Suite(Protocol):
    """What can be scored as cases. Every case has `ask`, `accepts`, `name` and `seed` (PublishedCase)."""

    cases: Sequence[Any]


@dataclass(frozen=True)
class Score:
    """Of one implementation: in how many runs of the suite a test failed, and which failed first."""

    name: str
    group: str
    caught: int
    runs: int
    by: str


@dataclass(frozen=True)
class ScoreTable:
    """Of one suite. `left_out`: cases that the right LSTM of the bank does not take, with the reason."""

    title: str
    source: str
    tolerance: str
    note: str
    scores: tuple[Score, ...]
    left_out: tuple[str, ...] = ()

    @property
    def accepts_right(self) -> bool:
        return not any(score.caught for score in self.scores if score.group == RIGHT)

    @property
    def rejected(self) -> str:
        """Why there is no score: what the suite says of a right LSTM. Empty where there is one."""
        return next((score.by for score in self.scores if score.group == RIGHT and score.caught), "")

    def counts(self, group: str) -> tuple[int, int]:
        """Caught, and of how many; a suite of twenty draws counts each draw."""
        chosen = [score for score in self.scores if score.group == group]
        return sum(score.caught for score in chosen), sum(score.runs for score in chosen)

    def missed(self, group: str) -> list[Score]:
        """Those that passed, in at least one run."""
        return [score for score in self.scores if score.group == group and score.caught < score.runs]


def score(suite: Suite | Callable[[Implementation], bool], implementations: Iterable[Implementation]) -> ScoreTable:
    """Which of the implementations the suite catches. There must be a right one among them.

    Raises UsageError where there is none, or where the right one takes no case of the suite.
    """
    implementations = list(implementations)
    right = [implementation for implementation in implementations if implementation.group == RIGHT]
    if not right:
        raise UsageError("score() was given no right LSTM: without one, a suite that rejects everything looks best")
    if not hasattr(suite, "cases"):
        if not callable(suite):
            raise UsageError(f"{type(suite).__name__} is neither a function catches(lstm) -> bool nor has `cases`")
        scores = tuple(_score_function(suite, implementation) for implementation in implementations)
        title = getattr(suite, "__name__", type(suite).__name__)
        return ScoreTable(title, "", "", "", scores)
    runs, left_out = _askable(suite, right[0])
    if not runs:
        raise UsageError(f"none of the suite's {len(suite.cases)} cases can be asked: {'; '.join(left_out)}")
    return ScoreTable(
        *(getattr(suite, name, "") for name in ("title", "source", "tolerance", "note")),
        tuple(_score_cases(runs, implementation) for implementation in implementations),
        left_out,
    )


def _askable(suite: Suite, right: Implementation) -> tuple[list[list[Any]], tuple[str, ...]]:
    """The cases of each run that the right LSTM takes, and a line for each that it says it does not."""
    runs: dict[int | None, list[Any]] = {}
    left_out = []
    for case in suite.cases:
        if refusal := _refusal(case, right):
            left_out.append(f"{case.name}: {refusal}")
        else:
            runs.setdefault(getattr(case, "seed", None), []).append(case)
    return list(runs.values()), tuple(left_out)


def _refusal(case: Any, right: Implementation) -> str:
    try:
        case.ask(right.answer)
    except NotImplementedError as error:
        return str(error) or "not implemented"
    except Exception:
        return ""  # not a refusal but a failure, and _failure() says which
    return ""


def _score_cases(runs: list[list[Any]], implementation: Implementation) -> Score:
    failures = [next(filter(None, (_failure(case, implementation) for case in run)), "") for run in runs]
    caught = [failure for failure in failures if failure]
    return Score(implementation.name, implementation.group, len(caught), len(runs), caught[0] if caught else "")


def _failure(case: Any, implementation: Implementation) -> str:
    """Empty where the case accepts. An implementation that raises fails the test, as it would in any test runner."""
    try:
        with np.errstate(all="ignore"):
            return "" if case.accepts(case.ask(implementation.answer)) else case.name
    except Exception as error:
        return f"{case.name}: {type(error).__name__}: {error}"


def _score_function(catches: Callable[[Implementation], bool], implementation: Implementation) -> Score:
    try:
        with np.errstate(all="ignore"):
            by = "catches() is true" if catches(implementation) else ""
    except Exception as error:
        by = f"{type(error).__name__}: {error}"
    return Score(implementation.name, implementation.group, int(bool(by)), 1, by)


def load_suite(name: str) -> Suite | Callable[[Implementation], bool]:
    """A suite of published/ by its name, or somebody's own by FILE.py:object. Raises UsageError that says which."""
    if name in SUITES:
        return SUITES[name]()
    if ":" not in name:
        raise UsageError(f"no suite {name!r}; expected {', '.join(SUITES)}, FILE.py:OBJECT or MODULE:OBJECT")
    thing = load_object(name)
    return thing() if inspect.isclass(thing) else thing


def score_command(name: str) -> ScoreTable:
    """`lstm verify --score-suite NAME`: the suite of that name against the bank's wrong LSTMs."""
    return score(load_suite(name), participants())


PAGE = Path(__file__).parent / "published" / "scores.md"


def render() -> str:
    """The text of published/scores.md."""
    implementations = participants()
    return page(lambda suite: score(suite, implementations))


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE.name)

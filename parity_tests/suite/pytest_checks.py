"""The checks as tests of somebody's own project:

from parity_tests.suite.pytest_checks import parametrize_with_checks

@parametrize_with_checks([MyLSTM()], expected_failures={"three-layers": "two is the most so far"})
def test_my_lstm(adapter, check):
    check(adapter)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from parity_tests.suite.adapter import as_adapter
from parity_tests.suite.checks import CHECKS, Check
from parity_tests.suite.report import Verdict
from parity_tests.suite.verify import EXAMPLES, run_check


@dataclass(frozen=True)
class PytestCheck:
    """A check to be called with an adapter: passes, skips with its reason, or fails with what was found."""

    check: Check
    examples: int

    def __call__(self, adapter: Any) -> None:
        result = run_check(self.check, as_adapter(adapter), self.examples)
        if result.verdict is Verdict.SKIPPED:
            pytest.skip(result.reason)
        if result.verdict in (Verdict.FAIL, Verdict.SUSPECT):
            place = f" at {result.where}" if result.where else ""
            shown = f"\n\n{result.script}" if result.script else ""
            pytest.fail(f"{result.obligation}\n{result.reason}{place}{shown}", pytrace=False)


def parameters(adapters: Iterable[Any], expected_failures: Mapping[str, str], examples: int) -> list[ParameterSet]:
    """(adapter, check) for every pair. An expected failure is strict: a check that passes fails the test."""
    if unknown := set(expected_failures) - {check.name for check in CHECKS}:
        raise ValueError(f"no checks of the names {sorted(unknown)}")
    return [
        pytest.param(
            adapter,
            PytestCheck(check, examples),
            id=f"{adapter.name}-{check.level}-{check.name}",
            marks=[pytest.mark.xfail(strict=True, reason=expected_failures[check.name])]
            if check.name in expected_failures
            else [],
        )
        for adapter in map(as_adapter, adapters)
        for check in CHECKS
    ]


def parametrize_with_checks(
    adapters: Iterable[Any], expected_failures: Mapping[str, str] | None = None, examples: int = EXAMPLES
) -> pytest.MarkDecorator:
    """A decorator for a test function of `adapter` and `check`. expected_failures: check name -> reason."""
    return pytest.mark.parametrize(("adapter", "check"), parameters(adapters, expected_failures or {}, examples))

"""One test for each check of the suite, on the implementation that --lstm-impl names."""

from pathlib import Path

import pytest

from parity_tests.suite.adapter import as_adapter, load_object
from parity_tests.suite.command import read_expected_failures
from parity_tests.suite.pytest_checks import PytestCheck, parameters


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    options = metafunc.config.option
    adapter = as_adapter(load_object(options.lstm_impl), name=options.lstm_impl)
    expected = read_expected_failures(Path(options.lstm_xfails)) if options.lstm_xfails else {}
    metafunc.parametrize(("adapter", "check"), parameters([adapter], expected, options.lstm_examples))


def test_lstm(adapter: object, check: PytestCheck) -> None:
    check(adapter)

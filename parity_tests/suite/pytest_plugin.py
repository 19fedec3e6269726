"""The pytest plug-in: `pytest --pyargs parity_tests --lstm-impl PACKAGE.MODULE:OBJECT` checks somebody's LSTM.

It is loaded in every pytest run of an environment that has this package, so it imports nothing but pytest.
"""

from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent
CONFORMANCE = Path(__file__).parent / "conformance"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lstm", "conformance of an LSTM (lstm-parity)")
    group.addoption("--lstm-impl", metavar="TARGET", help="MODULE:OBJECT or FILE.py:OBJECT to check")
    group.addoption("--lstm-examples", metavar="N", type=int, default=20, help="questions a check and dtype (20)")
    group.addoption("--lstm-xfails", metavar="FILE", help="lines `check: reason`; one that passes is a failure")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --lstm-impl, of this package the conformance tests and nothing else; without, everything else."""
    if not collection_path.is_relative_to(PACKAGE):
        return None
    if config.getoption("--lstm-impl") is None:
        return True if collection_path == CONFORMANCE else None
    leads_there = collection_path == CONFORMANCE or collection_path in CONFORMANCE.parents
    return None if leads_there or collection_path.is_relative_to(CONFORMANCE) else True

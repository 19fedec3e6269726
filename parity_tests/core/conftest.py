"""What the tests of core share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lstm_ref.core.runlog import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder(tmp_path / "run") as opened:
        yield opened

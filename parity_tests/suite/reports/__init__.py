"""A report as a file: the suffix says for whom.

.json  everything, to be read back       .md    a comment on a pull request
.xml   JUnit, for CI systems             .html  one page for a browser
.txt   as on a terminal, without colours
"""

from collections.abc import Callable
from pathlib import Path

from lstm_ref.core.atomic import write_atomically
from lstm_ref.core.errors import UsageError
from parity_tests.suite.report import Report
from parity_tests.suite.reports import html, junit, markdown, terminal

FORMATS: dict[str, Callable[[Report], str]] = {
    ".json": Report.to_json,
    ".md": markdown.text,
    ".xml": junit.text,
    ".html": html.text,
    ".txt": terminal.text,
}


def format_of(path: Path | str) -> Callable[[Report], str]:
    """What makes the text of this file. Raises UsageError for another suffix: ask before a long run."""
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"cannot write a report as {path.name!r}; expected a name that ends in {', '.join(FORMATS)}")
    return FORMATS[path.suffix.lower()]


def write_report(report: Report, path: Path | str) -> None:
    """UTF-8, whole or not at all. Raises UsageError for another suffix, and where the file cannot be written."""
    content = format_of(path)(report).encode()
    try:
        write_atomically(Path(path), content)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None

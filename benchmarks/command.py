"""What the commands of this folder share: exit codes as `lstm` has them, and progress on one line of stderr."""

import sys

from cyclopts import App, CycloptsError

from lstm_ref.core.errors import LstmError, UsageError


def run(app: App, arguments: list[str]) -> int:
    """The exit code of one command."""
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except LstmError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except CycloptsError as error:
        print(f"error: {error}".replace("\n", " "), file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def show_progress(line: str) -> None:
    """On one line of a terminal, which the next one replaces; in a log, a line each."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    elif line:
        print(line, file=sys.stderr, flush=True)

"""The exceptions that users meet. Each class carries the exit code that `lstm` ends with.

A message is one line: what arrived, what was expected, what to do. Anything that is not an `LstmError` is a bug of
ours and exits with 1.
"""


class LstmError(Exception):
    """Base of all errors that are not bugs of ours."""

    exit_code = 1


class UsageError(LstmError):
    """A wrong option, a missing extra, a run folder in use."""

    exit_code = 2


class ConfigError(UsageError):
    """A config value or field that cannot be."""


class ShapeError(UsageError):
    """An array of the wrong shape or dtype."""


class DataError(LstmError):
    """A text that is missing, unreadable, too short, or holds symbols that the model does not know."""

    exit_code = 3


class CheckpointError(LstmError):
    """A checkpoint that is missing, damaged, foreign, or does not fit."""

    exit_code = 4


class ConformanceError(LstmError):
    """An implementation that does not agree with the reference."""

    exit_code = 5


class DivergedError(LstmError):
    """A loss or gradient norm that is not finite, or a demo that did not learn."""

    exit_code = 6


class PeerLostError(LstmError):
    """Another process of the same run ended, or does not answer."""

    exit_code = 7


class InterruptedRunError(LstmError):
    """A signal stopped the run after a clean save. Exit code 128 + signal number: 130 or 143, never 0."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_code = 128 + signal_number

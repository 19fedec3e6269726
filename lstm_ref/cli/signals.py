"""Ctrl-C and SIGTERM ask the run to stop after the step it is in; a second one ends it at once.

Handlers are set by the command line only, never by importing the library.
"""

import signal
from types import FrameType

from lstm_ref.cli.console import note
from lstm_ref.core.errors import PeerLostError


class StopFlag:
    """`with StopFlag() as stop`: stop() is the number of the signal that arrived, or 0. announced: a line says so."""

    def __init__(self, announced: bool = True) -> None:
        self._announced = announced
        self._number = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopFlag":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is PeerLostError:  # the signal that torchrun sends now must not come before the line that says why
            self._announced = False
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __call__(self) -> int:
        return self._number

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._number:
            raise KeyboardInterrupt
        self._number = number
        if self._announced:
            note("stopping after this step and saving; once more to stop at once")

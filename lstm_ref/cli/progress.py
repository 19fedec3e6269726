"""The bar of a training run, and its log lines."""

import math
import os
import sys
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from lstm_ref.core.checkpoint import Progress as RunProgress
from lstm_ref.core.trainer import LogRecord


class TrainingBar(AbstractContextManager["TrainingBar"]):
    """Steps, loss, bits per character, tokens a second and the time left, on stderr if that is a terminal; the seed's
    log lines on stdout."""

    def __init__(self, total_steps: int, tokens_per_step: int, done: int, quiet: bool = False):
        self._console = Console(stderr=True)
        self._tokens_per_step, self._first = tokens_per_step, done
        self._seconds_before: float | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(table_column=Column(no_wrap=True, min_width=7)),
            TextColumn("left"),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("compiling", total=total_steps, completed=done, facts="")
        self._quiet = quiet

    def __enter__(self) -> "TrainingBar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, progress: RunProgress) -> None:
        facts = ""
        if progress.loss is not None and self._seconds_before is not None:
            steps = progress.step - self._first
            speed = steps * self._tokens_per_step / max(1e-9, progress.seconds - self._seconds_before)
            facts = f"loss {progress.loss:.4f}  {progress.loss / math.log(2):.3f} bpc  {speed / 1000:.1f}k tok/s"
        if self._seconds_before is None:  # the first step compiles, so the clock starts after it
            self._seconds_before, self._first = progress.seconds, progress.step
        self._bar.update(self._task, completed=progress.step, description="training", facts=facts)

    def log(self, record: LogRecord) -> None:
        if self._quiet:
            return
        if sys.stdout.isatty():
            self._bar.console.print(record.line, highlight=False)
            return
        try:
            print(record.line, flush=True)
        except BrokenPipeError:  # `lstm train ... | head`: the run is worth more than its log
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._quiet = True

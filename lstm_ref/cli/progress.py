"""The bar of a training run, and its log lines."""

import math
import os
import sys
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from lstm_ref.core.checkpoint import Progress as RunProgress
from lstm_ref.core.config import RunConfig
from lstm_ref.core.log_record import LogRecord, lines, perplexity


class TrainingBar(AbstractContextManager["TrainingBar"]):
    """Steps, loss, bits per character or perplexity, tokens a second and the time left, on stderr if that is a
    terminal; the seed's log lines on stdout."""

    def __init__(self, config: RunConfig, total_steps: int, done: int, quiet: bool = False):
        self._console = Console(stderr=True)
        self._config = config
        self._before: tuple[int, float] | None = None  # tokens and seconds
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
        if progress.loss is not None and self._before is not None:
            tokens, seconds = progress.tokens - self._before[0], progress.seconds - self._before[1]
            speed = tokens / max(1e-9, seconds) / 1000
            facts = f"loss {progress.loss:.4f}  {self._surprise(progress.loss)}  {speed:.1f}k tok/s"
        if self._before is None:  # the first step compiles, so the clock starts after it
            self._before = progress.tokens, progress.seconds
        self._bar.update(self._task, completed=progress.step, description="training", facts=facts)

    def _surprise(self, nats: float) -> str:
        if self._config.vocabulary == "word":
            return f"ppl {perplexity(nats):.1f}"
        return f"{nats / math.log(2):.3f} bpc"

    def log(self, record: LogRecord) -> None:
        if self._quiet:
            return
        for line in lines(record, self._config):
            self._print(line)

    def _print(self, line: str) -> None:
        if sys.stdout.isatty():
            self._bar.console.print(line, highlight=False)
            return
        try:
            print(line, flush=True)
        except BrokenPipeError:  # `lstm train ... | head`: the run is worth more than its log
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._quiet = True

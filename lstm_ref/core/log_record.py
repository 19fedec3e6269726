"""A log line of a run: the numbers, as metrics.jsonl has them, and the lines that the two seeds print.

With `validate="lines"` every record has a validation and is the character seed's line. With `validate="epochs"` there
are the word seed's two: an interval's, every `print_every` steps, and a banner where an epoch was validated.
"""

import math
from dataclasses import asdict, dataclass

from lstm_ref.core.config import RunConfig


@dataclass(frozen=True, slots=True)
class LogRecord:
    """Losses in nats a token, of windows since the last record but where it says otherwise."""

    epoch: int  # from 1
    epochs: int
    step: int
    loss: float  # of the last window alone, with dropout, as the character seed prints it
    mean_loss: float  # over the windows
    val_loss: float | None  # of the whole validation text, without dropout; None: it was not due
    best: bool
    gradient_norm: float  # of the last window, before clipping
    lr: float  # of the last window, before lr_by_length
    tokens_per_second: float  # since the run began
    ms_per_step: float
    epoch_seconds: float  # in this epoch so far, this validation included
    seconds: float  # spent training since the run began

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def lines(record: LogRecord, config: RunConfig) -> list[str]:
    """What is printed of a record."""
    if config.validate == "lines":
        return [character_line(record)]
    of_interval = [interval_line(record)] if record.step % config.print_every == 0 else []
    return of_interval + ([] if record.val_loss is None else epoch_banner(record))


def character_line(record: LogRecord) -> str:
    return (
        f"Epoch: {record.epoch}/{record.epochs}... Step: {record.step}... "
        f"Loss: {record.loss:.4f}... Val Loss: {record.val_loss:.4f}"
    )


def interval_line(record: LogRecord) -> str:
    """The word seed prints its lr with two digits after the point: a 0.0001 is 0.00 there."""
    return (
        f"| epoch {record.epoch:3d} | lr {record.lr:g} | ms/batch {record.ms_per_step:5.2f} | "
        f"loss {record.mean_loss:5.2f} | ppl {perplexity(record.mean_loss):8.2f}"
    )


def epoch_banner(record: LogRecord) -> list[str]:
    assert record.val_loss is not None
    dashes = "-" * 89
    return [
        dashes,
        f"| end of epoch {record.epoch:3d} | time: {record.epoch_seconds:5.2f}s | "
        f"valid loss {record.val_loss:5.2f} | valid ppl {perplexity(record.val_loss):8.2f}",
        dashes,
    ]


def perplexity(nats: float) -> float:
    """e^nats; infinite from 710 nats on, where a float64 ends."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf

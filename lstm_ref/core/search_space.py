"""What a search may choose from: for each field of the config a list of values or a range.

lr=0.001/0.002/0.004        listed values
hidden_sizes=128/256,256    one layer of 128 units, or two of 256
lr=0.001..0.01              a range, all of it equally likely
lr=log:0.0001..0.01         a range, each power of ten equally likely
batch_size=16..64           of a field of whole numbers, whole numbers; both ends belong to it
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lstm_ref.core.config import FIELD_TYPES, field_value
from lstm_ref.core.errors import UsageError

# What the loss is measured on, and how: of two trials that differ in one of these, neither is better.
MEASURE = ("corpus", "vocabulary", "validation_fraction", "evaluation", "validation_batch_size", "last_target")
SYNTAX = "expected FIELD=A/B/C for listed values, FIELD=A..B or FIELD=log:A..B for a range"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these, in this order."""

    values: tuple[object, ...]

    def at(self, u: float) -> object:
        return self.values[int(u * len(self.values))]


@dataclass(frozen=True, slots=True)
class Range:
    """low to high, both included. log: uniform in the logarithm; low is then above 0. whole: integers only."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, u: float) -> float:
        """The value that u in [0, 1) stands for: a uniform u gives a uniform, or log-uniform, value.

        An integer n stands for all from n - 1/2 to n + 1/2, so that the two at the ends are not half as likely."""
        margin = 0.5 if self.whole else 0
        low, high = self.low - margin, self.high + margin
        return self.nearest(low * (high / low) ** u if self.log else low + u * (high - low))

    def nearest(self, value: float) -> float:
        """To `value`, with the six digits that a person can read and type: the others decide nothing."""
        rounded = math.floor(value + 0.5) if self.whole else float(f"{value:.6g}")
        return min(max(rounded, self.low), self.high)


Dimension = Choice | Range
Space = Mapping[str, Dimension]


def parse_space(texts: list[str]) -> dict[str, Dimension]:
    """Of what `--try` was given, each `FIELD=VALUES`. Raises UsageError or ConfigError that says what to write."""
    space: dict[str, Dimension] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        name = name.replace("-", "_")
        if not equals or not values:
            raise UsageError(f"--try {text!r}: {SYNTAX}")
        if name in space:
            raise UsageError(f"--try {text!r}: {name} is tried already; name all its values in one --try")
        if name in MEASURE:
            raise UsageError(
                f"--try {text!r}: {name} decides what the loss is measured on, so that losses could not be compared; "
                f"fix it with --set, and make one search for each value"
            )
        space[name] = _range(name, values, text) if ".." in values else _choice(name, values)
    if not space:
        raise UsageError(f"nothing to search: name what to try, --try {SYNTAX.removeprefix('expected ')}")
    return space


def _choice(name: str, values: str) -> Choice:
    return Choice(tuple(field_value(name, value.strip(), "--try") for value in values.split("/")))


def _range(name: str, values: str, text: str) -> Range:
    log = values.startswith("log:")
    low, high = (field_value(name, end.strip(), "--try") for end in values.removeprefix("log:").split("..", 1))
    if FIELD_TYPES[name] not in (int, float):
        raise UsageError(f"--try {text!r}: {name} is not a number and has no range; list its values: {name}=A/B/C")
    if not low < high:
        raise UsageError(f"--try {text!r}: the range ends at {high}, not above its beginning {low}; turn it round")
    if log and low <= 0:
        raise UsageError(f"--try {text!r}: a range that is log begins above 0")
    return Range(low, high, log, whole=FIELD_TYPES[name] is int)

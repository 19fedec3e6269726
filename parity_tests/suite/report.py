"""What the suite found out about an implementation: one result a check, and what follows from all of them.

A report is data. Its date and durations are given by whoever runs the suite, nothing here looks at a clock, so equal
results make equal files. reports/ draws it for people and for CI systems; JSON is the one form that is read back.

The level reached is the highest level of which at least one check was run, where it and all levels below it hold no
check that was run and did not pass. A check that is not claimed is skipped and stops nothing, but it is listed as not
tested; an expected failure is a failure here: a known fault does not lift a level.
"""

import dataclasses
import enum
import json
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from lstm_ref.core.errors import UsageError

LEVELS = {
    "L0": "one cell forward",
    "L1": "sequence with states",
    "L2": "gradients",
    "L3": "layers, directions, lengths",
    "L4": "loss, clip, optimizer step",
    "L5": "language model",
    "L6": "sampling",
}
FORMAT = 1


class Verdict(enum.StrEnum):
    PASS = "pass"
    ROUNDING = "rounding"  # right, in a coarser format than asked
    SUSPECT = "suspect"  # a little beyond the bound: somebody has to look
    FAIL = "fail"
    SKIPPED = "skipped"  # not claimed, so not asked
    XFAIL = "expected failure"  # announced beforehand with a reason


WRONG = (Verdict.FAIL, Verdict.SUSPECT)


class LevelState(enum.StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    XFAILED = "expected failure"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class CheckResult:
    """One check on one implementation. Raises UsageError for a level or verdict that does not exist."""

    name: str
    level: str  # L0 to L6
    obligation: str  # what must hold, one sentence
    verdict: Verdict
    reason: str = ""  # one line: why skipped, what failed, which rounding
    examples: int = 0
    worst_error: float | None = None  # may be nan or inf; None where nothing was measured
    bound: float | None = None  # of that worst case
    margin_ulp: float | None = None  # the error in units in the last place of the dtype
    array: str = ""
    where: str = ""  # "step 2, row 0, gate f, unit 1"
    script: str = ""  # stand-alone Python that shows the fault again
    seconds: float = 0.0

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UsageError(f"level {self.level!r} of check {self.name!r} is none of {', '.join(LEVELS)}")
        if self.verdict not in list(Verdict):
            raise UsageError(f"verdict {self.verdict!r} of check {self.name!r} is none of {', '.join(Verdict)}")
        _settle(self, verdict=Verdict(self.verdict))

    @property
    def was_run(self) -> bool:
        return self.verdict is not Verdict.SKIPPED

    @property
    def is_within_bound(self) -> bool:
        """False too where either is nan, or was not measured."""
        return self.worst_error is not None and self.bound is not None and self.worst_error <= self.bound


@dataclass(frozen=True)
class Report:
    """All checks of one run. `capabilities` holds what the implementation claims, as JSON values."""

    adapter: str
    capabilities: dict[str, Any]
    results: tuple[CheckResult, ...]
    diagnosis: tuple[str, ...] = ()  # likeliest first
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    date: str = ""  # ISO 8601, if the JUnit file is to carry it

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        _settle(self, results=tuple(self.results), capabilities=_without_nan(_plain(self.capabilities)))

    @property
    def level(self) -> str:
        """The level reached, or "none"."""
        reached = "none"
        for level in LEVELS:
            state = self.state(level)
            if state is LevelState.PASSED:
                reached = level
            elif state is not LevelState.UNTESTED:
                break
        return reached

    def state(self, level: str) -> LevelState:
        """Of one level alone, whatever the levels below it say."""
        verdicts = {result.verdict for result in self.results if result.level == level and result.was_run}
        if verdicts & set(WRONG):
            return LevelState.FAILED
        if Verdict.XFAIL in verdicts:
            return LevelState.XFAILED
        return LevelState.PASSED if verdicts else LevelState.UNTESTED

    @property
    def ok(self) -> bool:
        """No FAIL and no SUSPECT. A report in which nothing was run is ok too: ask `level` what was shown."""
        return not self.wrong

    @property
    def wrong(self) -> tuple[CheckResult, ...]:
        return self.with_verdict(*WRONG)

    def with_verdict(self, *verdicts: Verdict) -> tuple[CheckResult, ...]:
        return tuple(result for result in self.results if result.verdict in verdicts)

    @property
    def counts(self) -> dict[Verdict, int]:
        """Of each verdict, worst first; 0 where there is none."""
        order = (Verdict.FAIL, Verdict.SUSPECT, Verdict.XFAIL, Verdict.ROUNDING, Verdict.PASS, Verdict.SKIPPED)
        return {verdict: len(self.with_verdict(verdict)) for verdict in order}

    @property
    def skipped(self) -> dict[str, tuple[str, ...]]:
        """Reason -> what was not tested for it: checks, and levels of which there is no check at all."""
        names: dict[str, list[str]] = {}
        for result in self.with_verdict(Verdict.SKIPPED):
            names.setdefault(result.reason or "no reason was given", []).append(result.name)
        present = {result.level for result in self.results}
        if absent := [f"{level} ({title})" for level, title in LEVELS.items() if level not in present]:
            names.setdefault("no check of this level was asked for", []).extend(absent)
        return {reason: tuple(them) for reason, them in names.items()}

    @property
    def not_tested(self) -> tuple[str, ...]:
        """`skipped`, as lines."""
        return tuple(f"{reason}: {', '.join(names)}" for reason, names in self.skipped.items())

    def to_json(self) -> str:
        """Standard JSON: nan and inf, which it lacks, are strings. `level` and `ok` are there for other programs."""
        values = {"format": FORMAT, "level": self.level, "ok": self.ok, **dataclasses.asdict(self)}
        return json.dumps(_without_nan(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Report":
        """Inverse of to_json. Raises UsageError for anything else, and for a level or `ok` that the results belie."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"not a report: {error}; expected the JSON file that the suite writes") from None
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise UsageError(f"not a report of format {FORMAT}; expected the JSON file that this version writes")
        claims = {name: values.pop(name, None) for name in ("level", "ok")}
        try:
            report = _REPORT.validate_python(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "top"
            raise UsageError(f"not a report: {place}: {first['msg']}") from None
        shown = {"level": report.level, "ok": report.ok}
        if claims != shown:
            raise UsageError(f"this report says {claims}, but its results show {shown}: it was changed by hand")
        return report


_REPORT = TypeAdapter(Report)


def _settle(record: CheckResult | Report, **known: Any) -> None:
    """Makes every field a plain value that JSON gives back unchanged, whatever NumPy type or text it came as."""
    for spec in dataclasses.fields(record):
        value = known[spec.name] if spec.name in known else _plain(getattr(record, spec.name))
        object.__setattr__(record, spec.name, value)


def _plain(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case np.bool_():
            return bool(value)
        case str():  # a lone surrogate has no place in any file
            return value.encode("utf-8", "backslashreplace").decode()
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
        case Mapping():
            return {_plain(str(key)): _plain(entry) for key, entry in value.items()}
        case list() | tuple():
            return tuple(_plain(entry) for entry in value)
        case _:
            return _plain(str(value))


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_without_nan(entry) for entry in value)
    return value

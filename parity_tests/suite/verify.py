"""Runs the checks on an implementation: `verify(adapter)` gives a report.

Hypothesis draws the questions, without chance: the same code asks the same, or the same of each seed. The first that no
rounding explains is shrunk by Hypothesis, then zeroed number by number (shrink.py), and comes with a script that shows
the fault without the suite.
"""

import contextlib
import datetime
import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import seed as with_seed
from hypothesis.errors import Flaky, Unsatisfiable
from hypothesis.internal.conjecture import providers

from parity_tests.suite.adapter import Adapter
from parity_tests.suite.checks import CHECKS, Check
from parity_tests.suite.judging import FORMATS, Judgement
from parity_tests.suite.properties import Unsuitable
from parity_tests.suite.question import Question
from parity_tests.suite.report import CheckResult, Report, Verdict
from parity_tests.suite.reproduce import script
from parity_tests.suite.rounding import SUSPICION, UNITS
from parity_tests.suite.shrink import fewest_nonzero
from parity_tests.suite.witness import BadAnswer, Unasked, Witness

SHRINK_SECONDS = 2.0  # a check, by Hypothesis; what it leaves, shrink.py empties
EXAMPLES = 20  # of a check with share 1, in each dtype
# Of the examples with weights that are not all zero, a format that really was used leaves its mark on nearly all.
MARKED = 0.5
# A question that is known to show a fault may become so small that bf16's bound would cover it; a quarter of that bound
# is what bf16 itself leaves.
SHRUNK = 0.25
DIALOGUE = "one answer decides what is asked next: not possible with files"


def _size(question: Question) -> int:
    return sum(array.size for array in question.arrays.values())


class _Wrong(Exception):
    """An answer that no format explains: makes Hypothesis shrink the question."""


@dataclass
class _Tally:
    """What the examples of one check have shown so far."""

    examples: int = 0
    telling: int = 0  # of them, those in which a coarser format could be seen
    beyond: int = 0  # examples with an entry outside its bound
    worst: Judgement | None = None
    units: list[float] = field(default_factory=list)
    formats: set[str] = field(default_factory=lambda: set(FORMATS))  # that explain every example
    failing: Question | None = None  # the smallest that was wrong
    fault: str = ""
    unasked: str = ""
    shown: set[str] = field(default_factory=set)  # digests of all that were wrong
    first_fault: float = 0.0  # when, on the clock

    def fail(self, question: Question, fault: str = "") -> None:
        if self.failing is None:
            self.first_fault = time.perf_counter()
        if self.failing is None or _size(question) <= _size(self.failing):
            self.failing, self.fault = question, fault
        self.shown.add(question.digest)

    def out_of_time(self) -> bool:
        """For looking for a smaller question."""
        return self.failing is not None and time.perf_counter() > self.first_fault + SHRINK_SECONDS

    def add(self, question: Question, judgements: list[Judgement]) -> None:
        self.examples += 1
        worst = max(judgements, key=lambda j: j.ratio)
        weights = [weight for name, weight in question.weights().items() if "weight" in name]
        self.telling += worst.ratio > 1 or not weights or any(weight.any() for weight in weights)
        if self.worst is None or worst.ratio > self.worst.ratio:
            self.worst = worst
        if worst.ratio > 1:
            self.beyond += 1
            self.formats &= {name for name in FORMATS if all(j.explained_by(name) for j in judgements)}
            self.units.append(max(j.unit for j in judgements))

    def format(self) -> str:
        """Of the formats that explain every example, the one whose unit fits the errors best; '' if none does. fp16
        before TF32: it explains only what lies on its grid."""
        if not self.formats:
            return ""
        seen = np.log2(np.quantile(self.units, 0.75))  # small questions may round by luck to what is right
        return min(self.formats, key=lambda name: (abs(np.log2(UNITS[name]) - seen), name == "TF32"))


def wrong(judgements: list[Judgement], share: float = 1.0) -> bool:
    """No format explains all of them, and the worst is more than suspect."""
    if max(j.ratio for j in judgements) <= SUSPICION:
        return False
    return not any(all(j.explained_by(name, share) for j in judgements) for name in FORMATS)


def run_check(
    check: Check,
    adapter: Adapter,
    examples: int = EXAMPLES,
    shrink: bool = True,
    questions: Iterable[Question] | None = None,
    seed: int | None = None,
) -> CheckResult:
    """One check, in every dtype that the adapter claims. shrink=False: the verdict only, sooner. questions: these, and
    none that are drawn. seed: of other questions than the usual ones."""
    begin = time.perf_counter()
    if reason := check.not_applicable(adapter.capabilities):
        return CheckResult(check.name, check.level, check.obligation, Verdict.SKIPPED, reason)
    if questions is None:
        tallies = [_tally(check, adapter, dtype, examples, shrink, seed) for dtype in adapter.capabilities.dtypes]
    else:
        tallies, shrink = [_tally_of(check, adapter, questions)], False
    result = max((_result(check, adapter, tally, shrink) for tally in tallies), key=_severity)
    total = sum(tally.examples for tally in tallies)
    return CheckResult(**{**result.__dict__, "examples": total, "seconds": time.perf_counter() - begin})


def _severity(result: CheckResult) -> int:
    order = [Verdict.SKIPPED, Verdict.PASS, Verdict.ROUNDING, Verdict.SUSPECT, Verdict.FAIL]
    return order.index(result.verdict)


def _tally(check: Check, adapter: Adapter, dtype: str, examples: int, shrink: bool, seed: int | None) -> _Tally:
    witness, tally = Witness(adapter), _Tally()
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @settings(
        max_examples=max(3, round(examples * check.share)),
        derandomize=seed is None,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    @given(question=check.questions(adapter.capabilities, dtype))
    def judge_one(question: Question) -> None:
        if tally.out_of_time():
            if question.digest in tally.shown:  # Hypothesis wants to see its smallest once more
                raise _Wrong
            return
        try:
            judgements = check.judge(witness, question)
        except BadAnswer as error:
            tally.fail(question, str(error))
            raise _Wrong from error
        except Unsuitable:
            reject()
        except Unasked:  # while shrinking: no fault is known of such a question
            if tally.failing is None:
                raise
            return
        if wrong(judgements):
            tally.fail(question)
            raise _Wrong
        tally.add(question, judgements)

    try:
        with _no_numbers_from_elsewhere():
            (judge_one if seed is None else with_seed(seed)(judge_one))()
    except _Wrong:
        pass
    except Flaky:
        tally.fault = "answers to one question differ from time to time"
    except Unasked:
        tally.unasked = DIALOGUE
    except Unsatisfiable:
        tally.unasked = "no question could be made for these capabilities"
    return tally


@contextlib.contextmanager
def _no_numbers_from_elsewhere() -> Iterator[None]:
    """Hypothesis mixes in numbers that it reads in the sources of whatever modules are loaded, so the same check would
    ask other questions in another process. There is no setting against it."""
    empty = providers.Constants(
        **{kind: type(providers.GLOBAL_CONSTANTS.floats)() for kind in ("integers", "floats", "bytes", "strings")}
    )
    with mock.patch.object(providers, "_get_local_constants", return_value=empty):
        providers.CONSTANTS_CACHE.cache.clear()
        try:
            yield
        finally:
            providers.CONSTANTS_CACHE.cache.clear()


def _tally_of(check: Check, adapter: Adapter, questions: Iterable[Question]) -> _Tally:
    """Of given questions, up to the first that is wrong."""
    witness, tally = Witness(adapter), _Tally()
    for question in questions:
        try:
            judgements = check.judge(witness, question)
        except BadAnswer as error:
            tally.fail(question, str(error))
            break
        except Unasked:
            tally.unasked = DIALOGUE
            break
        if wrong(judgements):
            tally.fail(question)
            break
        tally.add(question, judgements)
    if not tally.examples and tally.failing is None:
        tally.unasked = tally.unasked or "no question was written for it"
    return tally


def _result(check: Check, adapter: Adapter, tally: _Tally, shrink: bool) -> CheckResult:
    base = (check.name, check.level, check.obligation)
    if tally.failing is not None:
        return _failure(check, adapter, tally, shrink)
    if tally.fault:
        return CheckResult(*base, Verdict.FAIL, tally.fault)
    if tally.unasked:
        return CheckResult(*base, Verdict.SKIPPED, tally.unasked)
    worst = tally.worst
    assert worst is not None
    verdict, reason = Verdict.PASS, ""
    if worst.ratio > 1:
        if tally.formats and tally.beyond >= MARKED * tally.telling:
            verdict, reason = Verdict.ROUNDING, f"rounds as {tally.format()}"
        elif worst.ratio <= SUSPICION:
            verdict, reason = Verdict.SUSPECT, f"up to {worst.ratio:.2g} times its bound: look at exp, tanh and sums"
        else:
            verdict = Verdict.FAIL
            reason = f"{worst.array} off in {tally.beyond} of {tally.telling} examples, too few to be rounding"
    return CheckResult(*base, verdict, reason, **_numbers(worst))


def _numbers(worst: Judgement) -> dict[str, object]:
    return {
        "worst_error": worst.error,
        "bound": worst.bound,
        "margin_ulp": worst.ulps,
        "array": worst.array,
        "where": worst.where,
    }


def _failure(check: Check, adapter: Adapter, tally: _Tally, shrink: bool) -> CheckResult:
    base = (check.name, check.level, check.obligation, Verdict.FAIL)
    assert tally.failing is not None
    smallest, (_, worst, fault) = tally.failing, _fault_of(check, adapter, tally.failing)
    if shrink:
        smallest, worst, fault = fewest_nonzero(smallest, lambda question: _fault_of(check, adapter, question))
    shown = script(smallest, worst, adapter.name) if shrink else ""
    if worst is None:
        return CheckResult(*base, fault or tally.fault, script=shown)
    reason = f"{worst.array}: got {worst.got:.9g}, expected {worst.expected:.9g}"
    return CheckResult(*base, reason, **_numbers(worst), script=shown)


def _fault_of(check: Check, adapter: Adapter, question: Question) -> tuple[bool, Judgement | None, str]:
    """Whether this question shows a fault, and which."""
    try:
        judgements = check.judge(Witness(adapter), question)
    except BadAnswer as error:
        return True, None, str(error)
    except (Unsuitable, Unasked):  # not a question that this check would ask, or could
        return False, None, ""
    return wrong(judgements, SHRUNK), max(judgements, key=lambda j: j.ratio), ""


def select(names: Iterable[str]) -> list[Check]:
    """Checks by name or level; all for none."""
    wanted = set(names)
    return [check for check in CHECKS if not wanted or check.name in wanted or check.level in wanted]


def verify(
    adapter: Adapter,
    *,
    checks: Iterable[Check] = CHECKS,
    examples: int = EXAMPLES,
    shrink: bool = True,
    expected_failures: Mapping[str, str] | None = None,
    written: Mapping[str, Iterable[Question]] | None = None,
    seed: int | None = None,
    on_result: Callable[[CheckResult], None] = lambda result: None,
) -> Report:
    """Runs `checks`. expected_failures: check name -> reason; strict: one that passes is a failure. written: check name
    -> its questions, instead of drawing them. shrink, seed: as in run_check."""
    begin, expected, results = time.perf_counter(), expected_failures or {}, []
    for check in checks:
        questions = None if written is None else written.get(check.name, ())
        result = run_check(check, adapter, examples, shrink, questions, seed)
        if check.name in expected and result.verdict is not Verdict.SKIPPED:
            result = _expected(result, expected[check.name])
        results.append(result)
        on_result(result)
    packages = ("lstm-parity", "numpy", "hypothesis")
    return Report(
        adapter=adapter.name,
        capabilities=adapter.capabilities.to_dict(),
        results=tuple(results),
        versions={"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}},
        seconds=time.perf_counter() - begin,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _expected(result: CheckResult, reason: str) -> CheckResult:
    if result.verdict in (Verdict.FAIL, Verdict.SUSPECT):
        return CheckResult(**{**result.__dict__, "verdict": Verdict.XFAIL, "reason": reason})
    unexpected = f"was expected to fail ({reason}), and does not: take it off the list"
    return CheckResult(**{**result.__dict__, "verdict": Verdict.FAIL, "reason": unexpected})

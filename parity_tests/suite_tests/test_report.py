"""A report keeps what it is given, and claims no level that its results do not show."""

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.errors import UsageError
from parity_tests.suite.report import LEVELS, CheckResult, LevelState, Report, Verdict

HOSTILE = (
    "<script>alert(1)</script>",
    "</pre></style><img src=http://evil.example/x onerror=alert(1)>",
    "]]><!-- -- --> &amp; &#0; %s {0} \"'",
    "\x1b[31mred\x1b[0m \x00\x07\x08\r\n\x7f\x9b2J",
    "[bold]rich[/bold] :smile: [link=http://evil.example]x[/link]",
    "| a | b |\n| --- | --- |\n```\n# head `x` ``y`` \\| **b** _i_ ~~s~~ <b>",
    "@everyone see #12, www.evil.example and https://evil.example [x](javascript:alert(1)) ![](http://evil.example)",
    "12. list\n- item\n+ item\n=====",
    "\u202egnp.exe \u200b \u2028 \ufffe \ud800 \U0001f9e0 \u6f22\u5b57\u6f22\u5b57 e\u0301",
    "x" * 10_000,
    "many words " * 1000,
)
texts = st.one_of(st.just("plain"), st.sampled_from(HOSTILE), st.text(max_size=30))
errors = st.one_of(
    st.none(), st.sampled_from([0.0, 5e-324, 1e-16, 1.0, math.inf, math.nan]), st.floats(0, 1e-9), st.floats()
)


@st.composite
def check_results(draw: st.DrawFn) -> CheckResult:
    bound = draw(errors)
    return CheckResult(
        name=draw(texts),
        level=draw(st.sampled_from(list(LEVELS))),
        obligation=draw(texts),
        verdict=draw(st.sampled_from(list(Verdict))),
        reason=draw(texts),
        examples=draw(st.integers(0, 10_000)),
        worst_error=draw(st.one_of(st.just(bound), errors)),
        bound=bound,
        margin_ulp=draw(errors),
        array=draw(texts),
        where=draw(texts),
        script=draw(st.one_of(st.just(""), st.just("import numpy as np\nprint(np.float64('0.1'))\n"), texts)),
        seconds=draw(st.floats(0, 1e6)),
    )


RESULTS = check_results()


def reports(results: st.SearchStrategy[CheckResult] = RESULTS) -> st.SearchStrategy[Report]:
    values = st.one_of(st.booleans(), st.integers(), st.floats(), texts, st.lists(texts, max_size=3))
    return st.builds(
        Report,
        adapter=texts,
        capabilities=st.dictionaries(texts, values, max_size=3),
        results=st.lists(results, max_size=8).map(tuple),
        diagnosis=st.lists(texts, max_size=3).map(tuple),
        versions=st.dictionaries(texts, texts, max_size=3),
        seconds=st.floats(),
        date=st.one_of(st.just(""), texts, st.datetimes().map(lambda moment: moment.isoformat())),
    )


def check(level: str, verdict: Verdict, name: str = "a check", reason: str = "because") -> CheckResult:
    return CheckResult(name, level, "Something holds.", verdict, reason)


def of(*checks: CheckResult) -> Report:
    return Report("mine", {}, checks)


@given(report=reports())
def test_json_gives_every_field_back(report):
    assert repr(Report.from_json(report.to_json())) == repr(report)  # repr: nan is not equal to itself


@given(report=reports())
def test_the_json_is_standard_and_of_valid_unicode(report):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    values = json.loads(report.to_json().encode("utf-8").decode("utf-8"), parse_constant=refuse)
    assert (values["level"], values["ok"]) == (report.level, report.ok)


def test_numpy_values_become_plain_ones():
    numbers = {"worst_error": np.float32(0.5), "bound": np.longdouble(0.25), "margin_ulp": np.float64(3)}
    result = dataclasses.replace(check("L0", Verdict.PASS), examples=np.int64(7), **numbers)
    report = Report("mine", {"layers": np.int32(2), "lengths": np.bool_(True), "dtypes": ["float64"]}, (result,))
    assert [type(getattr(result, name)) for name in numbers] == [float] * 3
    assert type(result.examples) is int
    assert report.capabilities == {"layers": 2, "lengths": True, "dtypes": ("float64",)}
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a report"),
        ("[" * 100_000, "not a report"),
        ("[]", "format 1"),
        ('{"format": 2}', "format 1"),
        ('{"format": 1}', "adapter"),
        ('{"format": 1, "adapter": "a", "capabilities": {}, "results": [{"name": "n"}]}', "results.0.level"),
        ('{"format": 1, "adapter": "a", "capabilities": {}, "results": [], "more": 1}', "more"),
        ('{"format": 1, "adapter": ["a"], "capabilities": {}, "results": []}', "adapter"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(text, problem):
    with pytest.raises(UsageError) as refusal:
        Report.from_json(text)
    assert problem in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_unknown_field_of_a_result_is_refused():
    values = json.loads(of(check("L0", Verdict.PASS)).to_json())
    values["results"][0]["colour"] = "red"
    with pytest.raises(UsageError, match="colour"):
        Report.from_json(json.dumps(values))


def test_what_json_cannot_say_is_text_in_the_capabilities():
    report = Report("mine", {"layers": math.nan, "more": [math.inf], "odd": {1: b"x"}}, ())
    assert report.capabilities == {"layers": "nan", "more": ("inf",), "odd": {"1": "b'x'"}}
    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(("field", "claim"), [("level", "L6"), ("ok", True), ("level", None)])
def test_a_report_that_claims_more_than_its_results_is_refused(field, claim):
    values = json.loads(of(check("L0", Verdict.PASS), check("L1", Verdict.FAIL)).to_json())
    with pytest.raises(UsageError, match="changed by hand"):
        Report.from_json(json.dumps(values | {field: claim}))


@pytest.mark.parametrize(("level", "verdict"), [("L7", "pass"), ("", "pass"), ("L0", "green"), ("L0", "")])
def test_unknown_levels_and_verdicts_are_refused(level, verdict):
    with pytest.raises(UsageError, match="is none of"):
        CheckResult("a check", level, "Something holds.", verdict)


@given(report=reports())
def test_the_level_is_the_highest_that_all_checks_up_to_it_support(report):
    def is_reached(level: str) -> bool:
        up_to_it = [result for result in report.results if result.level <= level and result.verdict != "skipped"]
        return any(r.level == level for r in up_to_it) and all(r.verdict in ("pass", "rounding") for r in up_to_it)

    assert report.level == max(filter(is_reached, LEVELS), default="none")


P, R, S, F, K, X = Verdict.PASS, Verdict.ROUNDING, Verdict.SUSPECT, Verdict.FAIL, Verdict.SKIPPED, Verdict.XFAIL


@pytest.mark.parametrize(
    ("checks", "level"),
    [
        ([], "none"),
        ([("L0", K)], "none"),
        ([("L0", F)], "none"),
        ([("L0", P), ("L0", F)], "none"),
        ([("L0", F), ("L1", P)], "none"),
        ([("L0", P)], "L0"),
        ([("L0", R), ("L1", P), ("L1", K)], "L1"),
        ([("L0", P), ("L1", S), ("L2", P)], "L0"),
        ([("L0", P), ("L1", X), ("L2", P)], "L0"),
        ([("L0", P), ("L1", K), ("L2", P)], "L2"),
        ([("L0", P), ("L2", P)], "L2"),
        ([("L0", P), ("L1", K), ("L2", F), ("L3", P)], "L0"),
        ([("L0", P), ("L1", K)], "L0"),
        ([("L0", K), ("L1", P)], "L1"),
        ([("L6", P), ("L0", F)], "none"),
        ([(level, P) for level in reversed(LEVELS)], "L6"),
    ],
)
def test_the_level_of_a_report_at_the_edges(checks, level):
    assert of(*(check(*each) for each in checks)).level == level


@given(report=reports(), data=st.data())
def test_a_skipped_check_lifts_and_lowers_nothing_but_is_listed(report, data):
    skipped = check(data.draw(st.sampled_from(list(LEVELS))), Verdict.SKIPPED, "added", "not claimed by anybody")
    more = dataclasses.replace(report, results=(*report.results, skipped))
    assert (more.level, more.ok) == (report.level, report.ok)
    assert any("added" in line and "not claimed by anybody" in line for line in more.not_tested)


@given(report=reports(), data=st.data())
def test_a_failure_at_a_level_keeps_the_report_below_it(report, data):
    level = data.draw(st.sampled_from(list(LEVELS)))
    worse = dataclasses.replace(report, results=(*report.results, check(level, Verdict.FAIL)))
    assert worse.level == "none" or worse.level < level
    assert not worse.ok


@given(report=reports())
def test_a_report_is_ok_exactly_without_fail_and_suspect(report):
    assert report.ok == all(result.verdict not in ("fail", "suspect") for result in report.results)
    assert report.wrong == tuple(result for result in report.results if result.verdict in ("fail", "suspect"))


@given(report=reports())
def test_everything_is_counted_once_and_every_level_without_a_check_is_listed(report):
    assert sum(report.counts.values()) == len(report.results)
    present = {result.level for result in report.results}
    listed = [name[:2] for name in report.skipped.get("no check of this level was asked for", ())]
    assert set(LEVELS) - present <= set(listed)
    assert all((report.state(level) is LevelState.UNTESTED) for level in set(LEVELS) - present)


@pytest.mark.parametrize(
    ("error", "bound", "within"),
    [(1, 1, True), (0, 0, True), (1, 0.5, False), (math.nan, 1, False), (1, math.nan, False), (None, 1, False)],
)
def test_nan_is_within_no_bound(error, bound, within):
    result = dataclasses.replace(check("L0", Verdict.PASS), worst_error=error, bound=bound)
    assert result.is_within_bound is within


def test_reports_need_neither_torch_nor_the_kernels():
    code = (
        "import sys, parity_tests.suite.reports\n"
        "unwanted = ('torch', 'onnx', 'lstm_torch', 'lstm_ref.kernels', 'lstm_ref.model')\n"
        "print([name for name in sys.modules if name.startswith(unwanted)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"

"""JUnit XML for CI systems: one test case a check.

FAIL and SUSPECT are failures, SKIPPED and expected failures are skipped with their reason, PASS and ROUNDING pass. The
order of elements and attributes is that of the Ant schema, the strictest of those in use; errors against bounds, for
which it has no place in a test case, stand in system-out.
"""

import datetime
import math
import re
from xml.etree import ElementTree

from parity_tests.suite.report import CheckResult, Report, Verdict
from parity_tests.suite.reports import wording


def text(report: Report) -> str:
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", _suite_attributes(report))
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(report).items():
        ElementTree.SubElement(properties, "property", name=name, value=value)
    for result in report.results:
        _add_case(suite, report, result)
    lines = [f"{r.level} {wording.name(r.name)}: {r.verdict}, {wording.measured(r) or '-'}" for r in report.results]
    ElementTree.SubElement(suite, "system-out").text = "\n".join([_headline(report), *lines, *_list(report)])
    ElementTree.SubElement(suite, "system-err")
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _headline(report: Report) -> str:
    return f"{wording.name(report.adapter)}: {wording.reached(report)}, {wording.counts(report)}"


def _list(report: Report) -> list[str]:
    return [
        *(f"diagnosis {n}: {wording.one_line(line)}" for n, line in enumerate(report.diagnosis, start=1)),
        *(f"not tested: {line}" for line in wording.not_tested(report)),
    ]


def _suite_attributes(report: Report) -> dict[str, str]:
    attributes = {"name": wording.name(report.adapter), "package": "lstm", "id": "0", "hostname": "localhost"}
    if stamp := _timestamp(report.date):
        attributes["timestamp"] = stamp
    counts = report.counts
    return attributes | {
        "tests": str(len(report.results)),
        "failures": str(len(report.wrong)),
        "errors": "0",
        "skipped": str(counts[Verdict.SKIPPED] + counts[Verdict.XFAIL]),
        "time": _time(report.seconds),
    }


def _timestamp(date: str) -> str:
    """UTC without a zone, as the schema has it; "" for a date that is not ISO 8601: a wrong one would be worse."""
    try:
        moment = datetime.datetime.fromisoformat(date)
        if moment.tzinfo is not None:
            moment = moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.replace(tzinfo=None, microsecond=0).isoformat()


def _time(seconds: float) -> str:
    return f"{seconds:.3f}" if math.isfinite(seconds) and seconds >= 0 else "0.000"


def _properties(report: Report) -> dict[str, str]:
    facts = {"level": report.level, "ok": wording.claim(report.ok)}
    facts |= {f"capability.{key}": wording.claim(value) for key, value in report.capabilities.items()}
    facts |= {f"version.{key}": value for key, value in report.versions.items()}
    return {wording.name(key): wording.one_line(value) for key, value in facts.items()}


def _add_case(suite: ElementTree.Element, report: Report, result: CheckResult) -> None:
    package = re.sub(r"[.\s]", "_", wording.name(report.adapter))  # CI systems split the class name at its dots
    case = ElementTree.SubElement(
        suite,
        "testcase",
        name=wording.name(result.name),
        classname=f"{package}.{result.level}",
        time=_time(result.seconds),
    )
    reason = wording.one_line(result.reason) or "no reason was given"
    if result.verdict is Verdict.SKIPPED:
        ElementTree.SubElement(case, "skipped", message=reason)
    elif result.verdict is Verdict.XFAIL:
        ElementTree.SubElement(case, "skipped", message=f"expected failure: {reason}")
    elif result in report.wrong:
        failure = ElementTree.SubElement(case, "failure", message=reason, type=str(result.verdict))
        facts = [wording.one_line(result.obligation), wording.place(result), wording.measured(result)]
        failure.text = "\n".join([*filter(None, facts), "", wording.visible(result.script)])

"""The report as one page for a browser: nothing is loaded from anywhere, and no script runs.

The content policy in its head forbids both, should a hole in our escaping ever let something through.
"""

from html import escape

from parity_tests.suite.report import LEVELS, CheckResult, LevelState, Report, Verdict
from parity_tests.suite.reports import wording
from parity_tests.suite.reports.chart import CLASSES, chart, drawn, mark
from parity_tests.suite.reports.style import STYLE

_LEVEL_VERDICT = {
    LevelState.PASSED: Verdict.PASS,
    LevelState.FAILED: Verdict.FAIL,
    LevelState.XFAILED: Verdict.XFAIL,
    LevelState.UNTESTED: Verdict.SKIPPED,
}
_COLUMNS = ("error", "bound", "ulp", "examples", "time")


def text(report: Report) -> str:
    title = f"{wording.name(report.adapter)}: {wording.reached(report)}"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style></head><body><main>",
        _head(report),
        _diagnosis(report),
        _errors(report),
        _faults("Faults", report.wrong),
        _table(report),
        _faults("Expected failures", report.with_verdict(Verdict.XFAIL)),
        _not_tested(report),
        _facts(report),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _line(text: str) -> str:
    return escape(wording.one_line(text))


def _head(report: Report) -> str:
    steps = []
    for level, title in LEVELS.items():
        state = report.state(level)
        verdict = _LEVEL_VERDICT[state]
        step = f'<b>{level} {mark(verdict)}</b><span>{title}</span><span class="state">{state}</span>'
        steps.append(f'<li class="{CLASSES[verdict]}">{step}</li>')
    chips = "".join(
        f'<li class="{CLASSES[verdict]}">{mark(verdict)}{count} {verdict}</li>'
        for verdict, count in report.counts.items()
        if count
    )
    reached = wording.reached(report)
    return (
        '<header><p class="soft">LSTM conformance report</p>'
        f"<h1>{escape(wording.name(report.adapter))}: {reached}</h1>"
        f'<p class="judgement">{escape(wording.judgement(report))}</p>'
        f'<ul class="chips">{chips}</ul><ol class="ladder">{"".join(steps)}</ol></header>'
    )


def _diagnosis(report: Report) -> str:
    if not report.diagnosis:
        return ""
    lines = "".join(f"<li>{_line(line)}</li>" for line in report.diagnosis)
    return f'<section class="diagnosis"><h2>Diagnosis, likeliest first</h2><ol>{lines}</ol></section>'


def _errors(report: Report) -> str:
    results = drawn(report)
    if not results:
        return ""
    present = [verdict for verdict in report.counts if any(result.verdict is verdict for result in results)]
    legend = "".join(f'<li class="{CLASSES[verdict]}">{mark(verdict)}{verdict}</li>' for verdict in present)
    rest = len(report.results) - len(results)
    note = f" {rest} more checks have no error to draw; the table has them." if rest else ""
    return (
        "<section><h2>Worst errors against their bounds</h2>"
        f'<ul class="chips">{legend}<li class="bound">bar: allowed, up to the bound</li></ul>'
        f'{chart(report)}<p class="soft">Log axis. Zero stands at the left end, nan and inf at the right end; what is '
        f"too small or large for the axis stands at its first or last line. A dot that would touch its tick is moved "
        f"aside.{note}</p></section>"
    )


def _table(report: Report) -> str:
    if not report.results:
        return ""
    rows = []
    for level, title in LEVELS.items():
        numbered = [(index, result) for index, result in enumerate(report.results) if result.level == level]
        if numbered:
            rows.append(f'<tr class="level"><th colspan="7" scope="rowgroup">{level} {title}</th></tr>')
        rows += [_table_row(index, result) for index, result in numbered]
    head = "".join(f'<th scope="col" class="n">{column}</th>' for column in _COLUMNS)
    return (
        "<section><h2>All checks</h2><table><thead><tr>"
        f'<th scope="col">check</th><th scope="col">verdict</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def _table_row(index: int, result: CheckResult) -> str:
    values = (
        wording.number(result.worst_error),
        wording.number(result.bound),
        wording.ulps(result.margin_ulp),
        str(result.examples) if result.examples else "-",
        wording.duration(result.seconds) if result.was_run else "-",
    )
    cells = "".join(
        f'<td class="n{" none" * (value == "-")}" data-label="{column}">{escape(value)}</td>'
        for column, value in zip(_COLUMNS, values)
    )
    obligation = f'<span class="soft">{_line(result.obligation)}</span>' if result.was_run else ""
    reason = f'<span class="note">{_line(result.reason)}</span>' if result.reason else ""
    return (
        f'<tr id="check-{index}"><td><code>{escape(wording.name(result.name))}</code>{obligation}{reason}</td>'
        f"<td>{_badge(result.verdict)}</td>{cells}</tr>"
    )


def _badge(verdict: Verdict) -> str:
    return f'<span class="verdict {CLASSES[verdict]}">{mark(verdict)}{verdict}</span>'


def _faults(title: str, results: tuple[CheckResult, ...]) -> str:
    if not results:
        return ""
    return f"<section><h2>{title}</h2>{''.join(_fault(result) for result in results)}</section>"


def _fault(result: CheckResult) -> str:
    facts = {
        "must hold": _line(result.obligation),
        "where": escape(wording.place(result)),
        "measured": escape(wording.measured(result)),
    }
    script = escape(wording.visible(result.script.strip("\n")))
    return (
        f'<article class="fault {CLASSES[result.verdict]}"><header>{_badge(result.verdict)}'
        f"<h3><code>{escape(wording.name(result.name))}</code> ({result.level})</h3></header>"
        f"<p>{_line(result.reason) or 'no reason was given'}</p>{_terms(facts)}"
        + (f'<p class="soft">To see it again:</p><pre>{script}</pre>' if script else "")
        + "</article>"
    )


def _not_tested(report: Report) -> str:
    if not report.skipped:
        return ""
    lines = []
    for reason, names in report.skipped.items():
        listed = ", ".join(f"<code>{escape(wording.name(name))}</code>" for name in names)
        lines.append(f"<li>{_line(reason)}: {listed}</li>")
    return f"<section><h2>Not tested</h2><ul>{''.join(lines)}</ul></section>"


def _facts(report: Report) -> str:
    facts = {f"claims {key}": _line(wording.claim(value)) for key, value in report.capabilities.items()}
    made = {"date": report.date, "duration": wording.duration(report.seconds), **report.versions}
    terms = {escape(wording.name(key)): value for key, value in facts.items() if value}
    terms |= {escape(wording.name(key)): _line(value) for key, value in made.items() if value}
    return f"<section><h2>What was tested, with what</h2>{_terms(terms)}</section>"


def _terms(terms: dict[str, str]) -> str:
    """Both sides escaped already; nothing for a term without a value."""
    entries = "".join(f"<dt>{term}</dt><dd>{value}</dd>" for term, value in terms.items() if value)
    return f'<dl class="facts">{entries}</dl>' if entries else ""

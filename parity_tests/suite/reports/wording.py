"""What all formats say alike: the headline, numbers, and text of others made harmless.

An adapter's name, the message of an exception that it raised, and what is derived from them are not ours. They are
shown as one line without control characters, and cut: the JSON file keeps all of it. Each format then escapes what it
takes for markup.
"""

import itertools
import math
import unicodedata

from parity_tests.suite.report import LEVELS, CheckResult, LevelState, Report, Verdict

NAME, LINE = 80, 400  # most characters of a name and of a sentence; ours are far shorter


def visible(text: str) -> str:
    """Control, format and unassigned characters as escapes, which covers all that XML forbids and all that moves a
    cursor or turns the direction of writing; line ends and tabs stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode()
        for c in text
    )


def one_line(text: str, limit: int = LINE) -> str:
    """Visible, white space as single spaces, at most `limit` characters and a word on how many are gone."""
    line = visible(" ".join(text[: 8 * limit].split()))
    gone = max(len(line) - limit, 0) + max(len(text) - 8 * limit, 0)
    return f"{line[:limit]}... ({gone} more characters)" if gone else line


def name(text: str) -> str:
    return one_line(text, NAME) or "(no name)"


def number(value: float | None) -> str:
    """Three digits; "-" where nothing was measured. A bound where the truth is 0 is the smallest there can be: its
    digits say nothing."""
    if value is None:
        return "-"
    if 0 < value < 1e-300:
        return "<1e-300"
    return f"{value:.2e}" if value and math.isfinite(value) else f"{value:g}"


def ulps(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def counts(report: Report) -> str:
    """ "2 fail, 14 pass, 3 skipped": worst first, without the verdicts that do not occur."""
    return ", ".join(f"{count} {verdict}" for verdict, count in report.counts.items() if count) or "no checks"


def reached(report: Report) -> str:
    return f"level {report.level}" if report.level != "none" else "no level reached"


def judgement(report: Report) -> str:
    """The report in a sentence or two."""
    ran, expected = sum(result.was_run for result in report.results), report.counts[Verdict.XFAIL]
    if not ran:
        return "Nothing was tested."
    if not report.ok:
        first = f"{len(report.wrong)} of {ran} checks found a fault."
    else:
        first = f"No new fault in {ran} checks." if expected else f"All {ran} checks that were run passed."
    coarse = report.counts[Verdict.ROUNDING]
    rounded = f" {coarse} passed in coarser arithmetic than asked for." if coarse else ""
    known = f" {expected} failed as expected." if expected else ""
    return first + rounded + known + _gaps(report)


def _gaps(report: Report) -> str:
    """The levels below the one reached that say nothing for it."""
    below = itertools.takewhile(lambda level: level != report.level, LEVELS) if report.level != "none" else ()
    empty = [level for level in below if report.state(level) is LevelState.UNTESTED]
    return f" {', '.join(empty)} {'was' if len(empty) == 1 else 'were'} not tested." if empty else ""


def place(result: CheckResult) -> str:
    """Where the worst error is: "c_n, step 2, row 0, gate f, unit 1"."""
    return one_line(", ".join(part for part in (result.array, result.where) if part))


def measured(result: CheckResult) -> str:
    """ "error 1.20e-03, bound 3.40e-15, 5.4e+12 ulp, 20 examples", of what there is."""
    parts = [
        f"error {number(result.worst_error)}" if result.worst_error is not None else "",
        f"bound {number(result.bound)}" if result.bound is not None else "",
        f"{ulps(result.margin_ulp)} ulp" if result.margin_ulp is not None else "",
        f"{result.examples} example{'s' * (result.examples != 1)}" if result.examples else "",
    ]
    return ", ".join(part for part in parts if part)


def not_tested(report: Report) -> list[str]:
    """Reason and names, a line each. Only the reason can be long: the names are ours, and all are shown."""
    return [f"{one_line(reason)}: {', '.join(map(name, names))}" for reason, names in report.skipped.items()]


def made_with(report: Report) -> str:
    """Date, duration and versions, of what there is."""
    versions = [f"{package} {version}" for package, version in report.versions.items()]
    return one_line(", ".join([*([report.date] if report.date else []), duration(report.seconds), *versions]))


def claim(value: object) -> str:
    """One capability's value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def claims(report: Report) -> str:
    """What the implementation says that it can do, in a line; what it says no or nothing to is left out."""
    said = {
        key: claim(value) for key, value in report.capabilities.items() if value is not False and value not in ("", ())
    }
    return one_line("; ".join(f"{key} {value}" for key, value in said.items())) or "nothing"

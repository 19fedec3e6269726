"""The report as a comment on a pull request (GitHub, GitLab): verdict and faults first, the long table folded away.

Text of others is written so that no Markdown, HTML, link, mention or issue number comes of it. A comment has a largest
size; faults that would pass it are left out, and their number is said.
"""

import re

from parity_tests.suite.report import LEVELS, CheckResult, Report, Verdict
from parity_tests.suite.reports import wording

LARGEST = 65_536  # characters of a comment on GitHub
MARKS = {
    Verdict.PASS: "✅",
    Verdict.ROUNDING: "☑️",
    Verdict.SUSPECT: "⚠️",
    Verdict.FAIL: "❌",
    Verdict.SKIPPED: "➖",
    Verdict.XFAIL: "🔶",
}
_MARKUP = re.compile(r"[&<>|*`\[\]\\~$@#]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/|(?<=www)\.|^[-+=]", re.IGNORECASE)


def text(report: Report) -> str:
    head = [
        f"### LSTM conformance of {code(wording.name(report.adapter))}: {wording.reached(report)}",
        f"{prose(wording.judgement(report))} {wording.counts(report).capitalize()}.",
        _levels(report),
    ]
    if report.diagnosis:
        lines = [f"{number}. {prose(line)}" for number, line in enumerate(report.diagnosis, start=1)]
        head.append("**Diagnosis**, likeliest first\n\n" + "\n".join(lines))
    tail = []
    if report.results:
        tail.append(_folded(f"All {len(report.results)} checks", _table(report)))
    if report.skipped:
        lines = [f"- {prose(reason)}: {_names(names)}" for reason, names in report.skipped.items()]
        tail.append("**Not tested**\n\n" + "\n".join(lines))
    tail.append(f"<sub>Claims: {prose(wording.claims(report))}. {prose(wording.made_with(report))}.</sub>")
    room = LARGEST - 200 - sum(len(block) + 2 for block in head + tail)
    return "\n\n".join([*head, *_faults(report, room), *tail]) + "\n"


def _faults(report: Report, room: int) -> list[str]:
    """As many as there is room for, in characters."""
    results = (*report.wrong, *report.with_verdict(Verdict.XFAIL), *report.with_verdict(Verdict.ROUNDING))
    blocks, left_out = [], 0
    for result in results:
        block = _fault(result)
        if len(block) + 2 <= room:
            blocks.append(block)
            room -= len(block) + 2
        else:
            left_out += 1
    if left_out:
        blocks.append(f"**{left_out} more are left out here:** the comment would be too long. The JSON file has all.")
    return blocks


def _fault(result: CheckResult) -> str:
    lines = [
        f"{MARKS[result.verdict]} **{result.verdict}** {code(wording.name(result.name))} ({result.level})",
        prose(result.reason) or "no reason was given",
    ]
    for label, words in (("where", wording.place(result)), ("measured", wording.measured(result))):
        if words:
            lines.append(f"{label}: {prose(words)}")
    block = "\\\n".join(lines)
    if result.script and result.verdict is not Verdict.ROUNDING:
        block += "\n\n" + _folded("Script that shows it again", _fenced(wording.visible(result.script)))
    return block


def _levels(report: Report) -> str:
    rows = [[f"{level} {title}" for level, title in LEVELS.items()], ["---"] * len(LEVELS)]
    rows.append([str(report.state(level)) for level in LEVELS])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _table(report: Report) -> str:
    rows = [["level", "check", "verdict", "error", "bound", "ulp"], ["---", "---", "---", "---:", "---:", "---:"]]
    for result in report.results:
        verdict = f"{MARKS[result.verdict]} {result.verdict}"
        numbers = [wording.number(result.worst_error), wording.number(result.bound), wording.ulps(result.margin_ulp)]
        rows.append([result.level, code(wording.name(result.name)), verdict, *numbers])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(prose(name) if name[:2] in LEVELS else code(wording.name(name)) for name in names)


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"


def _fenced(script: str) -> str:
    """The fence is longer than any row of backticks in the script."""
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", script))])
    return f"{fence}python\n{script.rstrip()}\n{fence}"


def prose(text: str) -> str:
    """One line in which every character that could be markup is a character reference. A mention or an issue number
    would be made of the rendered text, so a space of no width goes after its sign."""

    def reference(match: re.Match[str]) -> str:
        sign = match[0]
        return f"&#{ord(sign)};" + "&#8203;" * (sign in "@#")

    line = _MARKUP.sub(reference, wording.one_line(text))
    return re.sub(r"^(\d+)([.)])(?=\s|$)", lambda match: f"{match[1]}&#{ord(match[2])};", line)  # else a list


def code(text: str) -> str:
    """One line in a fixed pitch, in which nothing is markup and no mention is made."""
    if re.search(r"[`|\\]|^\s|\s$", text):
        return (
            "<code>" + re.sub(r"[^\w\s,-]", lambda match: f"&#{ord(match[0])};", text).replace("_", "&#95;") + "</code>"
        )
    return f"`{text}`"

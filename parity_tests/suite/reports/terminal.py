"""The report for a terminal, a pipe and a log: colours only where the terminal takes them, words everywhere."""

import io
from collections.abc import Iterable

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from parity_tests.suite.report import LEVELS, CheckResult, Report, Verdict
from parity_tests.suite.reports import wording

STYLES = {
    Verdict.PASS: "green",
    Verdict.ROUNDING: "cyan",
    Verdict.SUSPECT: "bold yellow",
    Verdict.FAIL: "bold red",
    Verdict.SKIPPED: "dim",
    Verdict.XFAIL: "magenta",
}
WIDTH = 80


def print_report(report: Report, console: Console | None = None) -> None:
    """To stdout, or to any rich console: no wider than it is, but for scripts, which are there to be copied."""
    page = _Page(console or Console())
    page.line(_headline(report, page.console.width), "bold" if report.ok else "bold red")
    page.line(wording.judgement(report))
    if report.results:
        page.table(report)
    page.list("Diagnosis, likeliest first", map(wording.one_line, report.diagnosis), numbered=True)
    for result in report.wrong:
        page.failure(result)
    for verdict, title in ((Verdict.XFAIL, "Expected failures"), (Verdict.ROUNDING, "Rounding")):
        results = report.with_verdict(verdict)
        page.list(title, (f"{wording.name(r.name)}: {wording.one_line(r.reason)}" for r in results))
    page.list("Not tested", wording.not_tested(report))
    page.line("")
    page.line(f"claims: {wording.claims(report)}", "dim")
    page.line(wording.made_with(report), "dim")


def text(report: Report, width: int = WIDTH) -> str:
    """The same as plain text, whatever the environment says about colours and widths."""
    file = io.StringIO()
    plain = Console(
        file=file, width=width, force_terminal=False, color_system=None, force_jupyter=False, legacy_windows=False
    )
    print_report(report, plain)
    return "\n".join(line.rstrip() for line in file.getvalue().split("\n"))


def _headline(report: Report, width: int) -> str:
    """Adapter, level and counts; a long name makes room for the rest of the line, if that is enough."""
    facts = f"{wording.reached(report)}, {wording.counts(report)}"
    room = width - len(facts) - 2
    room = room if room >= 16 else wording.NAME
    name = wording.name(report.adapter)
    return f"{name if len(name) <= room else name[: room - 3] + '...'}: {facts}"


class _Page:
    def __init__(self, console: Console):
        self.console = console

    def text(self, words: str, style: str = "") -> Text:
        """No markup is read; what the console's encoding lacks appears as escapes, not as an exception."""
        words = words.encode(self.console.encoding, "backslashreplace").decode(self.console.encoding)
        return Text(words, style, overflow="fold")

    def line(self, words: str, style: str = "") -> None:
        self.console.print(self.text(words, style))

    def title(self, words: str, style: str = "bold") -> None:
        self.line("")
        self.console.print(Rule(self.text(words, style), align="left", characters="-", style="dim"))

    def list(self, title: str, lines: Iterable[str], *, numbered: bool = False) -> None:
        for number, line in enumerate(lines, start=1):
            if number == 1:
                self.title(title)
            grid = Table.grid(padding=(0, 1))
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(f"{number}." if numbered else "-", self.text(line))
            self.console.print(grid)

    def table(self, report: Report) -> None:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("check", overflow="fold")
        table.add_column("verdict", max_width=8)  # "expected failure" takes two lines, so that names take one
        for column in ("error", "bound", "ulp"):
            table.add_column(column, justify="right", no_wrap=True)
        for level, title in LEVELS.items():
            results = [result for result in report.results if result.level == level]
            if results:
                table.add_row(self.text(f"{level} {title}", "bold"))
            if skipped := [result for result in results if not result.was_run]:  # named under "Not tested"
                count = f"  {len(skipped)} check{'s' * (len(skipped) != 1)}"
                table.add_row(self.text(count, "dim"), self.text(Verdict.SKIPPED, STYLES[Verdict.SKIPPED]))
            for result in filter(lambda result: result.was_run, results):
                numbers = (wording.number(result.worst_error), wording.number(result.bound))
                table.add_row(
                    self.text(f"  {wording.name(result.name)}"),
                    self.text(result.verdict, STYLES[result.verdict]),
                    *numbers,
                    wording.ulps(result.margin_ulp),
                )
        self.line("")
        self.console.print(table)

    def failure(self, result: CheckResult) -> None:
        self.title(f"{result.verdict}: {wording.name(result.name)} ({result.level})", STYLES[result.verdict])
        self.line(wording.one_line(result.reason) or "no reason was given")
        for label, words in (
            ("must hold", wording.one_line(result.obligation)),
            ("where", wording.place(result)),
            ("measured", wording.measured(result)),
        ):
            if words:
                self.line(f"{label}: {words}")
        if result.script:
            self.line("to see it again:")
            self.line("")
            script = self.text(wording.visible(result.script.rstrip("\n")))
            self.console.print(script, no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)

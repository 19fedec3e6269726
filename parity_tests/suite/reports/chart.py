"""Worst errors against their bounds on a log axis: one row a check, a dot for the error, a tick for the bound.

Positions are percentages of the width and heights are pixels, so the drawing fits a telephone and a wide screen with
letters of one size. Colour says the verdict, and so does the shape of the dot.
"""

import math
from dataclasses import dataclass
from html import escape

from parity_tests.suite.report import LEVELS, CheckResult, Report, Verdict
from parity_tests.suite.reports import wording

SHAPES = {
    Verdict.PASS: '<circle r="5"/>',
    Verdict.ROUNDING: '<path d="M0-7 7 0 0 7-7 0Z"/>',
    Verdict.SUSPECT: '<path d="M0-7 7 6H-7Z"/>',
    Verdict.FAIL: '<path class="stroke" d="M-5-5 5 5M-5 5 5-5"/>',
    Verdict.SKIPPED: '<path class="stroke" d="M-5 0H5"/>',
    Verdict.XFAIL: '<path class="stroke" d="M-5-5H5V5H-5Z"/>',
}
CLASSES = {verdict: verdict.name.lower() for verdict in Verdict}

ROW, LANE, GROUP, TOP = 38, 26, 30, 22  # pixels: of a row, from its top to its lane, of a level's title, of the axis
ZERO, FIRST, LAST, BEYOND = 2.5, 7.0, 92.0, 97.0  # percent: exact zero, the ends of the log axis, nan and inf
GAP = 1.8  # percent: the least between dot and tick, so that a dot never hides on which side it is
SMALLEST, LARGEST = -20, 4  # the widest axis, in decades; what is beyond is drawn at its end
LABELS, LETTERS = 7, 48  # the most decades with a label, and letters of a name: what fits a width of 400 pixels


@dataclass(frozen=True)
class Axis:
    """Decades from `low` to `high`."""

    low: int
    high: int

    @classmethod
    def of(cls, results: list[CheckResult]) -> "Axis":
        values = [v for r in results for v in (r.worst_error, r.bound) if v is not None and 0 < v < math.inf]
        decades = [min(max(math.log10(value), SMALLEST), LARGEST) for value in values] or [-16.0]
        low = math.floor(min(decades))
        return cls(low, max(math.ceil(max(decades)), low + 1))

    def at(self, value: float) -> float:
        """Percent of the width. nan and inf lie beyond the axis, 0 (and what is no error at all, below 0) before it."""
        if math.isnan(value) or value == math.inf:
            return BEYOND
        if value <= 0:
            return ZERO
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return FIRST + (LAST - FIRST) * min(max(share, 0.0), 1.0)

    def dot_and_tick(self, error: float, bound: float) -> tuple[float, float]:
        """The dot is left of the tick exactly when error <= bound: never for nan."""
        tick = self.at(bound)
        return (min(self.at(error), tick - GAP) if error <= bound else max(self.at(error), tick + GAP)), tick

    def labels(self) -> list[int]:
        step = math.ceil((self.high - self.low) / (LABELS - 1))
        return list(range(self.low, self.high + 1, step))


def mark(verdict: Verdict) -> str:
    """The shape of a verdict, 16 by 16 pixels, for a line of text."""
    return f'<svg class="mark {CLASSES[verdict]}" viewBox="-8 -8 16 16" aria-hidden="true">{SHAPES[verdict]}</svg>'


def drawn(report: Report) -> list[CheckResult]:
    """The checks that have both an error and a bound."""
    return [result for result in report.results if result.worst_error is not None and result.bound is not None]


def chart(report: Report) -> str:
    """An SVG element for an HTML page, or "" where there is nothing to draw."""
    results = drawn(report)
    if not results:
        return ""
    axis, y, rows = Axis.of(results), TOP, []
    for level, title in LEVELS.items():
        of_level = [result for result in results if result.level == level]
        if of_level:
            rows.append(f'<text class="level" x="0" y="{y + 20}">{level} {escape(title)}</text>')
            y += GROUP
        for result in of_level:
            rows.append(_row(result, axis, y))
            y += ROW
    label = f"{len(results)} checks: worst error against its bound, on a log axis. The table below has the numbers."
    return "\n".join(
        [
            f'<svg class="chart" width="100%" height="{y + 4}" role="img" aria-label="{label}">',
            *(_decade(axis, decade, y) for decade in axis.labels()),
            *rows,
            "</svg>",
        ]
    )


def _short(name: str) -> str:
    name = wording.name(name)
    return name if len(name) <= LETTERS else name[: LETTERS - 3] + "..."


def _decade(axis: Axis, decade: int, height: int) -> str:
    x = f"{axis.at(10.0**decade):.2f}%"
    text = f'<text class="decade" x="{x}" y="12">1e{decade:+03d}</text>'
    return f'{text}<line class="grid" x1="{x}" x2="{x}" y1="{TOP - 4}" y2="{height}"/>'


def _row(result: CheckResult, axis: Axis, y: int) -> str:
    error, bound = result.worst_error, result.bound
    assert error is not None
    assert bound is not None
    dot, tick = (f"{x:.2f}%" for x in axis.dot_and_tick(error, bound))
    verdict, lane = CLASSES[result.verdict], y + LANE
    numbers = f"{wording.number(error)} of {wording.number(bound)}"
    return "".join(
        [
            f'<g class="row {verdict}"><title>{escape(wording.name(result.name))}: {escape(str(result.verdict))}, ',
            f"{escape(wording.measured(result))}</title>",
            f'<text class="name" x="0" y="{y + 12}">{escape(_short(result.name))}</text>',
            f'<text class="numbers" x="100%" y="{y + 12}">{escape(numbers)}</text>',
            f'<rect class="lane" x="0" width="100%" y="{lane - 4}" height="8" rx="4"/>',
            f'<rect class="allowed" x="0" width="{tick}" y="{lane - 4}" height="8"/>',
            f'<line class="tick" x1="{tick}" x2="{tick}" y1="{lane - 8}" y2="{lane + 8}"/>',
            f'<svg class="dot {verdict}" x="{dot}" y="{lane}">{SHAPES[result.verdict]}</svg></g>',
        ]
    )

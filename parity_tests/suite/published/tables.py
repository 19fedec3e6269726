"""Scores as text of 80 columns, and as Markdown.

A suite that rejects a right LSTM gets no figure: "useless" stands in its row, and under the table what it said.
"""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parity_tests.suite.published.wrong_lstms import ORDER, OTHER, REST

if TYPE_CHECKING:
    from parity_tests.suite.score import ScoreTable

WIDTH, TITLE = 80, 41


def figure(score: "ScoreTable", group: str) -> str:
    """`18 of 23`, or `useless`."""
    return "{} of {}".format(*score.counts(group)) if score.accepts_right else "useless"


def table(*scores: "ScoreTable") -> str:
    """How many wrong LSTMs each suite catches, of the three groups; below, which of the first two each
    suite lets through."""
    row = f"{{:<{TITLE}}} {{:>12}} {{:>12}} {{:>12}}"
    lines = [row.format("caught by", "gate orders", "one layer", "rest of bank"), "-" * WIDTH]
    for score in scores:
        first, *further = textwrap.wrap(score.title, TITLE)
        lines += [row.format(first, *(figure(score, group) for group in (ORDER, OTHER, REST))), *further]
    for score in scores:
        lines += ["", *textwrap.wrap(_sentence(score), WIDTH, break_on_hyphens=False)]
    return "\n".join(lines) + "\n"


def _sentence(score: "ScoreTable") -> str:
    if not score.accepts_right:
        return f"{score.title}: useless, it rejects a right LSTM ({score.rejected})."
    orders, others = score.missed(ORDER), score.missed(OTHER)
    everyone = [f"all {len(orders)} wrong gate orders"] if len(orders) > 3 and not score.counts(ORDER)[0] else []
    named = others if everyone else [*orders, *others]
    missed = everyone + [_missed(s.name, s.caught, s.runs) for s in named]
    said = (
        f"{score.title} lets through {', '.join(missed)}." if missed else f"{score.title} lets none of these through."
    )
    return said + (f" Not asked: {'; '.join(score.left_out)}." if score.left_out else "")


def _missed(name: str, caught: int, runs: int) -> str:
    return name if runs == 1 else f"{name} ({runs - caught} of {runs} draws)"


def markdown(*scores: "ScoreTable") -> str:
    """The same rows as a Markdown table, with tolerance and reason."""
    lines = ["| suite | tolerance | wrong gate orders | other wrong LSTMs | rest of the bank | why |", f"|{'---|' * 6}"]
    for score in scores:
        why = score.note if score.accepts_right else f"rejects a right LSTM: {score.rejected}"
        figures = [figure(score, group) for group in (ORDER, OTHER, REST)]
        lines.append(f"| {' | '.join([score.title, score.tolerance, *figures, why])} |")
    return "\n".join(lines) + "\n"


def matrix(scores: Sequence["ScoreTable"], heads: Sequence[str], group: str) -> str:
    """One row an LSTM of the group, one column a suite. A cell: caught, passes, or in how many draws it passes."""
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for row in zip(*([s for s in score.scores if s.group == group] for score in scores)):
        cells = ["caught" if s.caught == s.runs else _passes(s.caught, s.runs) for s in row]
        lines.append(f"| {row[0].name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _passes(caught: int, runs: int) -> str:
    return "**passes**" if not caught else f"**passes** {runs - caught} of {runs}"

"""The mutants of a module: all that cosmic-ray makes, but for those of which a test could say nothing.

What is left out, and why leaving it out does not flatter the score:

- in an annotation, and the bare `*` of a parameter list: nothing is computed there. Most would die at import.
- in a kernel, a bit operation put for an arithmetic one: a TypeError on the first float, so whatever runs the line
  kills it. These would be two in five of a kernel's mutants. Where it computes sizes, other arithmetic is put still.
- `@jit` taken away: the tests run with compilation off, where it returns the function as it is.
"""

import ast
import re
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkResult

from parity_tests.mutation.score import Change, listed, recalled

Position = tuple[int, int]  # line from 1, column from 0

_ARITHMETIC_TO_BITS = re.compile(
    r"core/Replace(Binary|Unary)Operator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow|USub)_"
    r"(RShift|LShift|BitOr|BitAnd|BitXor|Invert)"
)


def make_mutants(session: WorkDB, module: Path) -> None:
    """Fills an empty session; what is left out stands in it as skipped, with the reason as its output."""
    init([module], session, {})
    lines, annotations = module.read_text().splitlines(), _annotations(module.read_text())
    for item in session.work_items:
        (mutation,) = item.mutations
        if reason := _why_not(mutation, lines, annotations):
            session.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED, output=reason))


def recall(session: WorkDB, module: Path, page: str) -> None:
    """Takes from a page about the very same sources what became of the mutants that were not left out."""
    source, changes = module.read_text(), {}
    for item in session.pending_work_items:
        (mutation,) = item.mutations
        operator = get_operator(mutation.operator_name)(**mutation.operator_args)
        changes[item.job_id] = change(mutation, source, mutate_code(source, operator, mutation.occurrence))
    for job_id, survived in recalled(changes, listed(page, str(module))).items():
        outcome = TestOutcome.SURVIVED if survived else TestOutcome.KILLED
        session.set_result(job_id, WorkResult(WorkerOutcome.NORMAL, "by score.md", outcome, changes[job_id][1]))


def change(mutation: MutationSpec, source: str, mutated: str) -> Change:
    before, after, row = source.splitlines(), mutated.splitlines(), mutation.start_pos[0]
    return before[row - 1].strip(), after[row - 1].strip() if len(after) == len(before) else ""


def _why_not(mutation: MutationSpec, lines: list[str], annotations: list[tuple[Position, Position]]) -> str:
    """The rule that leaves it out, or ""."""
    row, column = mutation.start_pos
    rest_of_line = lines[row - 1][column:]
    if any(start <= mutation.start_pos < end for start, end in annotations) or rest_of_line.startswith("*,"):
        return "in annotations"
    if mutation.module_path.parent.name == "kernels" and _ARITHMETIC_TO_BITS.fullmatch(mutation.operator_name):
        return "bit operations on floats"
    if mutation.operator_name == "core/RemoveDecorator" and rest_of_line.startswith("@jit"):
        return "`@jit` taken away"
    return ""


def _annotations(source: str) -> list[tuple[Position, Position]]:
    """Where each begins and ends."""
    nodes = (getattr(node, field, None) for node in ast.walk(ast.parse(source)) for field in ("annotation", "returns"))
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in nodes
        if isinstance(node, ast.expr)
    ]

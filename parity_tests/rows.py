"""Where each row of the specification is proved: `python -m parity_tests.rows` writes ROWS.md beside this file.

The specification is the two original notebooks, row by row (seed_rows.py). A test claims rows by
`@pytest.mark.row("C16", "BC5")`; a few rows are prose, and the README answers them.
"""

import ast
from pathlib import Path

from parity_tests.seed_rows import ROWS

HERE = Path(__file__).parent
PAGE = HERE / "ROWS.md"

IN_THE_README = {
    "C2": "How it works",
    "C45": "Choosing sizes",
    "W59": "Sources",
    "BW31": "Choosing sizes",
}


def proofs() -> dict[str, list[str]]:
    """Row -> the tests that claim it, as file::test, found in the sources."""
    found: dict[str, list[str]] = {}
    for file in sorted(HERE.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for row in _claimed(node):
                    found.setdefault(row, []).append(f"{file.relative_to(HERE).as_posix()}::{node.name}")
    return found


def _claimed(test: ast.FunctionDef) -> list[str]:
    calls = [d for d in test.decorator_list if isinstance(d, ast.Call) and ast.unparse(d.func) == "pytest.mark.row"]
    return [argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)]


def page() -> str:
    lines = [
        "# Where each row of the specification is proved",
        "",
        "Written by `python -m parity_tests.rows`. C rows are what the original character notebook does or promises, W",
        "rows the word notebook; BC and BW rows are their bugs and traps, each with the decision that the tests hold.",
        "",
        "| row | what | proved by |",
        "|---|---|---|",
    ]
    found = proofs()
    for row, what in ROWS.items():
        places = [f"`{name}`" for name in found.get(row, [])]
        if row in IN_THE_README:
            places.append(f"README, {IN_THE_README[row]!r}")
        lines.append(f"| {row} | {what} | {'<br>'.join(places)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

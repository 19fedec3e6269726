"""The shape of the house: what may import what, what lies at the top, and code that the linters accept."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("lstm_ref", "lstm_torch", "parity_tests", "benchmarks")
needs_checkout = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="installed without the checkout")
pytestmark = needs_checkout


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (ROOT / folder).rglob("*.py")


def imported_modules(file: Path) -> set[str]:
    """Every module that a file names in an import statement, wherever it stands."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def violations(folder: str, *forbidden: str) -> list[str]:
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sources(folder)
        for name in imported_modules(file)
        if any(name == module or name.startswith(f"{module}.") for module in forbidden)
    ]


def test_the_reference_imports_neither_torch_nor_the_rooms_above_it():
    assert violations("lstm_ref", "torch", "lstm_torch", "parity_tests", "benchmarks") == []


def test_the_torch_twin_sees_the_core_only():
    assert violations("lstm_torch", "lstm_ref.kernels", "lstm_ref.model", "lstm_ref.plain_model", "lstm_ref.cli") == []


def test_the_core_imports_no_kernels_and_no_model():
    above = ("lstm_ref.kernels", "lstm_ref.model", "lstm_ref.plain_model", "lstm_ref.cli", "torch", "lstm_torch")
    assert violations("lstm_ref/core", *above) == []


def test_a_forbidden_import_would_be_seen(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text("def f():\n    from lstm_ref.kernels.cell import gates_forward\n", encoding="utf-8")
    assert imported_modules(file) == {"lstm_ref.kernels.cell"}


@pytest.mark.parametrize(
    "command",
    [
        ["lint-imports"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ],
    ids=lambda command: command[0] + (" " + command[1] if len(command) > 1 else ""),
)
def test_the_linters_accept_the_code(command):
    tool = Path(sys.executable).parent / command[0]
    result = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_top_level_holds_what_the_design_allows_and_nothing_else():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    allowed = {*PACKAGES, "pyproject.toml", "README.md", "Makefile", "LICENSE", "CHANGELOG.md"}
    assert {name for name in top if not name.startswith(".")} <= allowed


@pytest.mark.row("BC18")
def test_no_pickle_and_no_torch_load_in_what_ships():
    for file in sources("lstm_ref", "lstm_torch"):
        text = file.read_text(encoding="utf-8")
        assert "pickle" not in imported_modules(file), file
        assert "torch.load(" not in text, file
        assert "allow_pickle" not in text, file


def test_fastmath_flags_and_parallel_loops_are_named_in_one_place_only():
    for file in sources("lstm_ref"):
        text = file.read_text(encoding="utf-8")
        if file.name != "jit.py":
            assert "njit(" not in text, file
            assert "fastmath" not in text, file
        assert "parallel=True" not in text, file

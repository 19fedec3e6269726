"""The committed mutation score: its numbers add up, and every survivor has a reason that names a line as it is."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from parity_tests.mutation import score
from parity_tests.mutation.reasons import Reason, Survivor, load_reasons
from parity_tests.mutation.score import ROW, Score, digests, listed, markdown, outdated, percent, recalled, unexplained
from parity_tests.mutation.targets import TARGETS, Target

ROOT = Path(__file__).parent.parent
REASONS = load_reasons()


@pytest.fixture(scope="module")
def page() -> str:
    return score.FILE.read_text(encoding="utf-8")


def skip_where_it_is_of_older_sources(page: str, target: Target) -> None:
    """A skip and no failure: a score takes an hour, and is made anew before a release."""
    if digests(page).get(target.module) != target.digest(ROOT):
        pytest.skip("score.md is of an older state of this module or its tests; `make mutation` makes it anew")


def test_every_numeric_module_is_a_target():
    kernels = {f"lstm_ref/kernels/{file.name}" for file in (ROOT / "lstm_ref/kernels").glob("[!_]*.py")}
    names = ("atomic", "batching", "checkpoint", "draws", "generation", "masks", "sealed", "stream")
    core = {f"lstm_ref/core/{name}.py" for name in names}
    assert {target.module for target in TARGETS} == kernels | core


def test_the_numbers_of_the_score_add_up(page):
    rows = ROW.findall(page)
    assert {module for module, *_ in rows} <= {target.module for target in TARGETS}
    for module, *numbers, share, _ in rows:
        mutants, killed, survived = map(int, numbers)
        assert mutants == killed + survived > 0, module
        assert share == percent(killed, mutants), module
        assert survived == listed(page, module).total(), module
    mutants, killed = (sum(int(row[column]) for row in rows) for column in (1, 2))
    assert f"{killed} of {mutants} mutants are killed: {percent(killed, mutants)} %." in page
    assert killed >= 0.95 * mutants


def test_every_survivor_has_a_reason_and_every_reason_a_survivor(page):
    in_score = {(target.module, *entry) for target in TARGETS for entry in listed(page, target.module)}
    with_reason = [(reason.module, reason.line, mutant) for reason in REASONS for mutant in reason.mutants]
    assert in_score == set(with_reason)
    assert all(f"\n{reason.why}\n" in page for reason in REASONS)


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: f"{Path(reason.module).stem}: {reason.line}")
def test_a_reason_names_a_line_that_is_there(reason, page):
    (target,) = (target for target in TARGETS if target.module == reason.module)
    skip_where_it_is_of_older_sources(page, target)
    source = (ROOT / reason.module).read_text(encoding="utf-8")
    definitions = {"": source.splitlines()}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            lines = definitions[""][node.lineno - 1 : node.end_lineno]
            definitions[node.name] = definitions.get(node.name, []) + lines
    for where in reason.where:
        assert reason.line in map(str.strip, definitions[where])
    assert reason.line not in reason.mutants


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.module)
def test_the_score_is_of_the_sources_as_they_are(target, page):
    skip_where_it_is_of_older_sources(page, target)


def test_a_survivor_without_a_reason_and_a_reason_without_a_survivor_are_both_found():
    known, unknown = (Survivor("m.py", "f", "a < b", mutant) for mutant in ("a <= b", "a > b"))
    reason = Reason(module="m.py", where=("f",), line="a < b", mutants=("a <= b", "a != b"), why="They never meet.")
    scores = [Score("m.py", "0", 18, (known, unknown), Counter())]
    assert unexplained(scores, [reason]) == [unknown]
    assert outdated(scores, [reason]) == [Survivor("m.py", "f", "a < b", "a != b")]
    assert outdated([], [reason]) == []  # not asked about this module


def test_the_page_lists_equal_mutants_once_with_their_number():
    survivor = Survivor("m.py", "", "a + b", "a - b")
    reason = Reason(module="m.py", where=("",), line="a + b", mutants=("a - b",), why="b is 0.")
    page = markdown([Score("m.py", "0", 18, (survivor, survivor), Counter({"jit": 3}))], [reason])
    assert "18 of 20 mutants are killed: 90.0 %." in page
    assert listed(page, "m.py") == {("a + b", "a - b"): 2}


def test_what_a_page_says_of_the_same_sources_is_recalled_where_it_says_it_of_all():
    changes = {"1": ("a", "b"), "2": ("a", "b"), "3": ("a", "c"), "4": ("d", "e"), "5": ("d", "e")}
    survivors = Counter({("a", "b"): 2, ("d", "e"): 1})
    assert recalled(changes, survivors) == {"1": True, "2": True, "3": False}


def test_a_target_has_another_digest_when_its_module_or_a_test_changes(tmp_path):
    target = Target(module="m.py", tests=("t.py",))
    found = set()
    for module, tests in (("a", "b"), ("a", "c"), ("d", "b")):
        (tmp_path / "m.py").write_text(module)
        (tmp_path / "t.py").write_text(tests)
        found.add(target.digest(tmp_path))
    assert len(found) == 3

"""`lstm verify`: is this LSTM right, and if not, which line is wrong?"""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lstm_ref.core.errors import ConformanceError, UsageError

if TYPE_CHECKING:
    from parity_tests.suite.adapter import Adapter, Capabilities
    from parity_tests.suite.checks import Check
    from parity_tests.suite.report import Report


def verify(
    target: str | None = None,
    *,
    pipe: str | None = None,
    write_cases: Path | None = None,
    answers: Path | None = None,
    claim: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    checks: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    examples: int = 20,
    seed: int | None = None,
    expected_failures: Path | None = None,
    report: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = (),
    timeout: float = 30.0,
    score_suite: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Is this LSTM right, and if not, which line is wrong?

    Parameters
    ----------
    target
        MODULE:OBJECT or FILE.py:OBJECT: a function forward(params, x, h0, c0), an object with methods, a
        torch.nn.LSTM. It runs in a process of its own.
    pipe
        A command that answers questions on its standard input: a program in any language.
    write_cases
        Writes questions as files into this folder, for --answers later.
    answers
        Judges the answer files in this folder.
    claim
        What the implementation can do, where it cannot say so itself: layers=2 directions=2 operations=forward.
    checks
        Only these checks or levels: L0, gradients.
    examples
        Questions a check, in each dtype.
    seed
        Asks other questions than the usual ones: the same for the same seed.
    expected_failures
        A file of lines `check: reason`. A check on it that passes is a failure.
    report
        Files to write the report to: .html, .md, .json, .xml (JUnit), .txt.
    timeout
        Seconds that one answer may take.
    score_suite
        Instead: how many wrong LSTMs a test suite catches. onnx, webnn, keras, flashrnn, random, or FILE.py:OBJECT.
    as_json
        The report as one JSON object.
    """
    ways = [way for way in (target, pipe, write_cases, answers, score_suite) if way is not None]
    if len(ways) != 1:
        raise UsageError(
            f"{len(ways)} ways in: expected one of TARGET, --pipe, --write-cases, --answers, --score-suite"
        )
    _formats(report)
    if score_suite is not None:
        _score(score_suite)
    elif write_cases is not None:
        _write(write_cases, _claims(claim), checks, examples)
    else:
        with_claims = _claims(claim) if claim or answers is not None else None
        adapter = _adapter(target, pipe, answers, with_claims, timeout)
        _report(_run(adapter, checks, examples, seed, expected_failures, as_json), report, as_json)


def _formats(paths: tuple[Path, ...]) -> None:
    """Said before the work, not after it."""
    if paths:
        from parity_tests.suite.reports import format_of

        for path in paths:
            format_of(path)


def _claims(pairs: tuple[str, ...]) -> "Capabilities":
    from parity_tests.suite.adapter import Capabilities

    values: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--claim {pair}: expected NAME=VALUE")
        if name in ("operations", "dtypes"):
            values[name] = tuple(text.split(","))
        else:
            values[name] = json.loads(text) if text in ("true", "false") or text.isdigit() else text
    return Capabilities.from_dict(values)


def _adapter(
    target: str | None, pipe: str | None, answers: Path | None, claims: "Capabilities | None", timeout: float
) -> "Adapter":
    from parity_tests.suite.files import FilesAdapter
    from parity_tests.suite.pipe import PipeAdapter
    from parity_tests.suite.wire import AdapterError

    if answers is not None:
        assert claims is not None
        return FilesAdapter(answers, claims)
    if pipe is not None:
        command, name = shlex.split(pipe), ""
    else:
        assert target is not None
        command, name = [sys.executable, "-m", "parity_tests.suite.serve", target], target
    try:
        adapter = PipeAdapter(command, name=name, timeout_s=timeout)
    except AdapterError as error:
        usage = f"exit status {UsageError.exit_code}: "  # of our own server, which cannot load the target
        if target is not None and str(error).startswith(usage):
            raise UsageError(str(error).removeprefix(usage)) from None
        raise UsageError(f"{target or pipe} says nothing of what it can do: {error}") from None
    if claims is not None:
        adapter.capabilities = claims
    return adapter


def _run(
    adapter: "Adapter",
    names: tuple[str, ...],
    examples: int,
    seed: int | None,
    expected_failures: Path | None,
    quiet: bool,
) -> "Report":
    import dataclasses

    from rich.console import Console
    from rich.progress import Progress

    from parity_tests.suite.diagnose import Diagnostician
    from parity_tests.suite.files import FilesAdapter
    from parity_tests.suite.mutants.bank import BANK
    from parity_tests.suite.record import written_questions
    from parity_tests.suite.verify import verify as run

    chosen = _select(names)
    written = written_questions(adapter) if isinstance(adapter, FilesAdapter) else None
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("checking", total=len(chosen))
        found = run(
            adapter,
            checks=chosen,
            examples=examples,
            expected_failures=read_expected_failures(expected_failures),
            written=written,
            seed=seed,
            on_result=lambda result: bar.advance(task),
        )
        if not found.ok:
            bar.update(task, description="diagnosing")
            lines = tuple(str(candidate) for candidate in Diagnostician(BANK).diagnose(adapter))
            found = dataclasses.replace(found, diagnosis=lines)
    return found


def read_expected_failures(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    pairs = [line.partition(":") for line in lines if line.strip() and not line.startswith("#")]
    if bad := [name for name, colon, reason in pairs if not (colon and reason.strip())]:
        raise UsageError(f"{path}: {bad[0]!r} has no reason; expected `check: reason`")
    return {name.strip(): reason.strip() for name, _, reason in pairs}


def _report(found: "Report", paths: tuple[Path, ...], as_json: bool) -> None:
    from parity_tests.suite.reports import write_report
    from parity_tests.suite.reports.terminal import print_report

    for path in paths:
        write_report(found, path)
    if as_json:
        print(found.to_json(), end="")
    else:
        print_report(found)
    if found.level == "none" and found.ok:
        raise ConformanceError(f"{found.adapter}: nothing was tested; see what it claims, and --checks")
    if not found.ok:
        raise ConformanceError(f"{found.adapter} is not conformant: {', '.join(r.name for r in found.wrong)}")


def _write(folder: Path, claims: "Capabilities", names: tuple[str, ...], examples: int) -> None:
    from parity_tests.suite.record import write_questions

    count = write_questions(folder, claims, _select(names), examples)
    print(f"{count} questions in {folder}; put each answer beside its question: 0001.answer")


def _select(names: tuple[str, ...]) -> "list[Check]":
    from parity_tests.suite.verify import select

    if not (chosen := select(names)):
        raise UsageError(f"--checks {' '.join(names)}: no check or level of that name")
    return chosen


def _score(name: str) -> None:
    from parity_tests.suite.score import score_command, table

    print(table(score_command(name)))

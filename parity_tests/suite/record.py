"""The questions that the checks would ask, written down: for implementations that read files.

The judge answers in the implementation's place. Two files besides the cases: index.json finds a case by its digest,
checks.json has the questions of each check. Where one answer decides what is asked next, the question after it is not
there, and the check is skipped with that reason.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from lstm_ref.core.errors import UsageError
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.checks import Check
from parity_tests.suite.files import FilesAdapter, write_cases
from parity_tests.suite.judging import Judgement
from parity_tests.suite.question import Answer, Question
from parity_tests.suite.referee import Referee
from parity_tests.suite.verify import run_check
from parity_tests.suite.wire import read_question
from parity_tests.suite.witness import Witness

CHECKS_FILE = "checks.json"


class Recorder:
    """An implementation that is right, and remembers what it was asked."""

    name = "recorder"

    def __init__(self, capabilities: Capabilities):
        self.capabilities, self.questions = capabilities, list[Question]()

    def answer(self, question: Question) -> Answer:
        self.questions.append(question.astype(question.dtype))
        answer = Referee().answer(question)
        return {n: a.astype(question.dtype) if a.dtype.kind == "f" else a for n, a in answer.items()}


def write_questions(folder: Path, claims: Capabilities, checks: Iterable[Check], examples: int) -> int:
    """Returns how many cases were written. Raises UsageError if the folder holds cases already."""
    recorder, judged = Recorder(claims), dict[str, list[str]]()
    for check in checks:
        digests = judged.setdefault(check.name, [])

        def judge(
            witness: Witness, question: Question, check: Check = check, digests: list[str] = digests
        ) -> list[Judgement]:
            judgements = check.judge(witness, question)
            digests.append(question.digest)
            return judgements

        run_check(Check(**{**check.__dict__, "judge": judge}), recorder, examples)
    count = write_cases(folder, recorder.questions)
    (folder / CHECKS_FILE).write_text(json.dumps(judged, indent=1) + "\n", encoding="utf-8")
    return count


def written_questions(adapter: FilesAdapter) -> dict[str, list[Question]]:
    """check -> its questions, from the folder of the adapter."""
    path = adapter.folder / CHECKS_FILE
    try:
        judged = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}; --write-cases makes such a folder") from None
    return {name: [_read(adapter, digest) for digest in digests] for name, digests in judged.items()}


def _read(adapter: FilesAdapter, digest: str) -> Question:
    with adapter.path_of(digest).open("rb") as file:
        question = read_question(file)
    if question is None or question.digest != digest:
        raise UsageError(f"{adapter.path_of(digest)} is not the question that was written: write the cases again")
    return question

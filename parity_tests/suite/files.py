"""Questions and answers as files: for whatever can read a file, on any machine.

    lstm verify --write-cases DIR            writes 0001.question, 0002.question, ... and index.json
    ./my_lstm < 0001.question > 0001.answer  once for each, in whatever way
    lstm verify --answers DIR                replays the answers

A file holds one message of the wire format, so a program that a pipe can ask needs no change. index.json maps the
digest of a question to its number: an answer is found by what was asked, not by the order of asking.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from lstm_ref.core.errors import UsageError
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Answer, Question
from parity_tests.suite.wire import AdapterError, one_line, read_answer, write_question

INDEX = "index.json"


class NotWritten(AdapterError):
    """A question that is none of the folder's."""


class MissingAnswer(AdapterError):
    """A question of the folder that nobody has answered."""


def write_cases(folder: Path, questions: Iterable[Question]) -> int:
    """Writes each question once, however often it comes, and the index last. Returns how many were written.

    Raises UsageError if the folder holds cases already: beside new questions, old answers would be wrong ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if old := next(iter([*folder.glob("*.question"), *folder.glob("*.answer"), *folder.glob(INDEX)]), None):
        raise UsageError(f"{folder} holds cases already ({old.name}): take an empty folder")
    numbers: dict[str, int] = {}
    for question in questions:
        digest = question.digest
        if digest in numbers:
            continue
        numbers[digest] = len(numbers) + 1
        with open(folder / f"{_stem(numbers[digest])}.question", "wb") as file:
            write_question(file, question)
    (folder / INDEX).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return len(numbers)


class FilesAdapter:
    """An `Adapter` that replays NNNN.answer. Raises UsageError if the folder has no sound index."""

    def __init__(self, folder: Path, capabilities: Capabilities, name: str = ""):
        self.folder, self.capabilities = folder, capabilities
        self.name = name or folder.resolve().name
        index = folder / INDEX
        try:
            numbers = json.loads(index.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"cannot read {index}: {error}; --write-cases makes such a folder") from None
        if not isinstance(numbers, dict) or not all(type(number) is int for number in numbers.values()):
            raise UsageError(f"{index} is no index of cases: expected digests and numbers")
        self.numbers: dict[str, int] = numbers

    def path_of(self, digest: str) -> Path:
        """The file of a question. Raises NotWritten."""
        if digest not in self.numbers:
            raise NotWritten(f"no question with the digest {digest[:12]}... is in {self.folder}")
        return self.folder / f"{_stem(self.numbers[digest])}.question"

    def answer(self, question: Question) -> Answer:
        """Raises NotWritten, MissingAnswer, or AdapterError: the answer is an error, or none at all."""
        number = self.numbers.get(question.digest)
        if number is None:
            raise NotWritten(f"this {question.op} question is not among the {len(self.numbers)} of {self.folder}")
        path = self.folder / f"{_stem(number)}.answer"
        try:
            with open(path, "rb") as file:
                answer, rest = read_answer(file), len(file.read())
        except FileNotFoundError:
            raise MissingAnswer(f"{path.name} is missing in {self.folder}") from None
        except OSError as error:
            raise AdapterError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise AdapterError(f"{path.name}: {one_line(str(error))}") from None
        if rest:
            raise AdapterError(f"{path.name}: {rest} bytes after the answer")
        return answer


def _stem(number: int) -> str:
    return f"{number:04d}"

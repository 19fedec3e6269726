"""The questions that the checks would ask, written down: for implementations that read files.

The judge answers in the implementation's place. A check whose next question depends on an answer asks other questions
later; it is then skipped with that reason.
"""

from collections.abc import Iterable

from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Answer, Question
from parity_tests.suite.referee import Referee
from parity_tests.suite.verify import run_check, select


class Recorder:
    """An implementation that is right, and remembers what it was asked."""

    name = "recorder"

    def __init__(self, capabilities: Capabilities):
        self.capabilities, self.questions = capabilities, list[Question]()

    def answer(self, question: Question) -> Answer:
        self.questions.append(question.astype(question.dtype))
        answer = Referee().answer(question)
        return {n: a.astype(question.dtype) if a.dtype.kind == "f" else a for n, a in answer.items()}


def questions_for(claims: Capabilities, names: Iterable[str], examples: int) -> list[Question]:
    """In the order of asking; some twice."""
    recorder = Recorder(claims)
    for check in select(names):
        run_check(check, recorder, examples)
    return recorder.questions

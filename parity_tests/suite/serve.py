"""A Python object as a program that speaks the wire format: `python -m parity_tests.suite.serve MODULE:OBJECT`.

This is how somebody's code runs apart from the suite, so that it may crash, hang, print and set what it likes. The
messages go through copies of the original descriptors; to the object, standard input is empty and standard output is
standard error. An exception becomes an error message, and so does an input that the object has changed. Nothing else
is checked here.
"""

import os
import sys
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from lstm_ref.core.errors import UsageError
from parity_tests.suite.adapter import Adapter, as_adapter, load_object
from parity_tests.suite.question import Question
from parity_tests.suite.wire import (
    ASK_CAPABILITIES,
    one_line,
    read_question,
    write_answer,
    write_capabilities,
    write_error,
)


def serve(adapter: Adapter, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answers until `incoming` ends. Raises ValueError where a question is none: the sender is at fault."""
    while (question := read_question(incoming)) is not None:
        if question.op == ASK_CAPABILITIES.op:
            write_capabilities(outgoing, adapter.capabilities)
        else:
            answer_one(adapter, question, outgoing)


def answer_one(adapter: Adapter, question: Question, outgoing: BinaryIO) -> None:
    before = {name: (array, _bits(array)) for name, array in question.arrays.items()}
    digest = question.digest
    try:
        given = adapter.answer(question)
        if not isinstance(given, Mapping):
            raise TypeError(f"answered with a {type(given).__name__}, expected a dict of arrays")
        answer = {str(name): np.asarray(array) for name, array in given.items()}
        changed = [name for name, (array, bits) in before.items() if _bits(array) != bits]
        if changed:
            write_error(outgoing, f"changed its input {', '.join(changed)}")
        elif question.digest != digest:
            write_error(outgoing, "changed its input: other arrays or settings are in the question now")
        else:
            write_answer(outgoing, answer)
    except BrokenPipeError:
        raise
    except Exception as error:
        write_error(outgoing, f"{type(error).__name__}: {error}")


def _bits(array: np.ndarray) -> tuple[object, ...]:
    return array.dtype, array.shape, array.tobytes()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m parity_tests.suite.serve MODULE:OBJECT", file=sys.stderr)
        return 2
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        adapter = as_adapter(load_object(arguments[0]))
    except UsageError as error:
        print(one_line(str(error)), file=sys.stderr)
        return error.exit_code
    try:
        serve(adapter, incoming, outgoing)
        outgoing.close()
    except BrokenPipeError:  # nobody listens any more
        os._exit(1)  # an ordinary end would flush into the broken pipe once more
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

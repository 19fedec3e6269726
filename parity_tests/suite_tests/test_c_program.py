"""The example in C, compiled as its first lines say, answers as an LSTM of a few lines does."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parity_tests.suite
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.files import FilesAdapter, write_cases
from parity_tests.suite.pipe import PipeAdapter
from parity_tests.suite.question import Question
from parity_tests.suite.wire import AdapterError
from parity_tests.suite_tests import few_lines
from parity_tests.suite_tests.few_lines import assert_agrees, layer_questions

SOURCE = Path(parity_tests.suite.__file__).parent / "examples" / "lstm.c"
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here: there is no cc on the path")

# In units of eps. It computes in double, so its float32 answers are off by the last rounding alone, half a unit of
# their own size. Worst seen in double: 2.1 forward and 8.3 backward for all adapters (test_adapters.py).
UNITS = {("forward", "float64"): 8, ("backward", "float64"): 32, ("forward", "float32"): 1, ("backward", "float32"): 1}
ONE_LAYER = Capabilities(operations=("forward", "backward"), dtypes=("float64", "float32"))
FEW = settings(max_examples=max(5, settings.default.max_examples // 2))


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("c") / "lstm_c"
    subprocess.run(["cc", "-O2", "-std=c11", "-o", str(path), str(SOURCE), "-lm"], check=True, timeout=120)
    return path


@pytest.fixture(scope="module")
def adapter(program) -> Iterator[PipeAdapter]:
    with PipeAdapter([str(program)], timeout_s=60) as adapter:
        yield adapter


def test_it_compiles_without_a_warning_in_under_100_lines(tmp_path):
    assert len(SOURCE.read_text().splitlines()) < 100
    command = ["cc", "-O2", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-o", str(tmp_path / "lstm_c")]
    done = subprocess.run([*command, str(SOURCE), "-lm"], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert " ".join(["cc", "-O2", "-std=c11", "-o", "lstm_c", "lstm.c", "-lm"]) in SOURCE.read_text()


def test_it_claims_what_it_answers(adapter):
    assert adapter.capabilities == ONE_LAYER


@pytest.mark.parametrize(("op", "dtype"), UNITS)
@FEW
@given(data=st.data())
def test_it_answers_as_a_few_lines_do(adapter, op, dtype, data):
    question = data.draw(layer_questions(op, ONE_LAYER, dtype))
    expected = getattr(few_lines, op)(question.astype(np.float64).arrays)
    assert_agrees(adapter.answer(question), expected, dtype, UNITS[op, dtype])


@pytest.mark.parametrize("size", [1, 70])
def test_sizes_of_one_and_sizes_that_fill_a_pipe_are_answered(adapter, size):
    """The weights alone are 157 kB at 70, more than a pipe holds; every number is the same, as few_lines is slow."""
    ones = {
        name: np.full(shape, 0.01)
        for name, shape in {"x": (1, 1, size), "h0": (1, 1, size), "c0": (1, 1, size)}.items()
    }
    ones |= {f"weight_{name}_l0": np.full((4 * size, size), 0.01) for name in ("ih", "hh")}
    ones |= {f"bias_{name}_l0": np.full(4 * size, 0.01) for name in ("ih", "hh")}
    assert_agrees(adapter.answer(Question("forward", ones)), few_lines.forward(ones), "float64", 8)


@pytest.mark.parametrize("question", [Question("sample", {"logits": np.ones(3)}), Question("train", {})])
def test_an_operation_that_it_does_not_have_is_an_error_message(adapter, question):
    with pytest.raises(AdapterError, match=r"^forward and backward only$"):
        adapter.answer(question)


def test_a_question_with_an_array_missing_ends_it_with_the_reason(adapter):
    with pytest.raises(AdapterError, match=r"^exit status 1: lstm_c: an array is missing$"):
        adapter.answer(Question("forward", {"x": np.ones((1, 1, 1)), "h0": np.ones((1, 1, 1))}))


@settings(max_examples=3)
@given(questions=st.lists(layer_questions("backward", ONE_LAYER, "float64"), min_size=1, max_size=3))
def test_the_same_program_answers_files(program, adapter, questions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    write_cases(folder, questions)
    for path in folder.glob("*.question"):
        with open(path, "rb") as incoming, open(path.with_suffix(".answer"), "wb") as outgoing:
            subprocess.run([program], stdin=incoming, stdout=outgoing, check=True, timeout=60)
    files = FilesAdapter(folder, ONE_LAYER)
    for question in questions:
        by_pipe = adapter.answer(question)
        for name, array in files.answer(question).items():
            assert array.tobytes() == by_pipe[name].tobytes()

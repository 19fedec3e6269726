"""Cases as files: written once, found by what was asked, and never an answer to another question."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.errors import UsageError
from parity_tests.suite import wire
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.files import FilesAdapter, MissingAnswer, NotWritten, write_cases
from parity_tests.suite.question import Question

CLAIMS = Capabilities(operations=("clip",))


def question(value: float, **settings: float) -> Question:
    return Question("clip", {"g": np.array([value, 2.0])}, {"max_norm": 1.0, **settings})


def answer_all(folder) -> None:
    """As a program would: reads each question, doubles it, and writes the answer."""
    for path in folder.glob("*.question"):
        with open(path, "rb") as incoming, open(path.with_suffix(".answer"), "wb") as outgoing:
            asked = wire.read_question(incoming)
            assert asked is not None
            assert incoming.read() == b""
            wire.write_answer(outgoing, {"g": 2 * asked.arrays["g"]})


@given(values=st.lists(st.floats(), max_size=5))
def test_every_question_gets_its_own_answer(values, tmp_path_factory):
    folder, questions = tmp_path_factory.mktemp("cases"), [question(value) for value in values]
    assert write_cases(folder, questions) == len({each.digest for each in questions})
    answer_all(folder)
    adapter = FilesAdapter(folder, CLAIMS)
    for each in reversed(questions):
        assert adapter.answer(each)["g"].tobytes() == (2 * each.arrays["g"]).tobytes()


def test_files_are_numbered_from_one_and_equal_questions_share_one(tmp_path):
    folder = tmp_path / "new" / "cases"
    assert write_cases(folder, (question(value) for value in (1.0, 2.0, 1.0, 3.0))) == 3
    names = ["0001.question", "0002.question", "0003.question", "index.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    index = json.loads((folder / "index.json").read_text())
    assert index == {question(value).digest: number for value, number in ((1.0, 1), (2.0, 2), (3.0, 3))}


@pytest.mark.parametrize("other", [question(1.5), question(1.0, more=1.0), Question("sgd", question(1.0).arrays)])
def test_a_question_that_was_not_written_has_no_answer(tmp_path, other):
    write_cases(tmp_path, [question(1.0)])
    answer_all(tmp_path)
    with pytest.raises(NotWritten, match="is not among the 1 of"):
        FilesAdapter(tmp_path, CLAIMS).answer(other)


def test_a_missing_answer_is_named(tmp_path):
    write_cases(tmp_path, [question(1.0), question(2.0)])
    answer_all(tmp_path)
    (tmp_path / "0002.answer").unlink()
    adapter = FilesAdapter(tmp_path, CLAIMS)
    assert adapter.answer(question(1.0))["g"].tolist() == [2.0, 4.0]
    with pytest.raises(MissingAnswer, match=r"^0002\.answer is missing in ") as error:
        adapter.answer(question(2.0))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"^0001\.answer: nothing arrived"),
        (b"Segmentation fault\n", r"^0001\.answer: expected a line of JSON"),
        (
            b'{"arrays": [{"name": "g", "dtype": "float64", "shape": [2]}]}\n' + bytes(9),
            r"^0001\.answer: g: 9 of 16 bytes",
        ),
        (
            b'{"arrays": [{"name": "g", "dtype": "float64", "shape": [1]}]}\n' + bytes(9),
            r"^0001\.answer: 1 bytes after",
        ),
        (b'{"error": "no such thing"}\n', r"^no such thing$"),
    ],
)
def test_a_file_that_is_no_answer_is_refused(tmp_path, content, says):
    write_cases(tmp_path, [question(1.0)])
    (tmp_path / "0001.answer").write_bytes(content)
    with pytest.raises(wire.AdapterError, match=says):
        FilesAdapter(tmp_path, CLAIMS).answer(question(1.0))


@pytest.mark.parametrize("left", ["0001.question", "0001.answer", "index.json"])
def test_cases_are_not_written_beside_older_ones(tmp_path, left):
    (tmp_path / left).write_bytes(b"")
    with pytest.raises(UsageError, match=f"holds cases already .{left}"):
        write_cases(tmp_path, [question(1.0)])
    assert [path.name for path in tmp_path.iterdir()] == [left]


@pytest.mark.parametrize("content", [None, "", "[1]", '{"digest": "1"}', "{"])
def test_a_folder_without_a_sound_index_is_a_mistake_of_the_caller(tmp_path, content):
    if content is not None:
        (tmp_path / "index.json").write_text(content)
    with pytest.raises(UsageError, match=r"index\.json"):
        FilesAdapter(tmp_path, CLAIMS)

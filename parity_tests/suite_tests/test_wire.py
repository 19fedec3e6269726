"""The wire format: what is written is read back bit by bit, and what is no message is refused in one line."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity_tests.suite import wire
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import OPERATIONS, Question

DTYPES = st.sampled_from([np.float64, np.float32, np.int64, np.bool_])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
ARRAYS = st.dictionaries(st.text(min_size=1, max_size=8), DTYPES.flatmap(lambda d: hnp.arrays(d, SHAPES)), max_size=4)
JSON = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
SETTINGS = st.dictionaries(st.text(max_size=5), JSON | st.lists(JSON, max_size=3), max_size=3)
QUESTIONS = st.builds(Question, st.sampled_from(OPERATIONS), ARRAYS, SETTINGS)


def written(question: Question) -> bytes:
    stream = io.BytesIO()
    wire.write_question(stream, question)
    return stream.getvalue()


def answer_bytes(header: object, data: bytes = b"") -> io.BytesIO:
    return io.BytesIO(json.dumps(header).encode() + b"\n" + data)


def entry(**changes: object) -> dict[str, object]:
    return {"name": "y", "dtype": "float64", "shape": [2, 3]} | changes


@given(question=QUESTIONS)
def test_a_question_comes_back_bit_by_bit(question):
    stream = io.BytesIO(written(question))
    back = wire.read_question(stream)
    assert back is not None
    assert back.digest == question.digest
    assert [*back.arrays] == [*question.arrays]
    assert all(array.flags.writeable and array.flags.c_contiguous for array in back.arrays.values())
    assert wire.read_question(stream) is None


@given(arrays=ARRAYS)
def test_an_answer_comes_back_bit_by_bit(arrays):
    stream = io.BytesIO()
    wire.write_answer(stream, arrays)
    stream.seek(0)
    back = wire.read_answer(stream)
    assert Question("answer", back).digest == Question("answer", arrays).digest


@given(questions=st.lists(QUESTIONS, min_size=2, max_size=3))
def test_messages_follow_each_other_without_a_gap(questions):
    stream = io.BytesIO(b"".join(map(written, questions)))
    assert [wire.read_question(stream).digest for _ in questions] == [question.digest for question in questions]


@given(question=QUESTIONS, data=st.data())
def test_a_question_cut_anywhere_is_refused(question, data):
    message = written(question)
    cut = data.draw(st.integers(1, len(message) - 1))
    with pytest.raises(wire.CutShort):
        wire.read_question(io.BytesIO(message[:cut]))


@given(arrays=ARRAYS, data=st.data())
def test_an_answer_cut_anywhere_is_refused(arrays, data):
    stream = io.BytesIO()
    wire.write_answer(stream, arrays)
    message = stream.getvalue()
    with pytest.raises(wire.CutShort):
        wire.read_answer(io.BytesIO(message[: data.draw(st.integers(0, len(message) - 1))]))


@given(garbage=st.binary(min_size=1, max_size=200))
def test_random_bytes_are_refused_in_one_line(garbage):
    for read in (wire.read_question, wire.read_answer, wire.read_capabilities):
        with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
            read(io.BytesIO(garbage))


def read_or_refusal(message: bytes) -> Question | str | None:
    try:
        return wire.read_question(io.BytesIO(message))
    except ValueError as error:
        return str(error)


@given(question=QUESTIONS, data=st.data())
def test_one_wrong_byte_in_a_header_is_refused_or_means_something_else(question, data):
    """Nothing but ValueError comes of it, and the same question only where a space became another white space."""
    message = written(question)
    damaged = bytearray(message)
    damaged[data.draw(st.integers(0, message.index(b"\n")))] ^= data.draw(st.integers(1, 255))
    got = read_or_refusal(bytes(damaged))
    if isinstance(got, str):
        assert "\n" not in got
    else:
        assert got is not None
        same_header = json.loads(damaged.split(b"\n")[0]) == json.loads(message.split(b"\n")[0])
        assert same_header or got.digest != question.digest


def test_the_bytes_are_those_of_the_format():
    question = Question("forward", {"x": np.array([[1.5, -2.0]]), "mask": np.array([True, False])}, {"tied": True})
    expected = (
        b'{"op": "forward", "settings": {"tied": true}, "arrays": [{"name": "x", "dtype": "float64", "shape": [1, 2]}, '
        b'{"name": "mask", "dtype": "bool", "shape": [2]}]}\n'
        b"\x00\x00\x00\x00\x00\x00\xf8\x3f\x00\x00\x00\x00\x00\x00\x00\xc0\x01\x00"
    )
    assert written(question) == expected


def test_any_memory_layout_and_byte_order_travels_as_little_endian_rows():
    array = np.arange(6.0).reshape(2, 3)
    stored = [array, np.asfortranarray(array), array.astype(">f8"), np.repeat(array, 2, axis=1)[:, ::2]]
    assert len({written(Question("clip", {"g": each})) for each in stored}) == 1


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ([1, 2], "expected a JSON object"),
        ({"arrays": {}}, "expected arrays"),
        ({"op": "forward", "arrays": []}, "expected arrays"),
        ({"arrays": [], "more": 1}, "expected arrays"),
        ({"error": 3}, "expected arrays"),
        ({"arrays": ["y"]}, "expected name, dtype and shape"),
        ({"arrays": [entry(order="F")]}, "expected name, dtype and shape"),
        ({"arrays": [entry(name="")]}, "expected name, dtype and shape"),
        ({"arrays": [entry(name=7)]}, "expected name, dtype and shape"),
        ({"arrays": [entry(dtype="float16")]}, "'float16', expected one of float64"),
        ({"arrays": [entry(dtype="<f8")]}, "'<f8', expected one of float64"),
        ({"arrays": [entry(shape=[2, -3])]}, "expected whole numbers"),
        ({"arrays": [entry(shape=[2, 3.0])]}, "expected whole numbers"),
        ({"arrays": [entry(shape=[True])]}, "expected whole numbers"),
        ({"arrays": [entry(shape=[1 << 40])]}, "more than 1 GiB"),
        ({"arrays": [entry(shape=[0, 10**30])]}, "more than 1 GiB"),
        ({"arrays": [entry(shape=[1 << 14, 1 << 14])]}, "more than 1 GiB"),
        ({"arrays": [entry(name=str(k), shape=[1 << 26]) for k in range(3)]}, "more than 1 GiB"),
        ({"arrays": [entry(shape=[1] * 33)]}, "33 dimensions"),
        ({"arrays": [entry(), entry()]}, "comes twice"),
    ],
)
def test_a_header_that_cannot_be_is_refused_with_the_reason(header, says):
    with pytest.raises(ValueError, match=says) as refusal:
        wire.read_answer(answer_bytes(header, bytes(200)))
    assert not isinstance(refusal.value, wire.CutShort)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"loss 0.25\n", "expected a line of JSON"),
        (b"\n", "expected a line of JSON"),
        (b'{"arrays": [NaN]}\n', "NaN is not JSON"),
        (b'{"arrays": \xff}\n', "not UTF-8"),
        (b'{"error": "\\ud800"}\n', "not UTF-8"),
        (b"[" * 100_000 + b"\n", "expected a line of JSON"),
        (b" " * (1 << 20), "no line break in the first 1048576 bytes"),
        (b'{"arrays": [{"name": "m", "dtype": "bool", "shape": [2]}]}\n\x01\x02', "m is bool and holds a byte 2"),
    ],
)
def test_a_line_that_is_no_header_is_quoted(line, says):
    with pytest.raises(ValueError, match=says) as refusal:
        wire.read_answer(io.BytesIO(line))
    assert len(str(refusal.value)) < 300


def test_an_error_message_is_raised_and_stays_one_line():
    stream = io.BytesIO()
    wire.write_error(stream, "ValueError: first\n  second\x07" + 1000 * "x")
    stream.seek(0)
    with pytest.raises(wire.AdapterError, match=r"ValueError: first second\?x+\.\.\.$") as error:
        wire.read_answer(stream)
    assert len(str(error.value)) == 300


def test_capabilities_come_back():
    claims = Capabilities(operations=("forward", "loss"), layers=3, peepholes=True, note="a chip")
    stream = io.BytesIO()
    wire.write_capabilities(stream, claims)
    stream.seek(0)
    assert wire.read_capabilities(stream) == claims


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"operations": "forward"}, "operations is 'forward', expected one like"),
        ({"operations": ["forwards"]}, "unknown operations"),
        ({"dtypes": ["bfloat16"]}, "unknown dtypes"),
        ({"layers": "two"}, "layers is 'two'"),
        ({"layers": True}, "layers is True"),
        ({"lengths": 1}, "lengths is 1"),
        ({"speed": 3}, "unknown capabilities"),
    ],
)
def test_capabilities_that_cannot_be_are_refused(claims, says):
    with pytest.raises(ValueError, match=says):
        wire.read_capabilities(answer_bytes({"capabilities": claims}))


@pytest.mark.parametrize(
    "array", [np.zeros(2, np.int32), np.zeros(2, np.float16), np.array(["a"]), np.zeros(2, complex)]
)
def test_what_the_wire_has_no_form_for_is_not_written(array):
    stream = io.BytesIO()
    with pytest.raises(ValueError, match="the wire has float64, float32, int64, bool"):
        wire.write_answer(stream, {"y": array})
    assert stream.getvalue() == b""


@pytest.mark.parametrize("value", [float("nan"), np.float64(1) + 1j, {1, 2}])
def test_a_setting_that_is_not_json_is_not_written(value):
    with pytest.raises(ValueError, match="JSON"):
        written(Question("clip", {}, {"max_norm": value}))

r"""The wire format: the same bytes through a pipe and in a file.

A message is one line of JSON and then the bytes of its arrays, in the order of the line, C order, little-endian:

    {"op": "forward", "settings": {}, "arrays": [{"name": "x", "dtype": "float64", "shape": [2, 3, 4]}]}\n  192 bytes
    {"arrays": [{"name": "y", "dtype": "float64", "shape": [2, 3, 5]}]}\n  240 bytes
    {"error": "one line"}\n
    {"capabilities": {"operations": ["forward"]}}\n

The first is a question, the others are answers; the last answers the op `capabilities`, which has no arrays. What is
written here keeps this order of keys and these spaces, so a C program gets by with `sscanf`; what is read may be any
JSON. dtypes: float64, float32, int64, and bool in one byte, 0 or 1.

Every reader takes a stream like a file's, and raises ValueError, in one line that says what arrived, for whatever is
no message: so a program's debug print is named as such, and nobody's typo asks for a terabyte.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, Protocol

import numpy as np

from lstm_ref.core.errors import ConformanceError, UsageError
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Answer, Question

DTYPES = {"float64": "<f8", "float32": "<f4", "int64": "<i8", "bool": "|b1"}
MAX_BYTES = 1 << 30  # of all arrays of a message
MAX_LINE = 1 << 20
MAX_DIMENSIONS = 32
SHOWN = 60  # bytes of garbage that an error quotes
ASK_CAPABILITIES = Question("capabilities", {})


class Source(Protocol):
    """What is read from: any buffered binary stream. Less than was asked for comes at its end only."""

    def readline(self, limit: int, /) -> bytes: ...

    def read(self, size: int, /) -> bytes: ...


class AdapterError(ConformanceError):
    """An implementation gave no answer: it said so, hung, crashed, or wrote what is none."""


class CutShort(ValueError):
    """The stream ended before the message did."""


# ---- writing ----------------------------------------------------------------------------------------------------


def write_question(stream: BinaryIO, question: Question) -> None:
    """Raises ValueError for an array or a setting that the wire has no form for."""
    _write(stream, {"op": question.op, "settings": dict(question.settings)}, question.arrays)


def write_answer(stream: BinaryIO, answer: Answer) -> None:
    """As write_question."""
    _write(stream, {}, answer)


def write_error(stream: BinaryIO, message: str) -> None:
    _write_line(stream, {"error": one_line(message)})


def write_capabilities(stream: BinaryIO, capabilities: Capabilities) -> None:
    _write_line(stream, {"capabilities": capabilities.to_dict()})


def one_line(text: str) -> str:
    """Printable, without line breaks, at most 300 characters."""
    line = "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))
    return line if len(line) <= 300 else f"{line[:297]}..."


def _write(stream: BinaryIO, header: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{name} is {array.dtype}: the wire has {', '.join(DTYPES)}")
    entries = [{"name": n, "dtype": a.dtype.name, "shape": list(a.shape)} for n, a in arrays.items()]
    _checked(entries)  # what could not be read is not written
    _write_line(stream, {**header, "arrays": entries})
    for array in arrays.values():
        stream.write(array.astype(DTYPES[array.dtype.name], copy=False).tobytes())
    stream.flush()


def _write_line(stream: BinaryIO, header: dict[str, Any]) -> None:
    try:
        line = json.dumps(header, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"a setting is no JSON value: {error}") from None
    stream.write(line.encode() + b"\n")
    stream.flush()


# ---- reading ----------------------------------------------------------------------------------------------------


def read_question(stream: Source) -> Question | None:
    """The next question, arrays writable; None where the stream ends between two."""
    header = _read_line(stream)
    if header is None:
        return None
    match header:
        case {"op": str(op), "settings": dict(settings), "arrays": list(entries)} if len(header) == 3:
            return Question(op, _read_arrays(stream, entries), settings)
    raise ValueError(f"expected op, settings and arrays in the header of a question, got {_quote(header)}")


def read_answer(stream: Source) -> Answer:
    """The next answer. Raises AdapterError where it is an error, CutShort where there is none."""
    header = _read_answer_line(stream)
    match header:
        case {"arrays": list(entries)} if len(header) == 1:
            return _read_arrays(stream, entries)
    raise ValueError(f"expected arrays in the header of an answer, got {_quote(header)}")


def read_capabilities(stream: Source) -> Capabilities:
    """As read_answer, for the answer to ASK_CAPABILITIES."""
    header = _read_answer_line(stream)
    match header:
        case {"capabilities": dict(values)} if len(header) == 1:
            return _capabilities(values)
    raise ValueError(f'expected {{"capabilities": ...}}, got {_quote(header)}')


def _capabilities(values: dict[str, Any]) -> Capabilities:
    for name, default in Capabilities().to_dict().items():
        value = values.get(name, default)
        if isinstance(default, tuple):
            fits = isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
        else:
            fits = type(value) is type(default)  # true is no number of layers
        if not fits:
            raise ValueError(f"capability {name} is {_quote(value)}, expected one like {_quote(default)}")
    try:
        return Capabilities.from_dict(values)
    except UsageError as error:
        raise ValueError(f"capabilities: {error}") from None


def _read_answer_line(stream: Source) -> dict[str, Any]:
    header = _read_line(stream)
    if header is None:
        raise CutShort("nothing arrived, expected an answer")
    match header:
        case {"error": str(message)} if len(header) == 1:
            raise AdapterError(one_line(message) or "an error without a word")
    return header


def _read_line(stream: Source) -> dict[str, Any] | None:
    line = stream.readline(MAX_LINE)
    if not line:
        return None
    if not line.endswith(b"\n"):
        if len(line) < MAX_LINE:
            raise CutShort(f"the header ends after {len(line)} bytes without a line break: {_quote(line)}")
        raise ValueError(f"no line break in the first {MAX_LINE} bytes of a header: {_quote(line)}")
    try:
        header = json.loads(line.decode(), parse_constant=_refuse)
        json.dumps(header, ensure_ascii=False).encode()  # half a surrogate pair, as an escape, has no UTF-8
    except (ValueError, RecursionError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeError) else error
        raise ValueError(f"expected a line of JSON, got {_quote(line)}: {reason}") from None
    if not isinstance(header, dict):
        raise ValueError(f"expected a JSON object as header, got {_quote(line)}")
    return header


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _read_arrays(stream: Source, entries: list[Any]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, (dtype, shape) in _checked(entries).items():
        size = math.prod(shape) * np.dtype(dtype).itemsize
        data = stream.read(size)
        if len(data) < size:
            raise CutShort(f"{name}: {len(data)} of {size} bytes arrived")
        if dtype == "bool" and size and (largest := max(data)) > 1:
            raise ValueError(f"{name} is bool and holds a byte {largest}, expected 0 or 1")
        array = np.frombuffer(bytearray(data), DTYPES[dtype])  # of a bytearray: writable
        arrays[name] = array.astype(dtype, copy=False).reshape(shape)
    return arrays


def _checked(entries: list[Any]) -> dict[str, tuple[str, list[int]]]:
    """name -> dtype, shape. Nothing is allocated before all are found sound."""
    checked: dict[str, tuple[str, list[int]]] = {}
    total = 0
    for entry in entries:
        match entry:
            case {"name": str(name), "dtype": str(dtype), "shape": list(shape)} if len(entry) == 3 and name:
                pass
            case _:
                raise ValueError(f"expected name, dtype and shape of an array, got {_quote(entry)}")
        if name in checked:
            raise ValueError(f"{_quote(name)} comes twice")
        if dtype not in DTYPES:
            raise ValueError(f"{name} has dtype {_quote(dtype)}, expected one of {', '.join(DTYPES)}")
        if not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"{name} has shape {_quote(shape)}, expected whole numbers from 0 up")
        if len(shape) > MAX_DIMENSIONS:
            raise ValueError(f"{name} has {len(shape)} dimensions, expected at most {MAX_DIMENSIONS}")
        total += math.prod(shape) * np.dtype(dtype).itemsize
        if max(shape, default=0) > MAX_BYTES or total > MAX_BYTES:
            raise ValueError(f"{name} has shape {_quote(shape)}: more than 1 GiB in one message")
        checked[name] = dtype, shape
    return checked


def _quote(thing: Any) -> str:
    text = repr(thing)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

"""A file that is damaged, cut off, or something else is refused, whatever byte of it it is. Checkpoints stand for all
kinds of sealed files."""

import io
import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from lstm_ref.core.checkpoint import SEAL, Checkpoint
from lstm_ref.core.errors import DataError
from lstm_ref.core.sealed import Seal
from lstm_ref.core.vocab import Vocabulary
from parity_tests.core.checkpoints import SMALLEST, make, refusal


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a.safetensors"


@pytest.fixture(scope="module")
def small_file(tmp_path_factory) -> bytes:
    """A whole file of some kilobytes, to be damaged in every place."""
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    make(SMALLEST, Vocabulary.build("abc")).save(path)
    return path.read_bytes()


def test_equal_checkpoints_have_one_canonical_header_and_sum(path):
    """Their dictionaries may have been filled in any order."""
    metadata = []
    for versions in ({"numpy": "2.1", "python": "3.11"}, {"python": "3.11", "numpy": "2.1"}):
        replace(make(), versions=versions).save(path)
        with safe_open(path, framework="numpy") as file:
            metadata.append(file.metadata())
    assert metadata[0] == metadata[1]
    header = metadata[0][SEAL.key]
    assert header == json.dumps(json.loads(header), sort_keys=True, separators=(",", ":"))


@pytest.mark.row("BC17")
def test_a_file_cut_off_at_any_byte_is_refused(path, small_file):
    path.write_bytes(small_file)
    for length in reversed(range(len(small_file))):
        os.truncate(path, length)
        refusal(path)


@pytest.mark.row("BC17")
@pytest.mark.parametrize("flip", [lambda i: 1 << i % 8, lambda i: 0xFF], ids=["one bit", "all bits"])
def test_a_file_with_any_byte_changed_is_refused(path, small_file, flip):
    damaged = bytearray(small_file)
    for i in range(len(small_file)):
        damaged[i] ^= flip(i)
        path.write_bytes(damaged)
        damaged[i] ^= flip(i)
        refusal(path)
    assert damaged == small_file
    path.write_bytes(damaged)
    assert Checkpoint.load(path).config == SMALLEST


@pytest.mark.row("BC17")
@given(junk=st.binary(max_size=200), keep=st.integers(0, 200))
def test_a_file_of_anything_else_is_refused(tmp_path_factory, small_file, junk, keep):
    path = tmp_path_factory.mktemp("junk") / "junk.safetensors"
    path.write_bytes(small_file[:keep] + junk)
    refusal(path)
    path.write_bytes(small_file + b"\0" + junk)
    refusal(path)


class Payload:
    """What a hostile pickle holds: unpickling it makes a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.target), "w")


@pytest.mark.row("BC18")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("zipped", [False, True], ids=["bare", "in a zip as of torch.save"])
def test_a_pickle_is_refused_and_its_code_never_runs(path, protocol, zipped):
    target = path.with_name("the-payload-ran")
    content = pickle.dumps({"n_hidden": 512, "state_dict": Payload(target)}, protocol)
    if zipped:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("rnn_1_epoch/data.pkl", content)
        content = buffer.getvalue()
    path.write_bytes(content)
    message = refusal(path)
    assert not target.exists()
    if zipped or protocol >= 2:  # older protocols begin like any text
        assert message.endswith("is a pickle, as of torch.save; it is not opened, because it could run code")


@pytest.mark.parametrize("value", [None, ""])
def test_the_shortest_pickle_is_known_as_one(path, value):
    path.write_bytes(pickle.dumps(value, 2))
    assert "is a pickle" in refusal(path)


def test_a_damaged_checkpoint_is_not_taken_for_a_pickle_because_of_its_headers_length(path):
    """Written first and little-endian, this one begins as a pickle does: 0x80."""
    for padding in range(2**16, 2**16 + 2**8, 8):
        replace(make(SMALLEST, Vocabulary.build("abc")), versions={"padding": "x" * padding}).save(path)
        content = path.read_bytes()
        if content[0] == 0x80:
            break
    assert (content[0], content[3:8]) == (0x80, bytes(5))
    path.write_bytes(content[:-1])
    assert "is no whole safetensors file" in refusal(path)


@pytest.mark.row("BC18")
@pytest.mark.parametrize("content", [b"", b"\0", b"{}", b"\x93NUMPY", b"GIF89a", b"\x7fELF", b"\x1f\x8b\x08"])
def test_files_of_other_formats_are_refused(path, content):
    path.write_bytes(content)
    assert "is no whole safetensors file" in refusal(path)
    with path.open("wb") as file:
        np.save(file, np.ones((3, 2)))
    assert "is no whole safetensors file" in refusal(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_another_programs_safetensors_file_is_refused(path, metadata):
    save_file({"model.decoder.bias": np.ones(3, np.float32)}, path, metadata)
    assert refusal(path).endswith("is no checkpoint: no 'lstm-parity' in its metadata; is it another program's?")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_another_programs_file_is_refused_even_where_numpy_has_no_such_dtype(path, dtype):
    """Most published weights are bfloat16."""
    width = 2 if dtype == "BF16" else 1
    header = json.dumps({"weight": {"dtype": dtype, "shape": [3], "data_offsets": [0, 3 * width]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(3 * width))
    refusal(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert refusal(tmp_path / "nowhere.safetensors").endswith("nowhere.safetensors: No such file or directory")
    assert refusal(tmp_path).endswith(": Is a directory")


def test_a_checkpoint_loads_whatever_the_length_of_its_header(path):
    """The file begins with that length. Written in other bytes it may look like the start of another format."""
    first_bytes = set()
    for padding in range(0, 256, 8):
        saved = replace(make(SMALLEST, Vocabulary.build("abc")), versions={"padding": "x" * padding})
        saved.save(path)
        first_bytes.add(path.read_bytes()[0])
        assert Checkpoint.load(path).versions == saved.versions
    assert first_bytes == set(range(0, 256, 8))


def test_what_a_kind_of_file_is_cannot_be_changed_and_is_said_by_name():
    with pytest.raises(AttributeError):
        SEAL.key = "other"
    assert not hasattr(SEAL, "__dict__")
    with pytest.raises(TypeError):
        Seal("a kind", "key", DataError, "write it again", "write one")

"""Arrays by name in .npz and .safetensors files. Nothing is ever unpickled: NumPy refuses unless told otherwise."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from lstm_ref.core.atomic import write_atomically
from lstm_ref.core.errors import CheckpointError, UsageError
from lstm_ref.core.layouts.ours import Arrays

SUFFIXES = (".npz", ".safetensors")


def suffix_of(path: Path) -> str:
    """Raises UsageError for a suffix that names neither form."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} has to end in {' or '.join(SUFFIXES)}: that says what the file is")
    return path.suffix


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """In the order of the file. Raises CheckpointError for a file that is missing, damaged, or holds Python objects."""
    suffix = suffix_of(path)
    try:
        content = path.read_bytes()
        return from_safetensors(content) if suffix == ".safetensors" else _read_npz(content)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no whole safetensors file: {_line(error)}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} has arrays of a dtype that is not NumPy's: {_line(error)}") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is no whole .npz file of plain arrays: {_line(error)}") from None


def _read_npz(content: bytes) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise ValueError("it is no zip file")
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    if foreign := [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]:
        raise ValueError(f"{foreign[0]} is no array")
    return arrays


def write_arrays(path: Path, arrays: Arrays, *, overwrite: bool = False) -> None:
    """The whole file or nothing; equal arrays give equal files.

    Raises UsageError if the file exists and `overwrite` is off, CheckpointError if it cannot be written.
    """
    suffix = suffix_of(path)
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: take another name, or --overwrite")
    if suffix == ".safetensors":
        content = to_safetensors({name: np.require(value, requirements="C") for name, value in arrays.items()})
    else:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            for name, value in arrays.items():
                with file.open(f"{name}.npy", "w") as member:  # np.savez takes no arrays named file
                    np.lib.format.write_array(member, value)
        content = buffer.getvalue()
    try:
        write_atomically(path, content)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")

"""A safetensors file of arrays with one canonical JSON in its metadata, and one SHA-256 over both: the format itself
has no checksum, and a flipped bit in a weight would load without a word. Nothing is ever unpickled.

Checkpoints and datasets are such files, told apart by the name of their JSON.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from lstm_ref.core.atomic import write_atomically
from lstm_ref.core.errors import LstmError

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One kind of file. kind: what messages call it; key: of its JSON; error: what is raised; and the advice for a
    file that is not whole, and for one that is something else."""

    kind: str
    key: str
    error: type[LstmError]
    if_damaged: str
    if_foreign: str

    def write(self, path: Path, header: Mapping[str, object], tensors: Tensors) -> None:
        """Atomic. tensors: contiguous. Raises OSError where the disk does not take it."""
        text = json.dumps(header, sort_keys=True, separators=(",", ":"))
        write_atomically(path, to_safetensors(tensors, {self.key: text, "sha256": digest(text, tensors)}))

    def read(self, path: Path) -> tuple[str, Tensors]:
        """The JSON, as text, and the arrays."""
        metadata, tensors = self._read(path)
        text = metadata[self.key]
        if metadata.get("sha256") != digest(text, tensors):
            raise self.error(f"{path} is damaged: its content does not match its SHA-256; {self.if_damaged}")
        return text, tensors

    def _read(self, path: Path) -> tuple[Mapping[str, str], Tensors]:
        try:
            with path.open("rb") as file:
                start = file.read(8)
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if self.key not in metadata:  # looked at first: the tensors may be of dtypes that NumPy has not
                    raise self.error(f"{path} is no {self.kind}: no {self.key!r} in its metadata; {self.if_foreign}")
                return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except OSError as error:
            raise self.error(f"cannot read {self.kind} {path}: {error.strerror or error}") from None
        except (TypeError, AttributeError) as error:
            raise self.error(f"{path} has tensors of a dtype that is not NumPy's: {error}") from None
        except SafetensorError as error:
            # Not before: a safetensors file starts with its header's length, of which one in 32 starts with 0x80 too.
            if (start[:2] == b"PK" or start[:1] == b"\x80") and any(start[3:]):
                raise self.error(
                    f"{path} is a pickle, as of torch.save; it is not opened, because it could run code"
                ) from None
            raise self.error(f"{path} is no whole safetensors file: {error}; {self.if_damaged}") from None


def digest(text: str, tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the JSON, and of name, dtype, shape and bytes of every array."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"\0{name}\0{value.dtype.str}\0{value.shape}\0".encode())
        found.update(value.reshape(-1).view(np.uint8).data)
    return found.hexdigest()

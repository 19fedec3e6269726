"""Files that appear whole or not at all: written beside their place, flushed to disk, renamed, and the folder flushed
too."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Other processes see the old file or the new one, and so does a machine that loses power. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

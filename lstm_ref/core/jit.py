"""How every kernel is compiled: flags and cache folder, named here and nowhere else.

`fastmath=True` is forbidden: it lets LLVM assume that no NaN exists, and turns tanh(NaN) into 1.0. `contract` only
allows a*b+c as one fused operation, is as fast on these kernels, and keeps NaN. No kernel uses `prange`: a second
thread pool beside BLAS's own costs more than it gives (measured: 3.7 s a step instead of 1.2 s). Every kernel is a
plain `def` first and runs the same under NUMBA_DISABLE_JIT=1.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import platformdirs

FASTMATH = {"contract"}


def _cache_folder() -> Path | None:
    """A folder of its own for this state of the sources, or None where nothing can be written.

    Numba does not notice that a function imported from another file has changed; a folder named by the hash of all
    sources that hold kernels does.
    """
    package = Path(__file__).parent.parent
    sources = sorted([*package.glob("kernels/*.py"), *package.glob("core/draws.py"), Path(__file__)])
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("lstm-parity")) / "numba" / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        warnings.warn(f"kernels are compiled anew in every process: {error}; set NUMBA_CACHE_DIR", stacklevel=2)
        return None
    return folder if os.access(folder, os.W_OK) else None


if "NUMBA_CACHE_DIR" in os.environ:
    CACHE = True
else:
    _folder = _cache_folder()
    CACHE = _folder is not None
    if _folder is not None:
        setattr(numba.config, "CACHE_DIR", str(_folder))  # noqa: B010  mypy does not see it


def jit(kernel: Callable[..., Any]) -> Any:
    """Compiles `kernel` for the types it is called with, without the interpreter lock."""
    return numba.njit(kernel, cache=CACHE, nogil=True, fastmath=FASTMATH, error_model="numpy")


def jit_inline(function: Callable[..., Any]) -> Any:
    """For what a kernel calls once an element: pasted into the caller by Numba, before LLVM sees it.

    LLVM's own inlining comes too late for its loop vectoriser: a mask costs 2.5 ns an element that way, 0.37 this way.
    """
    return numba.njit(function, inline="always")

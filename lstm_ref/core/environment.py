"""What a number was made with: versions, processor, BLAS. For `lstm doctor`, a run's env.json and result files."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

PACKAGES = ("lstm-parity", "numpy", "numba", "safetensors", "torch", "onnxruntime", "optuna")


def versions() -> dict[str, str]:
    """Of Python and the packages that are installed; nothing is imported for it."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, object]:
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "numpy_blas": f"{blas['name']} {blas['version']}",
        "threads": {name: os.environ[name] for name in sorted(os.environ) if name.endswith("_NUM_THREADS")},
    }


def processor() -> str:
    """The model name and the vector units that matter to the kernels."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    units = [unit for unit in ("avx2", "avx512f", "amx_tile") if unit in values.get("flags", "").split()]
    return f"{values.get('model name', platform.machine())} ({', '.join(units) or 'no AVX2'})"

"""What a machine with torch, NumPy and Numba lacks for this benchmark, said in one line instead of a traceback.

Imports nothing that may be missing itself.
"""

from importlib.util import find_spec

NEEDED = ("numpy", "numba", "torch", "safetensors", "pydantic", "platformdirs")
FOLDER, SITE = "build/gpu-wheels", "build/gpu-site"
INSTALL = f"python3 -m pip install --no-index --no-deps --upgrade --target {SITE} {FOLDER}/*.whl"


def missing() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]


def advice(names: list[str]) -> str:
    return (
        f"{', '.join(names)} not installed: on a machine with a network `make gpu-wheels` fills {FOLDER}; bring that "
        f"folder here, then `{INSTALL}` and set PYTHONPATH={SITE}"
    )

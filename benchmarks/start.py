"""How long a new process takes to start: what a user waits for before anything is computed.

Cold is the process, not the disk: the files were read before. `import torch` stands beside for whoever wonders.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec

from lstm_ref.core.errors import ConformanceError

NOTHING = "python -c pass"
COMMANDS = {  # and what each has to print
    NOTHING: (("-c", "pass"), ""),
    "import lstm_ref": (("-c", "import lstm_ref; print(lstm_ref.__name__)"), "lstm_ref"),
    "lstm --help": (("-m", "lstm_ref", "--help"), "Exit codes"),
    "import torch": (("-c", "import torch; print(torch.__name__)"), "torch"),
}


def commands() -> dict[str, tuple[tuple[str, ...], str]]:
    """Those that can be run here."""
    return {name: found for name, found in COMMANDS.items() if name != "import torch" or find_spec("torch")}


def prove_start(name: str) -> None:
    """Raises ConformanceError unless the command does what it is timed for."""
    arguments, expected = commands()[name]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0 or expected not in done.stdout:
        raise ConformanceError(f"{name} ended with {done.returncode} and {done.stdout!r}, expected {expected!r}")


def turn_of(name: str) -> Callable[[], float]:
    """In an empty folder, as a user may be in: the checkout's own would be searched for modules first."""
    arguments, _ = commands()[name]

    def turn() -> float:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - begin

    return turn


def children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

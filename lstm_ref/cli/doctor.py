"""`lstm doctor`: what is installed, and whether it works."""

import json
import os
import shutil
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from lstm_ref.core import jit
from lstm_ref.core.draws import Draws, stream_number, words_plain
from lstm_ref.core.environment import environment
from lstm_ref.core.errors import LstmError
from lstm_ref.core.language_model import load_backend
from lstm_ref.core.published import CORPORA, cache_folder, data_folders


def doctor(*, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """What is installed, and whether it works: put this into a bug report.

    Parameters
    ----------
    as_json
        One JSON object instead of a table.
    """
    facts = environment() | {
        "kernel_cache": "kept" if jit.CACHE else "none: kernels are compiled anew in every process",
        "kernels": _check_kernels(),
        "backends": {point.name: _check_backend(point.name) for point in entry_points(group="lstm.backends")},
        "texts": {"pydoc": "with Python"} | {name: _find(name) for name in CORPORA},
        "free_disk_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        lines = [f"{key} {text}" for key, text in value.items()] if isinstance(value, dict) else [str(value)]
        table.add_row(name.replace("_", " "), "\n".join(lines) or "default")
    Console().print(table, highlight=False)


def _check_kernels() -> str:
    """One compiled kernel against its definition."""
    compiled, plain = Draws(1, 2).words("doctor", 1001), words_plain(1, 2, stream_number("doctor"), 1001)
    return "compile, and agree with their plain form" if np.array_equal(compiled, plain) else "WRONG: please report"


def _check_backend(name: str) -> str:
    try:
        build = load_backend(name)
    except LstmError as error:
        return str(error)
    if name != "torch":
        return "ready"
    import importlib

    torch = importlib.import_module("torch")
    devices = ["cpu"] + ([torch.cuda.get_device_name()] if torch.cuda.is_available() else [])
    return f"ready on {', '.join(devices)}, {torch.get_num_threads()} threads ({build.__module__})"


def _find(name: str) -> str:
    folder = CORPORA[name].find(data_folders())
    named = "" if os.environ.get("LSTM_DATA") else ", or set LSTM_DATA"
    return (
        str(folder / CORPORA[name].place)
        if folder
        else f"not here: lstm data get {name}{named} (cache {cache_folder()})"
    )

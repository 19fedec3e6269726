"""Processes started as torchrun starts them, on this machine's loopback address."""

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

Completed = subprocess.CompletedProcess[str]


def variables(rank: int, size: int, port: int) -> dict[str, str]:
    named = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    return {name: str(value) for name, value in named.items()} | {"MASTER_ADDR": "127.0.0.1"}


def run_ranks(
    commands: Sequence[Sequence[str]], cwd: Path, environment: Mapping[int, Mapping[str, str]] | None = None
) -> list[Completed]:
    """One process a command, all at once; environment: more variables, of single ranks. None is left behind."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_")}
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    children = [
        subprocess.Popen(
            command,
            cwd=cwd,
            env=clean | variables(rank, len(commands), port) | dict((environment or {}).get(rank, {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, command in enumerate(commands)
    ]
    try:
        return [_completed(child, children) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()


def _completed(child: subprocess.Popen[str], children: list[subprocess.Popen[str]]) -> Completed:
    """A process that SIGSTOP stopped is ended when all others have ended."""
    stops_or_ends = os.WSTOPPED | os.WEXITED | os.WNOWAIT
    if child.poll() is None and os.waitid(os.P_PID, child.pid, stops_or_ends).si_code == os.CLD_STOPPED:
        for other in children:
            if other is not child:
                other.wait(timeout=240)
        child.kill()
    out, err = child.communicate(timeout=240)
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)

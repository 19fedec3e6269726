"""A process for every contender, which takes a turn when it is told to. Only one takes a turn at a time.

In one process for all, contenders touch each other through the allocator and the caches: beside each other, a step of
NumpyLM took 2 % more CPU time than in a process of its own and a step of TorchLM 2 % less, a sampled character 3 % more
and 4 % less (medians of 15 pairs, one thread each; quartiles -0.1 to 2.1, -4.8 to -1.1, 2.4 to 6.4, -9.6 to -1.4). So
each has its own, with what its users load and nothing else. A worker answers only when its threads sleep (quiet.py).

Requests and answers are lines: first the case and the contender's name, then one empty line a turn, answered by the
seconds of a unit, the CPU seconds of the process so far, and the most memory it held since the model was built.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.cases import SampleCase, StepCase, case_from_json, case_to_json
from benchmarks.contenders import SAMPLERS, TRAINERS
from benchmarks.memory import forget_peak, peak
from benchmarks.quiet import wait_until_idle

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LEAD_IN = 10  # characters written before the clock starts: between turns the weights have left the caches


class Worker:
    """The other end: builds `name` for `case` in a process of its own, and ends it with the context.

    threads: of each of its pools; None: what they take by themselves. peak_bytes: see `benchmarks.memory.peak`."""

    def __init__(self, case: StepCase | SampleCase, name: str, threads: int | None = None):
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=Path(__file__).parent.parent,
            env=os.environ | (dict.fromkeys(POOLS, str(threads)) if threads else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the workers
        )
        self.cpu_seconds, self.peak_bytes = 0.0, None
        self._send(case_to_json(case))
        self._send(json.dumps(name))

    def turn(self) -> float:
        """Seconds of a unit: a step, a character."""
        with contextlib.suppress(BrokenPipeError):  # if it has ended, the empty answer tells
            self._send("")
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of {self._name} ended with code {self._process.wait()}; see above")
        seconds, self.cpu_seconds, self.peak_bytes = json.loads(answer)
        return seconds

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


def build_turn(case: StepCase | SampleCase, name: str) -> Callable[[], float]:
    return _training_turn(case, name) if isinstance(case, StepCase) else _sampling_turn(case, name)


def _training_turn(case: StepCase, name: str) -> Callable[[], float]:
    trainer, windows = TRAINERS[name].build(case), itertools.cycle(case.windows(4))

    def turn() -> float:
        window = next(windows)
        begin = time.perf_counter()
        trainer.step(window)
        return time.perf_counter() - begin

    return turn


def _sampling_turn(case: SampleCase, name: str) -> Callable[[], float]:
    sampler, prime = SAMPLERS[name].build(case), case.vocabulary.tokens[0]

    def turn() -> float:
        sampler.text(prime, LEAD_IN - 1, case.top_k, case.seed)
        begin = time.perf_counter()
        sampler.text(prime, case.length - 1, case.top_k, case.seed)
        return (time.perf_counter() - begin) / case.length

    return turn


def serve() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that what a library prints is no answer
    turn = build_turn(case_from_json(input()), json.loads(input()))
    forget_peak()  # the parameters came as float64
    for _ in sys.stdin:
        seconds = turn()
        wait_until_idle()
        print(json.dumps([seconds, time.process_time(), peak()]), file=answers, flush=True)


if __name__ == "__main__":
    serve()

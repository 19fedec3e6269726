"""One case: prove every contender, give each a process, warm up, time in turn."""

import contextlib
import time
from collections.abc import Callable

from benchmarks.agreement import prove_sampler, prove_trainer, step_truth
from benchmarks.cases import SampleCase, StepCase
from benchmarks.contenders import SAMPLERS, TRAINERS
from benchmarks.pairs import interleave
from benchmarks.quiet import Watch, wait_until_idle
from benchmarks.report import CaseResult
from benchmarks.worker import Worker

Progress = Callable[[str], None]

PROVED_TRAINERS = "Before: two steps of each agreed with the plain float64 model; own masks: at dropout 0."
PROVED_SAMPLERS = "Before: each wrote the plain float64 model's greedy texts, and drew from its top k only."


def run_case(case: StepCase | SampleCase, *, rounds: int, warmups: int, progress: Progress) -> CaseResult:
    """Raises ConformanceError if a contender is wrong: then nothing is timed."""
    if isinstance(case, StepCase):
        prove_trainers(case, progress)
        proved, peers = PROVED_TRAINERS, {name: entry.peer for name, entry in TRAINERS.items()}
    else:
        prove_samplers(case, progress)
        proved, peers = PROVED_SAMPLERS, {name: entry.peer for name, entry in SAMPLERS.items()}
    wait_until_idle()
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(case, name)) for name in peers}

        turns = {name: worker.turn for name, worker in workers.items()}
        # The first rounds are not kept: they compile, allocate, and choose algorithms.
        interleave(turns, warmups, lambda line: progress(f"{case.title}, warm-up, {line}"))
        watch = Watch.start(lambda: time.process_time() + sum(worker.cpu_seconds for worker in workers.values()))
        seconds = interleave(turns, rounds, lambda line: progress(f"{case.title}, {line}"))
        others = watch.others()
    return CaseResult(
        title=case.title,
        unit=case.unit,
        proved=proved,
        peers=tuple(name for name, peer in peers.items() if peer),
        seconds=seconds,
        others=others,
    )


def prove_trainers(case: StepCase, progress: Progress) -> None:
    for name, entry in TRAINERS.items():
        progress(f"{case.title}, proving: {name}")
        prove_trainer(name, entry, case)
    step_truth.cache_clear()  # it is large


def prove_samplers(case: SampleCase, progress: Progress) -> None:
    for name, entry in SAMPLERS.items():
        progress(f"{case.title}, proving: {name}")
        prove_sampler(name, entry.build(case), case)

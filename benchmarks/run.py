"""Prove every contender of every case; then, case by case, give each a process, warm up, time in turn."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.agreement import greedy_truth, prove_sampler, prove_trainer, step_truth
from benchmarks.cases import Case, SampleCase, StartCase, StepCase
from benchmarks.contenders import contenders, left_out
from benchmarks.pairs import Seconds, interleave
from benchmarks.quiet import Watch, wait_until_idle
from benchmarks.report import CaseResult
from benchmarks.start import NOTHING, children_cpu_seconds, commands, prove_start, turn_of
from benchmarks.worker import Worker
from lstm_ref.core.errors import UsageError

Progress = Callable[[str], None]

PROVED_TRAINERS = "Before: two steps of each agreed with the plain float64 model; own masks: at dropout 0."
PROVED_SAMPLERS = "Before: each wrote the plain float64 model's greedy texts, and drew from its top k only."
PROVED_START = "Before: each printed what it should."


def run_cases(cases: Sequence[Case], *, rounds: int, warmups: int, progress: Progress) -> list[CaseResult]:
    """Raises ConformanceError if a contender is wrong, in whichever case: nothing is timed then, no hour lost."""
    for case in cases:
        prove(case, progress)
    return [_run(case, rounds=rounds, warmups=warmups, progress=progress) for case in cases]


def _run(case: Case, *, rounds: int, warmups: int, progress: Progress) -> CaseResult:
    if isinstance(case, StartCase):
        return _run_start(case, rounds=rounds, warmups=warmups, progress=progress)
    entries = contenders(case)
    wait_until_idle()
    with contextlib.ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(case, name)) for name in entries}
        turns = {name: worker.turn for name, worker in workers.items()}
        seconds, others = timed(
            turns,
            lambda: time.process_time() + sum(worker.cpu_seconds for worker in workers.values()),
            rounds=rounds,
            warmups=warmups,
            progress=lambda line: progress(f"{case.title}, {line}"),
        )
        peaks = {name: worker.peak_bytes for name, worker in workers.items() if worker.peak_bytes is not None}
    return CaseResult(
        title=case.title,
        unit=case.unit,
        proved=PROVED_TRAINERS if isinstance(case, StepCase) else PROVED_SAMPLERS,
        peers=_peers(case),
        seconds=seconds,
        others=others,
        case=case,
        peaks=peaks,
        left_out=left_out(case),
    )


def timed(
    turns: Mapping[str, Callable[[], float]],
    own_cpu_seconds: Callable[[], float],
    *,
    rounds: int,
    warmups: int,
    progress: Progress,
) -> tuple[Seconds, float | None]:
    """The times, and the share of the machine that others took. The first rounds are not kept: they compile, allocate,
    and choose algorithms."""
    interleave(turns, warmups, lambda line: progress(f"warm-up, {line}"))
    watch = Watch.start(own_cpu_seconds)
    seconds = interleave(turns, rounds, progress)
    return seconds, watch.others()


def prove(case: Case, progress: Progress) -> None:
    """Every contender of the case."""
    if isinstance(case, StartCase):
        for name in commands():
            progress(f"{case.title}, proving: {name}")
            prove_start(name)
        return
    if not _peers(case):
        raise UsageError(f"{case.title}: no peer is installed to compare with: pip install 'lstm-parity[torch,onnx]'")
    for name, entry in contenders(case).items():
        progress(f"{case.title}, proving: {name}")
        if isinstance(case, StepCase):
            prove_trainer(name, entry, case)
        else:
            prove_sampler(name, entry.build(case), case)
    step_truth.cache_clear()  # it is large
    greedy_truth.cache_clear()


def _peers(case: StepCase | SampleCase) -> tuple[str, ...]:
    return tuple(name for name, entry in contenders(case).items() if entry.peer)


def _run_start(case: StartCase, *, rounds: int, warmups: int, progress: Progress) -> CaseResult:
    seconds, others = timed(
        {name: turn_of(name) for name in commands()},
        lambda: time.process_time() + children_cpu_seconds(),
        rounds=rounds,
        warmups=warmups,
        progress=lambda line: progress(f"{case.title}, {line}"),
    )
    return CaseResult(
        title=case.title, unit=case.unit, proved=PROVED_START, peers=(NOTHING,), seconds=seconds, others=others
    )

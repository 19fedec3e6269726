"""Tests one mutant after another, each in a fork of a process that has NumPy, Numba, torch and pytest already.

    python -m parity_tests.mutation.forked SESSION MODULE     # started by `make mutation`, in a copy of the checkout

Their import takes 1.5 s, the tests of nearly every mutant less than half a second. Hypothesis makes the examples of an
ordinary run, and does not shrink what fails: one failure is enough.
"""

import gc
import importlib
import math
import multiprocessing
import os
import resource
import shlex
import signal
import sys
import tempfile
from pathlib import Path

import numba
import pytest
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult
from hypothesis import Phase, settings

from parity_tests.mutation.mutants import change
from parity_tests.mutation.targets import TARGETS, Target

HEAVY = ("hypothesis.extra.numpy", "pydantic", "safetensors.numpy", "torch")
MEMORY = 6 << 30  # bytes of address space: a mutant that asks for more ends in MemoryError, and so is killed

# Plugins are named, because finding them takes longer than most tests; and those that are loaded already cannot have
# their assertions rewritten, of which pytest would warn.
OPTIONS = shlex.split(
    "-x -q -o addopts= --disable-plugin-autoload -p _hypothesis_pytestplugin -p pytest_timeout -p no:cacheprovider "
    "-W ignore::pytest.PytestAssertRewriteWarning --hypothesis-profile=mutation"
)

_fork = multiprocessing.get_context("fork")


def main(session_path: str, module: str) -> None:
    (target,) = (target for target in TARGETS if target.module == module)
    _preload()
    limit = 2 + 2 * _baseline(target)
    with use_db(session_path, WorkDB.Mode.open) as session:
        pending = [item for item in session.pending_work_items if _is_ours(item, target)]
        for n, item in enumerate(pending):
            if n % 50 == 0:  # lines and no bar: other modules are tested at the same time
                print(f"{module}: {n} of {len(pending)} mutants", file=sys.stderr, flush=True)
            session.set_result(item.job_id, _result(item, target, limit))


def _is_ours(item: WorkItem, target: Target) -> bool:
    """Whether it is tested in this process: with compilation off all are, but for what only the compiler calls, and the
    decorators that tell it so."""
    (mutation,) = item.mutations
    for_compiler = mutation.definition_name in target.compiled or mutation.operator_name == "core/RemoveDecorator"
    return (bool(target.compiled) and for_compiler) != bool(numba.config.DISABLE_JIT)


def _preload() -> None:
    """What the forks share. Nothing of this project: its modules are what changes."""
    for name in HEAVY:
        importlib.import_module(name)
    settings.register_profile(
        "mutation",
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
    )
    gc.freeze()  # pytest collects garbage at its end: it need not look at all this


def _baseline(target: Target) -> float:
    """CPU seconds that the tests take. They must pass as the sources are, and must fail without the module."""
    passed, output = _run(target, limit=600)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not passed:
        raise SystemExit(f"the tests of {target.module} fail without any mutation:\n{output}")
    sys.dont_write_bytecode = True  # from here on: bytecode of a mutant would be taken for the next one's
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    source = Path(target.module).read_text()
    Path(target.module).write_text("raise SystemError\n")
    passed, _ = _run(target, limit=600)
    Path(target.module).write_text(source)
    if passed:
        raise SystemExit(f"the tests of {target.module} pass without it: they test another copy")
    return usage.ru_utime + usage.ru_stime


def _result(item: WorkItem, target: Target, limit: float) -> WorkResult:
    (mutation,) = item.mutations
    operator = get_operator(mutation.operator_name)(**mutation.operator_args)
    with use_mutation(mutation.module_path, operator, mutation.occurrence) as (original, mutated):
        passed, output = _run(target, limit)
    return WorkResult(
        worker_outcome=WorkerOutcome.NORMAL,
        output=output,
        test_outcome=TestOutcome.SURVIVED if passed else TestOutcome.KILLED,
        diff=change(mutation, original, mutated)[1],
    )


def _run(target: Target, limit: float) -> tuple[bool, str]:
    """Whether all tests pass on the sources as they lie on disk, and the end of what pytest printed.

    limit: CPU seconds, which depend little on what else the machine does. What only waits is ended too, later."""
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        process = _fork.Process(target=_run_pytest, args=(target, limit, Path(scratch), log), daemon=True)
        process.start()
        process.join(20 * limit)
        if process.exitcode is None:
            os.killpg(process.pid, signal.SIGKILL)  # and whatever the tests have started
            process.join()
        return process.exitcode == 0, log.read_text(errors="replace")[-2000:]


def _run_pytest(target: Target, limit: float, scratch: Path, log: Path) -> None:
    os.setsid()
    with log.open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit)))
    # With compilation off nothing is cached; with it on, no mutant may find the kernels of another.
    os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = str(scratch / "numba")
    sys.exit(pytest.main([*OPTIONS, f"--basetemp={scratch / 'pytest'}", *target.tests]))


if __name__ == "__main__":
    main(*sys.argv[1:])

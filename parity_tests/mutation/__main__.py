"""`make mutation`: tests every mutant of every target, then writes score.md and says what survived without a reason.

Mutants are made in a copy of the checkout, which is gone afterwards however this ends. Results stay in build/mutation,
one cosmic-ray session for each state of a module and its tests: an interrupted run goes on where it stopped, and what
score.md says of a module in the very state that it is in is not tested again. Modules are tested side by side, one on
each core.

The tests run with compilation off: no mutant waits for its compiler, and an index beyond its array is an error.

    python -m parity_tests.mutation [MODULE ...]      # e.g. lstm_ref/kernels/cell.py; none: all
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome

from parity_tests.mutation.mutants import make_mutants, recall
from parity_tests.mutation.reasons import Survivor, load_reasons
from parity_tests.mutation.score import FILE, Score, digests, markdown, outdated, percent, unexplained
from parity_tests.mutation.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
SESSIONS = ROOT / "build" / "mutation"
# Where there is one, a folder in memory: the tests of the checkpoint wait 20 times longer for a disk.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
ONE_THREAD = {f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "OPENBLAS", "MKL")}


def session_path(target: Target, digest: str) -> Path:
    return SESSIONS / f"{Path(target.module).stem}-{digest}.sqlite"


def run(target: Target, digest: str) -> None:
    """Fills the target's session."""
    path = session_path(target, digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with use_db(path.with_suffix(".new")) as session:
            os.chdir(ROOT)
            make_mutants(session, Path(target.module))
            if digests(page := FILE.read_text(encoding="utf-8")).get(target.module) == digest:
                recall(session, Path(target.module), page)
        path.with_suffix(".new").rename(path)
    with use_db(path) as session:
        if not session.pending_work_items:
            return
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="lstm-mutation-") as folder:
        copy = Path(folder, "checkout")
        ignored = shutil.ignore_patterns(".*", "build", "runs", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for jit_is_off in (1, 0) if target.compiled else (1,):
            environ = {"PYTHONPATH": str(copy), "TMPDIR": folder, "NUMBA_DISABLE_JIT": str(jit_is_off)}
            command = [sys.executable, "-m", "parity_tests.mutation.forked", str(path), target.module]
            subprocess.run(command, cwd=copy, env=os.environ | ONE_THREAD | environ, check=True)


def score_of(target: Target, digest: str) -> Score:
    source = (ROOT / target.module).read_text().splitlines()
    outcomes, left_out, survivors = Counter(), Counter(), []
    with use_db(session_path(target, digest), WorkDB.Mode.open) as session:
        for item, result in session.completed_work_items:
            (mutation,) = item.mutations
            outcomes[result.test_outcome] += 1
            if result.worker_outcome == WorkerOutcome.SKIPPED:
                left_out[result.output] += 1
            elif result.test_outcome == TestOutcome.SURVIVED:
                line = source[mutation.start_pos[0] - 1].strip()
                survivors.append(Survivor(target.module, mutation.definition_name or "", line, result.diff))
    killed = outcomes[TestOutcome.KILLED]
    return Score(target.module, digest, killed, tuple(sorted(survivors)), left_out)


def main(modules: list[str]) -> int:
    states = {target: target.digest(ROOT) for target in TARGETS if not modules or target.module in modules}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # of processes that are waited for
        list(pool.map(lambda target: run(target, states[target]), states))
    scores, reasons = [score_of(target, digest) for target, digest in states.items()], load_reasons()
    if not modules:
        FILE.write_text(markdown(scores, reasons), encoding="utf-8")
    for score in scores:
        print(f"{score.module}: {score.killed} of {score.mutants} killed, {percent(score.killed, score.mutants)} %")
    problems = [("survives without a reason", s) for s in unexplained(scores, reasons)]
    problems += [("has a reason and does not survive", s) for s in outdated(scores, reasons)]
    for what, survivor in problems:
        print(f"{survivor.module}, {survivor.where}: {what}\n  - {survivor.line}\n  + {survivor.mutant}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The command line of `python -m benchmarks.gpu`, by argparse: cyclopts is not on a bare machine."""

import argparse
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import quality
from benchmarks.gpu.report import Report
from benchmarks.gpu.rows import LEAST_SECONDS
from benchmarks.gpu.session import Session
from lstm_ref.core.environment import environment
from lstm_ref.core.errors import ConformanceError, LstmError, UsageError

RESULTS = Path(__file__).parent.parent / "results"
DEVICES = ("cuda", "cpu")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description="Prove, then time lstm_torch beside PyTorch's own ways on one GPU; or train to a score.",
        allow_abbrev=False,
    )
    made.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(LEAST_SECONDS)} [all, in this order]")
    made.add_argument("--device", choices=DEVICES, default="cuda", help="cpu: a dry run at tiny shapes [cuda]")
    made.add_argument("--minutes", type=float, default=9.0, help="budget; rows that do not fit are named [9]")
    made.add_argument(
        "--out", type=Path, default=RESULTS, help="folder of <date>-gpu.json and .md [benchmarks/results]"
    )
    made.add_argument("--name", default="gpu", help="in place of gpu there")
    made.add_argument("--seed", type=int, help="of the inputs [the clock; it is in the result]")
    made.add_argument("--quality", choices=sorted(quality.RECIPES), help="train to a score, in place of the table")
    made.add_argument("--run", type=Path, help="run folder of --quality; an existing one goes on [build/gpu-NAME]")
    made.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of --quality's config")
    return made


def main(arguments: list[str]) -> int:
    """The exit code: 0, 2 for usage, 5 where a contender is wrong or broke, 6 where a score was not reached."""
    options = parser().parse_args(arguments)
    try:
        return _main(options, shlex.join(["python", "-m", "benchmarks.gpu", *arguments]))
    except LstmError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _main(options: argparse.Namespace, command: str) -> int:
    deadline = time.time() + 60 * options.minutes
    if unknown := [row for row in options.rows if row not in LEAST_SECONDS]:
        raise UsageError(f"unknown row {unknown[0]!r}; rows: {', '.join(LEAST_SECONDS)}")
    if not options.minutes > 0:
        raise UsageError(f"minutes={options.minutes:g}: expected more than 0")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("torch sees no CUDA device here; for a dry run take --device cpu")
    now = datetime.now(UTC).isoformat(timespec="minutes")
    facts = {"date": now, "command": command, "device": device_name(options.device)} | software()
    if options.device == "cpu":
        facts["dry run"] = "tiny shapes on a CPU, not to be quoted"
    if options.quality:
        return quality.train(
            options.quality,
            device=options.device,
            deadline=deadline,
            assignments=options.set,
            run=options.run or Path("build") / f"gpu-{options.quality}",
            out=options.out,
            facts=facts,
        )
    seed = int(time.time()) if options.seed is None else options.seed
    report = Report(facts | {"seed": seed}, options.out, f"{now[:10]}-{options.name}")
    session = Session(options.device, seed, deadline, changed=report.write, progress=show)
    findings = session.measure(options.rows or list(LEAST_SECONDS))
    print(report.to_markdown(findings))
    return ConformanceError.exit_code if findings.faults else 0


def show(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


def device_name(device: str) -> str:
    if device == "cpu":
        return "CPU"
    found = torch.cuda.get_device_properties(0)
    return f"{found.name}, {found.multi_processor_count} multiprocessors, {found.total_memory / 1e9:.0f} GB"


def software() -> dict[str, Any]:
    found = environment()
    cudnn = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    return {
        "versions": ", ".join(f"{name} {number}" for name, number in found["versions"].items()),  # type: ignore[attr-defined]
        "CUDA": f"{torch.version.cuda or 'none'}, cuDNN {cudnn or 'none'}",
        "host": f"{found['processor']}, {found['cores']} cores",
    }

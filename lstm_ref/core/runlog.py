"""The run folder: one place for all that a run leaves.

    runs/<name>/config.json      the resolved config, which `lstm train --config` takes back
                env.json         versions, processor, BLAS, command line
                metrics.jsonl    one object a log line: the record of truth
                checkpoints/     step-000000139.safetensors (the last few), best.safetensors
                samples/ plots/  for what is made of it later

A folder belongs to one process at a time, and is not written into again except to resume.
"""

import contextlib
import fcntl
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from lstm_ref.core.atomic import write_atomically
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import RunConfig
from lstm_ref.core.environment import environment
from lstm_ref.core.errors import CheckpointError, UsageError

BEST = "best.safetensors"


class RunFolder:
    """Open one with `with`: it is locked until then. Raises UsageError if it is in use, or holds another run."""

    def __init__(self, path: Path, *, resume: bool = False):
        self._lie_at(path)
        places = [*(path / name for name in ("plots", "samples", "checkpoints")), path, *path.parents]
        self._new = [place for place in places if not place.exists()]  # innermost first
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
        except OSError as error:
            raise UsageError(f"cannot use run folder {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UsageError(f"run folder {path} is in use by another process; wait for it, or take --run") from None
        if not resume and self.metrics.exists():
            self._lock.close()
            raise UsageError(f"run folder {path} holds a run already: go on with --resume {path}, or take --run")
        for name in ("checkpoints", "samples", "plots"):
            (path / name).mkdir(exist_ok=True)
        for orphan in self.checkpoints.glob(".*.tmp"):  # of a writer that was killed: the lock says it is gone
            orphan.unlink()

    def _lie_at(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.metrics = path / "metrics.jsonl"

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        if not self.metrics.exists():  # nothing was begun: leave no empty folders behind
            with contextlib.suppress(OSError):
                (self.path / ".lock").unlink()
            for place in self._new:
                with contextlib.suppress(OSError):
                    place.rmdir()
        self._lock.close()

    def describe(self, config: RunConfig) -> None:
        facts = environment() | {"command": " ".join(["lstm", *sys.argv[1:]])}
        for name, values in (("config.json", config.to_dict()), ("env.json", facts)):
            write_atomically(self.path / name, (json.dumps(values, indent=2) + "\n").encode())
        self.metrics.touch()

    def log(self, record: Mapping[str, object]) -> None:
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def read_metrics(self) -> list[dict[str, float]]:
        """A last line that a killed writer left unfinished does not count."""
        lines = self.metrics.read_text(encoding="utf-8").split("\n")[:-1] if self.metrics.exists() else []
        return [json.loads(line) for line in lines]

    def forget_after(self, step: int) -> None:
        """Drops the log lines that a resumed run will write again."""
        kept = [json.dumps(record) + "\n" for record in self.read_metrics() if record["step"] <= step]
        write_atomically(self.metrics, "".join(kept).encode())

    def save(self, checkpoint: Checkpoint, keep: int) -> Path:
        """The checkpoint of its step; only when it is safe on disk do the oldest go."""
        path = self._path_of(checkpoint)
        checkpoint.save(path)
        for old in self.steps()[:-keep]:
            old.unlink()
        return path

    def _path_of(self, checkpoint: Checkpoint) -> Path:
        return self.checkpoints / f"step-{checkpoint.progress.step:09d}.safetensors"

    def save_best(self, checkpoint: Checkpoint) -> None:
        checkpoint.save(self.checkpoints / BEST)

    def steps(self) -> list[Path]:
        """The checkpoints by step, oldest first."""
        return sorted(self.checkpoints.glob("step-*.safetensors"))

    def newest_step(self) -> int:
        """0 if there is none."""
        return int(self.steps()[-1].stem.removeprefix("step-")) if self.steps() else 0

    def latest(self, folder: Path | None = None) -> Checkpoint:
        """The newest checkpoint of this run (or of another's checkpoints folder) that is whole; a damaged one is passed
        over with a warning on stderr, and in this run's folder renamed, so that it is not kept in place of a whole one.
        Raises CheckpointError if none is left."""
        folder, problem = folder or self.checkpoints, "it holds none"
        for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
            try:
                checkpoint = Checkpoint.load(path)
            except CheckpointError as error:
                problem = str(error)
                self._pass_over(path, problem)
            else:
                return checkpoint
        raise CheckpointError(f"no checkpoint to go on with in {folder}: {problem}")

    def _pass_over(self, damaged: Path, problem: str) -> None:
        if damaged.parent == self.checkpoints:
            damaged.rename(damaged.with_suffix(".damaged"))
        print(f"warning: {problem}; looking at the one before", file=sys.stderr)


class RunFolderOfAnother(RunFolder):
    """The folder as those processes of a run see it that leave the writing to another: nothing is locked, nothing is
    changed, and what is to be saved is not."""

    def __init__(self, path: Path):
        self._lie_at(path)

    def __exit__(self, *_: object) -> None:
        pass

    def describe(self, config: RunConfig) -> None:
        pass

    def log(self, record: Mapping[str, object]) -> None:
        pass

    def forget_after(self, step: int) -> None:
        pass

    def save(self, checkpoint: Checkpoint, keep: int) -> Path:
        return self._path_of(checkpoint)

    def save_best(self, checkpoint: Checkpoint) -> None:
        pass

    def _pass_over(self, damaged: Path, problem: str) -> None:
        pass


def find_checkpoint(path: Path) -> Path:
    """A checkpoint by its file, its run folder (the best one, else the last) or its checkpoints folder."""
    if path.is_file():
        return path
    for folder in (path / "checkpoints", path):
        candidates = [folder / BEST, *sorted(folder.glob("step-*.safetensors"), reverse=True)]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
    raise CheckpointError(f"no checkpoint at {path}: expected a .safetensors file or a run folder")

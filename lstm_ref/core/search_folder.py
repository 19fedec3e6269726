"""The folder of a search: what is searched, and what came of it so far.

runs/<name>/search.json      the plan: all that it takes to go on
            trials.jsonl     one object a finished trial: the record of truth
            trial-000/       each trial's run folder
"""

import contextlib
import fcntl
import json
import os
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lstm_ref.core.atomic import write_atomically
from lstm_ref.core.config import STRICT, RunConfig, field_value
from lstm_ref.core.errors import CheckpointError, UsageError
from lstm_ref.core.search import Strategy, Trial
from lstm_ref.core.search_space import Dimension, parse_space


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Plan:
    """config: what all trials have in common; its seed is the search's too. tries: of `--try`, as written."""

    preset: str
    config: RunConfig
    tries: tuple[str, ...]
    strategy: Strategy
    trials: int
    corpus_sha256: str

    @property
    def space(self) -> dict[str, Dimension]:
        return parse_space(list(self.tries))


_PLAN = TypeAdapter(Plan)
_TRIAL = TypeAdapter(Trial)


class SearchFolder:
    """Open one with `with`: it is locked until then. plan: of a new search; None: go on with the one that is there.

    Raises UsageError if the folder is in use or holds something else, CheckpointError if what it holds is damaged."""

    def __init__(self, path: Path, plan: Plan | None = None):
        self.path = path
        self._plan_file, self._trials_file = path / "search.json", path / "trials.jsonl"
        if plan is None and not self._plan_file.is_file():
            raise CheckpointError(f"no search to go on with at {path}: expected the folder of one, with search.json")
        self._begun_here = plan is not None
        self._new = [place for place in (path, *path.parents) if not place.exists()]  # innermost first
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
        except OSError as error:
            raise UsageError(f"cannot use folder {path}: {error.strerror}") from None
        try:
            self._take(plan)
        except BaseException:
            self._lock.close()
            raise

    def _take(self, plan: Plan | None) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{self.path} is in use by another process; wait for it, or take --run") from None
        if plan is not None:
            if any(file.name != ".lock" for file in self.path.iterdir()):
                raise UsageError(f"{self.path} is not empty: go on with --resume {self.path}, or take another --run")
            self.write(plan)
        self.plan = self._read_plan()
        self.trials = self._read_trials()

    def __enter__(self) -> "SearchFolder":
        return self

    def __exit__(self, *_: object) -> None:
        begun = self.trials or any(self.path.glob("trial-*"))
        if self._begun_here and not begun:  # leave nothing behind
            for file in (self._plan_file, self.path / ".lock"):
                file.unlink()
            for place in self._new:
                with contextlib.suppress(OSError):
                    place.rmdir()
        self._lock.close()

    def write(self, plan: Plan) -> None:
        self.plan = plan
        write_atomically(self._plan_file, _PLAN.dump_json(plan, indent=2) + b"\n")

    def trial(self, number: int) -> Path:
        return self.path / f"trial-{number:03d}"

    def append(self, trial: Trial) -> None:
        """Safe on the disk when this returns."""
        self.trials.append(trial)
        with self._trials_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(trial_to_dict(trial)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read_plan(self) -> Plan:
        try:
            return _PLAN.validate_json(self._plan_file.read_bytes())
        except (OSError, ValidationError) as error:
            raise CheckpointError(f"cannot read {self._plan_file}: {_first_line(error)}; begin a new search") from None

    def _read_trials(self) -> list[Trial]:
        """A last line that a killed writer left unfinished does not count, and goes."""
        text = self._trials_file.read_text(encoding="utf-8") if self._trials_file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_atomically(self._trials_file, whole.encode())
        trials = []
        for number, line in enumerate(whole.splitlines()):
            try:
                trial = _TRIAL.validate_json(line)
            except ValidationError as error:
                raise CheckpointError(f"{self._trials_file}, line {number + 1}: {_first_line(error)}") from None
            if trial.number != number or trial.values.keys() != self.plan.space.keys():
                raise CheckpointError(f"{self._trials_file}, line {number + 1}: not trial {number} of this search")
            values = {name: field_value(name, value, line) for name, value in trial.values.items()}
            trials.append(Trial(number, values, trial.loss, trial.failure, trial.same_as))
        return trials


def trial_to_dict(trial: Trial) -> dict[str, object]:
    """Plain JSON values."""
    return _TRIAL.dump_python(trial, mode="json")


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    return str(error)

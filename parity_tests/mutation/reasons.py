"""Why a survivor survives: the entries of reasons.toml. A reason names its mutants by their text, so it goes stale with
the line that it speaks of, and not with a line added above."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("reasons.toml")


@dataclass(frozen=True, slots=True, order=True)
class Survivor:
    """One changed line. where: the function or class that it stands in, or ""; mutant: "" where it is deleted."""

    module: str
    where: str
    line: str
    mutant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One entry: mutants of one line that are the same program for every test that could be written. where: the
    definitions that the line stands in; "" is the module itself."""

    module: str
    where: tuple[str, ...]
    line: str
    mutants: tuple[str, ...]
    why: str

    def survivors(self) -> Iterator[Survivor]:
        return (Survivor(self.module, where, self.line, mutant) for where in self.where for mutant in self.mutants)


def load_reasons() -> list[Reason]:
    entries = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return [
        Reason(**entry | {"mutants": tuple(entry["mutants"]), "where": tuple(entry["where"])})
        for entry in entries["survivor"]
    ]

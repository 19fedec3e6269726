"""score.md: what the sessions say, module by module, with every survivor and its reason."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parity_tests.mutation.reasons import Reason, Survivor

FILE = Path(__file__).with_name("score.md")
ROW = re.compile(r"\| (lstm_ref/\S+) \| (\d+) \| (\d+) \| (\d+) \| ([\d.]+) % \| \d+ \| (\w+) \|")

Change = tuple[str, str]  # a line, and what it is in a mutant; without their indentation


@dataclass(frozen=True, slots=True)
class Score:
    """What became of the mutants of one module. left_out: how many by which rule (mutants.py)."""

    module: str
    digest: str
    killed: int
    survivors: tuple[Survivor, ...]
    left_out: Counter[str]

    @property
    def mutants(self) -> int:
        return self.killed + len(self.survivors)


def percent(killed: int, mutants: int) -> str:
    """Rounded down: 100.0 is all of them."""
    return f"{1000 * killed // max(mutants, 1) / 10:.1f}"


def unexplained(scores: Sequence[Score], reasons: Sequence[Reason]) -> list[Survivor]:
    explained = {survivor for reason in reasons for survivor in reason.survivors()}
    return sorted({survivor for score in scores for survivor in score.survivors} - explained)


def outdated(scores: Sequence[Score], reasons: Sequence[Reason]) -> list[Survivor]:
    """Those that have a reason, and were killed all the same, or do not exist any more."""
    modules = {score.module for score in scores}
    explained = {survivor for reason in reasons for survivor in reason.survivors() if survivor.module in modules}
    return sorted(explained - {survivor for score in scores for survivor in score.survivors})


def markdown(scores: Sequence[Score], reasons: Sequence[Reason]) -> str:
    killed, mutants = sum(score.killed for score in scores), sum(score.mutants for score in scores)
    left_out = sum((score.left_out for score in scores), Counter())
    lines = [
        "# Mutation score",
        "",
        f"{killed} of {mutants} mutants are killed: {percent(killed, mutants)} %. Made by `make mutation`.",
        "",
        "A mutant is the module with one operator, number or keyword changed by cosmic-ray. It is killed when a test",
        "of the module fails or does not end. Each survivor is listed below with the reason why no test can tell it",
        "from the original. Left out are mutants of which a test could say nothing (mutants.py says why): "
        + ", ".join(f"{rule} ({count})" for rule, count in left_out.most_common())
        + ".",
        "",
        "| module | mutants | killed | survived | score | left out | sources |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {score.module} | {score.mutants} | {score.killed} | {len(score.survivors)} "
        f"| {percent(score.killed, score.mutants)} % | {score.left_out.total()} | {score.digest} |"
        for score in scores
    ]
    for score in scores:
        lines += _survivors(score, reasons)
    return "\n".join(lines) + "\n"


def _survivors(score: Score, reasons: Sequence[Reason]) -> list[str]:
    counts = Counter((survivor.where, survivor.line, survivor.mutant) for survivor in score.survivors)
    lines = ["", f"## {score.module}"] if counts else []
    for reason in reasons:
        if reason.module == score.module:
            lines += ["", reason.why, "", "```diff", f"- {reason.line}"]
            for mutant in reason.mutants:
                count = sum(counts[where, reason.line, mutant] for where in reason.where)
                lines.append(f"+ {mutant}" + (f"    ({count} mutants)" if count > 1 else ""))
            lines.append("```")
    return lines


def digests(page: str) -> dict[str, str]:
    """Of the sources that each module's row is of."""
    return {module: digest for module, *_, digest in ROW.findall(page)}


def listed(page: str, module: str) -> Counter[Change]:
    """How many mutants of each change survive, as the module's section has them."""
    found: Counter[Change] = Counter()
    section = page.partition(f"## {module}\n")[2].partition("\n## ")[0]
    for block in re.findall(r"```diff\n(.*?)\n```", section, re.DOTALL):
        line, *mutants = block.splitlines()
        for mutant in mutants:
            text, times = re.fullmatch(r"\+ (.*?)(?:    \((\d+) mutants\))?", mutant).groups()  # type: ignore[union-attr]
            found[line.removeprefix("- "), text] += int(times or 1)
    return found


def recalled(changes: Mapping[str, Change], survivors: Counter[Change]) -> dict[str, bool]:
    """Whether each mutant survived, by what the page lists; without those of a change of which only some did."""
    made = Counter(changes.values())
    clear = {name: c for name, c in changes.items() if survivors[c] in (0, made[c])}
    return {name: bool(survivors[c]) for name, c in clear.items()}

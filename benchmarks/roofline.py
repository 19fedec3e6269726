"""What this machine reaches: matrix products at the shapes of a case, and copying memory.

    limit of a case = sum over its products of FLOP / FLOP/s of the faster of NumPy and torch at that shape     (1)
    share of the limit = limit / time                                                                           (2)

So 100 % is a step that spends no time on anything but its products. The best of many repetitions counts: a limit is
what the machine can do, not what it does on average. A contender may pass 100 % where it multiplies in other shapes.

Every product is taken as x W^T, with W as it lies in memory, and again and again: so W comes from whatever cache holds
it, where a step may have to fetch it. For products of one row, where reading the weights is all there is, that
would flatter; so the products of a sampled character are timed together, one after the other, as it needs them.

Each library is measured in a process of its own, with what threads it takes by itself.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.cases import SampleCase, StepCase
from benchmarks.products import Product, products
from benchmarks.quiet import wait_until_idle

LIBRARIES = {"float32": ("numpy", "torch"), "float64": ("numpy", "torch"), "bf16": ("torch",)}


@dataclass(frozen=True, slots=True)
class Effort:
    """seconds: how long a group is repeated; large: a product that is measured for comparison; copied: bytes, in full
    more than any cache holds."""

    seconds: float
    large: Product
    copied: int


FULL = Effort(0.3, Product(2048, 2048, 2048), 1 << 28)
QUICK = Effort(0.0, Product(256, 256, 256), 1 << 22)

Group = tuple[Product, ...]  # timed together


@dataclass(frozen=True, slots=True)
class Roofline:
    """flops: FLOP/s by precision, group and library; copy: bytes/s by library, those read and those written."""

    flops: Mapping[str, Mapping[Group, Mapping[str, float]]]
    copy: Mapping[str, float]

    def limit(self, case: StepCase | SampleCase) -> float:
        """(1), in seconds."""
        rates = self.flops[case.precision]
        return sum(sum(p.flops for p in group) / max(rates[_single(group)].values()) for group in groups(case))


def groups(case: StepCase | SampleCase) -> list[Group]:
    found = products(case)
    return [tuple(found)] if isinstance(case, SampleCase) else [(product,) for product in found]


def _single(group: Group) -> Group:
    """What is measured of it: each product once."""
    return tuple(Product(p.M, p.K, p.N) for p in group)


def measured(cases: Iterable[StepCase | SampleCase], effort: Effort, progress: Callable[[str], None]) -> Roofline:
    """Of all shapes of `cases`, and of the large one."""
    wanted: dict[str, list[Group]] = {}
    for case in cases:
        asked = wanted.setdefault(case.precision, [(effort.large,)])
        asked += [single for group in groups(case) if (single := _single(group)) not in asked]
    flops: dict[str, dict[Group, dict[str, float]]] = {p: {g: {} for g in asked} for p, asked in wanted.items()}
    copy = {}
    for library in ("numpy", "torch"):
        if find_spec(library) is None:
            continue
        progress(f"limits of this machine, {library}")
        asked = {precision: list(found) for precision, found in flops.items() if library in LIBRARIES[precision]}
        rates, copy[library] = _in_a_process(library, asked, effort)
        for precision, found in asked.items():
            for group, rate in zip(found, rates[precision], strict=True):
                flops[precision][group][library] = rate
    return Roofline(flops, copy)


def _in_a_process(
    library: str, asked: Mapping[str, list[Group]], effort: Effort
) -> tuple[dict[str, list[float]], float]:
    shapes = {precision: [[[p.M, p.K, p.N] for p in group] for group in found] for precision, found in asked.items()}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.roofline"],
        cwd=Path(__file__).parent.parent,
        input=json.dumps({"library": library, "asked": shapes, "seconds": effort.seconds, "copied": effort.copied}),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer = json.loads(done.stdout)
    return answer["flops"], answer["copy"]


def best_seconds(call: Callable[[], object], seconds: float) -> float:
    """Of one call, the least of as many as fit, three at least, after one that does not count."""
    call()
    best, began = float("inf"), time.perf_counter()
    done = 0
    while done < 3 or time.perf_counter() - began < seconds:
        before = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - before)
        done += 1
    return best


def _products_of_numpy(group: Group, precision: str) -> Callable[[], None]:
    import numpy as np

    from lstm_ref.core.draws import Draws

    def operand(*shape: int) -> Any:
        return Draws(0).uniform("benchmark/operand", shape, precision)

    arrays = [(operand(p.M, p.K), operand(p.N, p.K).T, np.empty((p.M, p.N), precision)) for p in group]

    def call() -> None:
        for a, b, out in arrays:
            np.dot(a, b, out=out)

    return call


def _products_of_torch(group: Group, precision: str) -> Callable[[], None]:
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else getattr(torch, precision)
    of = {"dtype": dtype}
    arrays = [(torch.rand(p.M, p.K, **of), torch.rand(p.N, p.K, **of).T, torch.empty(p.M, p.N, **of)) for p in group]

    def call() -> None:
        for a, b, out in arrays:
            torch.mm(a, b, out=out)

    return call


def _copy_of_numpy(size: int) -> Callable[[], object]:
    import numpy as np

    source = np.ones(size, np.uint8)
    target = np.zeros_like(source)
    return lambda: np.copyto(target, source)


def _copy_of_torch(size: int) -> Callable[[], object]:
    import torch

    source = torch.ones(size, dtype=torch.uint8)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


MAKERS = {"numpy": (_products_of_numpy, _copy_of_numpy), "torch": (_products_of_torch, _copy_of_torch)}


def serve() -> None:
    request = json.loads(sys.stdin.read())
    make_products, make_copy = MAKERS[request["library"]]
    rates: dict[str, list[float]] = {}
    for precision, asked in request["asked"].items():
        rates[precision] = []
        for shapes in asked:
            group = tuple(Product(*shape) for shape in shapes)
            wait_until_idle()
            spent = best_seconds(make_products(group, precision), request["seconds"])
            rates[precision].append(sum(p.flops for p in group) / spent)
    copied = 2 * request["copied"] / best_seconds(make_copy(request["copied"]), request["seconds"])
    print(json.dumps({"flops": rates, "copy": copied}))


if __name__ == "__main__":
    serve()

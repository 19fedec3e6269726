"""What continuous integration may ask of speed on a machine that others use too: no seconds, but the CPU time of this
thread, as a multiple of what NumPy takes for work of a known size.

    cost = min over rounds of CPU time of a call / min over rounds of CPU time of its yardstick         (1)

Why noise cannot trip it. CPU time of a thread does not run while others have the core. What others do to caches, clock
rate and the sibling of a core falls on call and yardstick alike, which take turns within milliseconds, and it can only
lengthen; the least of many rounds is what the call needs when it is left alone for one of them. A cost above its bound
is measured again, with more rounds, and only the least of all counts: noise in every round of the one and in not one
round of the other would have to last as long as that. Where two
threads of a training run had both cores, costs of NumPy's kernels were within a twentieth of each other, and of torch's
steps within a third; the bounds are twice what was seen. What they are for costs more: float64 by accident 3 times, a
loop that is no longer vectorised 4 times, a plain Python path 150 times.

One thread: OpenBLAS and torch are held to it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Call = Callable[[], object]
ROUNDS, RETRIES = 30, 4  # each retry takes twice the rounds of the one before


@dataclass(slots=True)
class Cost:
    """The least CPU seconds so far, of the call and of its yardstick."""

    call: Call
    yardstick: Call
    least: list[float] = field(default_factory=lambda: [float("inf")] * 2)

    def measure(self, rounds: int) -> float:
        """(1), of these rounds and of all before."""
        for _ in range(rounds):
            for n, run in enumerate((self.call, self.yardstick)):
                begin = time.thread_time()
                run()
                self.least[n] = min(self.least[n], time.thread_time() - begin)
        return self.least[0] / self.least[1]


def cost_within(bound: float, call: Call, yardstick: Call) -> float:
    """(1), measured until it is at most `bound`, or often enough to believe that it is not."""
    call(), yardstick()  # compiles and allocates
    cost, rounds = Cost(call, yardstick), ROUNDS
    found = cost.measure(rounds)
    for _ in range(RETRIES):
        if found <= bound:
            break
        rounds *= 2
        found = cost.measure(rounds)
    return found

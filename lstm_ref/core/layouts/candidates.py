"""The ways to read arrays as an LSTM that `identify` tries, each with how far off its outputs are at first sight."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np

from lstm_ref.core.errors import ShapeError
from lstm_ref.core.layouts.case import Case
from lstm_ref.core.layouts.forward import Cell, run, run_ours
from lstm_ref.core.layouts.ours import GATES, PEEPHOLES, Arrays, Sizes, from_blocks, to_blocks
from lstm_ref.core.layouts.readings import Reading, form_of, readings
from lstm_ref.core.layouts.systems import SYSTEMS

ORDERS = tuple("".join(order) for order in itertools.permutations(GATES))
PLACES = np.array([[order.index(gate) for gate in GATES] for order in ORDERS])
PEEPHOLE_ORDERS = tuple("".join(order) for order in itertools.permutations(PEEPHOLES))
# What may be done with the biases of a file: a factor for each of them. The first one is as it should be.
BIAS_USES: dict[int, dict[str, tuple[int, ...]]] = {
    0: {"none": ()},
    1: {"one": (1,), "one, dropped": (0,), "one, doubled": (2,)},
    2: {
        "two, added": (1, 1),
        "two, the second dropped": (1, 0),
        "two, the first dropped": (0, 1),
        "two, both dropped": (0, 0),
        "two, the first doubled and the second dropped": (2, 0),
        "two, the second doubled and the first dropped": (0, 2),
        "two, both doubled": (2, 2),
    },
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read the arrays. weights: in our form, with all done to them that is said here, so that PyTorch's
    equations give the outputs; error: the largest |difference| from these, relative where an output is larger than 1.
    """

    systems: tuple[str, ...]  # of the table, that have such arrays in this order
    by_name: bool  # and the names are that system's
    gates: str  # of i f g o, in the order of the file
    kernels: str  # what the arrays hold, and their axes
    biases: str
    forget_bias: float  # added at run time
    exchanged: bool  # h and c are
    peepholes: str  # of i f o, in the order of the file
    old_cell: bool  # the output gate's peephole sees the old cell
    weights: dict[str, np.ndarray] = field(repr=False)
    error: float = float("inf")
    fits: bool = False  # the error is within the tolerance

    @property
    def text(self) -> str:
        """In one line, for people."""
        parts = [f"gates {','.join(self.gates)}", self.kernels, f"biases: {self.biases}"]
        parts += [f"{self.forget_bias:g} added to the forget gate"] if self.forget_bias else []
        parts += ["h and c exchanged"] if self.exchanged else []
        parts += [f"peepholes {','.join(self.peepholes)}"] if self.peepholes else []
        parts += ["the output gate sees the old cell"] if self.old_cell else []
        return "; ".join(parts)

    def error_on(self, case: Case) -> float:
        own, sizes = case.exchanged() if self.exchanged else case, to_blocks(self.weights)[0]
        return float(own.errors(run_ours(self.weights, own.x, *own.start(sizes), self.old_cell)))

    def digest(self) -> bytes:
        """Equal for candidates that are one function. Of two biases only the sum counts, and zeros are none."""
        digest = hashlib.blake2b(bytes([self.exchanged, self.old_cell]))
        for name in sorted(self.weights):
            value = self.weights[name].astype(np.float64)
            if name.startswith("bias_ih"):
                value = value + self.weights[name.replace("_ih", "_hh")]
            if not name.startswith("bias_hh") and not (name.startswith("bias_ih") and not value.any()):
                digest.update(f"{name} {value.shape}".encode() + (value + 0.0).tobytes())  # + 0.0: -0 is 0
        return digest.digest()


# The error at first sight, how unusual this would be, and what makes the candidate.
Trial = tuple[float, int, Callable[[], Candidate]]


def by_name(arrays: Arrays, case: Case) -> Iterator[Trial]:
    """The systems whose names and shapes these are. With several layers or directions in all orders of the gates; one
    layer in one direction is left to `by_shape` for that."""
    for table in SYSTEMS.values():
        try:
            weights, sizes = table.to_ours(arrays), table.sizes(arrays)
        except ShapeError:
            continue
        has_peepholes = any(name.startswith("peephole") for name in weights)
        ways = {
            (gates, forget_bias): replace(table, gates=gates).to_ours(arrays, forget_bias=forget_bias)
            for gates in ((table.gates,) if sizes.layers * sizes.directions == 1 else ORDERS)
            for forget_bias in sorted({table.forget_bias, 0.0, 1.0})
        }
        for ((gates, forget_bias), weights), exchanged, old_cell in itertools.product(
            ways.items(),
            (False, True) if case.has_states else (False,),
            (False, True) if has_peepholes else (False,),
        ):
            if not (case.exchanged() if exchanged else case).suits(sizes):
                continue
            own = (gates, forget_bias) == (table.gates, table.forget_bias)
            own = own and (not has_peepholes or old_cell == table.peephole_of_old_cell)
            candidate = Candidate(
                systems=(table.name,) if own else (),
                by_name=True,
                gates=gates,
                kernels=f"arrays as in {table.name}",
                biases=next(iter(BIAS_USES[table.biases])) if "bias_ih_l0" in weights else "none",
                forget_bias=forget_bias,
                exchanged=exchanged,
                peepholes=table.peepholes if has_peepholes else "",
                old_cell=old_cell,
                weights=weights,
            )
            # Before all that the shapes alone suggest, if it is the system's own way.
            unusual = (-10 if own else 2) + 2 * exchanged
            yield candidate.error_on(case.first(sizes.directions)), unusual, partial(_itself, candidate)


def _itself(candidate: Candidate) -> Candidate:
    return candidate


@dataclass(frozen=True, slots=True)
class _Guess:
    """A reading, and what else may be so."""

    reading: Reading
    biases: str
    forget_bias: float
    exchanged: bool
    peepholes: str
    old_cell: bool

    def used_biases(self) -> tuple[np.ndarray, np.ndarray]:
        """As bias_ih and bias_hh."""
        factors = BIAS_USES[len(self.reading.biases)][self.biases]
        used = [factor * bias for factor, bias in zip(factors, self.reading.biases)]
        b_ih, b_hh = [*used, *[np.zeros(self.reading.W.shape[:2])] * 2][:2]
        return b_ih, b_hh

    def errors(self, case: Case) -> np.ndarray:
        """In each of ORDERS."""
        own = case.exchanged() if self.exchanged else case
        h0, c0 = own.start(_sizes(case))
        more = (self.peephole(), None, self.old_cell, self.forget_bias)
        cell = Cell(self.reading.W, self.reading.R, np.add(*self.used_biases()), *more)
        return own.errors(run(cell, own.x, h0[0], c0[0], PLACES))

    def systems(self, gates: str) -> tuple[str, ...]:
        if self.biases not in ("none", "one", "two, added"):
            return ()
        forms = [(self.reading.form, self.reading.bias_form), *self.reading.also]
        more = (gates, self.forget_bias, self.peepholes, self.old_cell)
        return tuple(dict.fromkeys(name for form in forms for name in _known().get((*form, *more), ())))

    def unusual(self, gates: str) -> int:
        uses = list(BIAS_USES[len(self.reading.biases)]).index(self.biases) + 2 * self.exchanged
        return self.reading.unusual + uses + (0 if self.systems(gates) else 2 + 2 * (self.forget_bias > 0))

    def candidate(self, gates: str, dtype: np.dtype) -> Candidate:
        where, places = (0, 0), [gates.index(gate) for gate in GATES]
        blocks = {("weight_ih", where): self.reading.W[places], ("weight_hh", where): self.reading.R[places]}
        if self.reading.biases or self.forget_bias:
            b_ih, b_hh = (bias[places] for bias in self.used_biases())
            b_hh[GATES.index("f")] += self.forget_bias
            blocks |= {("bias_ih", where): b_ih, ("bias_hh", where): b_hh}
        if (peephole := self.peephole()) is not None:
            blocks["peephole", where] = peephole
        sizes = Sizes(1, 1, self.reading.W.shape[2:], *self.reading.R.shape[1:])
        return Candidate(
            systems=self.systems(gates),
            by_name=False,
            gates=gates,
            kernels=self.reading.text,
            biases=self.biases,
            forget_bias=self.forget_bias,
            exchanged=self.exchanged,
            peepholes=self.peepholes,
            old_cell=self.old_cell,
            weights=from_blocks({key: block.astype(dtype) for key, block in blocks.items()}, sizes),
        )

    def peephole(self) -> np.ndarray | None:
        given = self.reading.peephole
        return None if given is None else given[[self.peepholes.index(gate) for gate in PEEPHOLES]]


def by_shape(arrays: Arrays, case: Case) -> Iterator[Trial]:
    """One layer in one direction, whatever the names."""
    if not arrays or not case.suits(_sizes(case)):
        return
    first, dtype = case.first(), np.result_type(*arrays.values())
    exact = [np.asarray(value, np.float64) for value in arrays.values()]
    for reading in readings(exact, case.x.shape[-1], case.hidden):
        has_peepholes = reading.peephole is not None
        for more in itertools.product(
            BIAS_USES[len(reading.biases)],
            (0.0, 1.0),
            (False, True) if case.has_states else (False,),
            PEEPHOLE_ORDERS if has_peepholes else ("",),
            (False, True) if has_peepholes else (False,),
        ):
            guess = _Guess(reading, *more)
            for gates, error in zip(ORDERS, guess.errors(first)):
                yield float(error), guess.unusual(gates), partial(guess.candidate, gates, dtype)


def _sizes(case: Case) -> Sizes:
    return Sizes(1, 1, (case.x.shape[-1],), case.hidden, case.hidden)


@cache
def _known() -> dict[tuple, tuple[str, ...]]:
    """The systems of the table by what a guess says of them."""
    known: dict[tuple, tuple[str, ...]] = {}
    for layout in SYSTEMS.values():
        kernels, biases = form_of(layout)
        peepholes = {("", False), (layout.peepholes, layout.peephole_of_old_cell and bool(layout.peepholes))}
        for bias_form, more in itertools.product({biases, ()}, peepholes):
            form = (kernels, bias_form, layout.gates, layout.forget_bias, *more)
            known[form] = (*known.get(form, ()), layout.name)
    return known

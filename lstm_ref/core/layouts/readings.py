"""Every way to read arrays without names as the kernels and biases of one layer in one direction, by their shapes.

A system may have one kernel for x and one for h, one for both, or one of each for every gate; in each of them the
gates, the units and the inputs may stand in any order. Axes are written as in layouts/layout.py, and those of length
one do not count.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lstm_ref.core.layouts.layout import Array, Layout

Form = tuple[tuple[tuple[str, ...], str], ...]  # what each array of kernels holds and its axes
BiasForm = tuple[tuple[str, ...], ...]  # what each array of biases holds
Plan = dict[str, tuple[int, int]]  # role -> how many arrays, and the size of each

# (axes, unusual): how a kernel of all four gates may lie. In the unusual ones each gate's block is turned, or the gates
# of one unit stand together.
KERNEL_AXES = (
    ("gu x", 0),
    ("x gu", 0),
    ("g u x", 0),
    ("x g u", 0),
    ("g x u", 1),
    ("gx u", 2),
    ("u gx", 2),
    ("ug x", 2),
    ("x ug", 2),
    ("u g x", 2),
    ("x u g", 2),
    ("u x g", 2),
)
INTERLEAVED = ("ug x", "x ug", "u g x", "x u g", "u x g")  # a bias then has the gates of one unit together, too
TURNED = ("gx u", "u gx", "g x u")  # each gate's block is
GATE_AXES = (("u x", 0), ("x u", 0))  # a kernel of one gate


@dataclass(frozen=True, slots=True)
class Reading:
    """Blocks in the order of the file. biases: [4,H] each, as many as there are; bias_form: what each array holds."""

    form: Form
    bias_form: BiasForm
    unusual: int
    W: np.ndarray  # [4,H,I]
    R: np.ndarray  # [4,H,H]
    biases: tuple[np.ndarray, ...]
    peephole: np.ndarray | None  # [3,H]
    also: tuple[tuple[Form, BiasForm], ...] = ()  # other forms that are the same here, where a size is 1

    @property
    def text(self) -> str:
        """What the kernels hold, and their shapes."""
        texts = []
        for holds, axes in self.form:
            text = f"{'+'.join(holds)} {Array('', holds, axes.replace('x', 'x+')).shape_text()}"
            text += (
                " a gate" * ("g" not in axes) + " unit by unit" * (axes in INTERLEAVED) + " turned" * (axes in TURNED)
            )
            texts.append(text)
        return ", ".join(texts)


def form_of(layout: Layout) -> tuple[Form, BiasForm]:
    """A layout's kernels, and what its bias arrays hold, in the words of a Reading: one layer, one direction."""
    kernels, biases = [], []
    for array in layout.arrays:
        words = ("".join(c for c in word if c not in "ld1") for word in array.words)
        axes = " ".join(word for word in words if word)
        if array.is_kernel:
            kernels.append((array.holds, axes))
        elif "bias" in array.holds[0]:
            biases.append(array.holds)
    return tuple(kernels), tuple(biases)


def readings(arrays: Sequence[np.ndarray], I: int, H: int) -> list[Reading]:
    """All that fit, the usual ones first, and each one once. None where no LSTM of I inputs and H units is so large."""
    found: dict[bytes, Reading] = {}
    for reading in sorted(_all(arrays, I, H), key=lambda reading: reading.unusual):
        digest = hashlib.blake2b()
        for array in (reading.W, reading.R, *reading.biases, *([reading.peephole] * (reading.peephole is not None))):
            digest.update(np.ascontiguousarray(array).tobytes())
        first = found.setdefault(digest.digest(), reading)
        if first is not reading:
            found[digest.digest()] = replace(first, also=(*first.also, (reading.form, reading.bias_form)))
    return list(found.values())


def _all(arrays: Sequence[np.ndarray], I: int, H: int) -> Iterator[Reading]:
    kernel_plans: tuple[Plan, ...] = (
        {"W": (1, 4 * H * I), "R": (1, 4 * H * H)},
        {"WR": (1, 4 * H * (I + H))},
        {"w": (4, H * I), "r": (4, H * H)},
        {"wr": (4, H * (I + H))},
    )
    bias_plans: tuple[Plan, ...] = (
        {},
        {"b": (1, 4 * H)},
        {"b": (2, 4 * H)},
        {"bb": (1, 8 * H)},
        {"bg": (4, H)},
        {"bg": (8, H)},
    )
    peephole_plans: tuple[Plan, ...] = ({}, {"p": (1, 3 * H)})
    found = sorted(array.size for array in arrays)
    for plans in itertools.product(kernel_plans, bias_plans, peephole_plans):
        plan = {role: wanted for part in plans for role, wanted in part.items()}
        if sorted(size for count, size in plan.values() for _ in range(count)) == found:
            for roles in _assignments(plan, [array.size for array in arrays]):
                given = {role: [a for a, own in zip(arrays, roles) if own == role] for role in plan}
                yield from _read(given, I, H)


def _assignments(plan: Plan, sizes: list[int]) -> Iterator[list[str]]:
    """The role of each array. Roles of one size take the arrays in any order of roles, or in turn."""
    by_size = {size: [role for role, (_, own) in plan.items() if own == size] for size in set(sizes)}
    options = []
    for roles in by_size.values():
        sequences = []
        for order in itertools.permutations(roles):
            counts = [plan[role][0] for role in order]
            sequences.append([role for role, count in zip(order, counts) for _ in range(count)])
            if len(set(counts)) == 1 and counts[0] > 1 and len(order) > 1:
                sequences.append(list(order) * counts[0])
        options.append(sequences)
    for choice in itertools.product(*options):
        queues = {size: iter(sequence) for size, sequence in zip(by_size, choice)}
        yield [next(queues[size]) for size in sizes]


def _read(given: dict[str, list[np.ndarray]], I: int, H: int) -> Iterator[Reading]:
    peephole = given["p"][0].reshape(3, H) if "p" in given else None
    for form, unusual, W, R in _kernels(given, I, H):
        if "bg" in given:
            biases = tuple(np.concatenate([gate.reshape(1, H) for gate in given["bg"]]).reshape(-1, 4, H))
        else:
            whole = given.get("b") or [half for pair in given.get("bb", ()) for half in np.split(pair.reshape(-1), 2)]
            biases = tuple(_bias(array, H, form[0][1] in INTERLEAVED) for array in whole)
        separate = () if not biases else (("bias",),) if len(biases) == 1 else (("bias_ih",), ("bias_hh",))
        bias_form = (("bias_ih", "bias_hh"),) if "bb" in given else separate
        yield Reading(form, bias_form, unusual, W, R, biases, peephole)


def _bias(array: np.ndarray, H: int, interleaved: bool) -> np.ndarray:
    return array.reshape(H, 4).T if interleaved else array.reshape(4, H)


def _kernels(given: dict, I: int, H: int) -> Iterator[tuple[Form, int, np.ndarray, np.ndarray]]:
    W, R = ("weight_ih",), ("weight_hh",)
    if "W" in given:
        both = itertools.product(_turned(given["W"], H, I, KERNEL_AXES), _turned(given["R"], H, H, KERNEL_AXES))
        for (w_axes, w_odd, w), (r_axes, r_odd, r) in both:
            if (w_axes in INTERLEAVED) == (r_axes in INTERLEAVED):
                yield ((W, w_axes), (R, r_axes)), w_odd + r_odd + (w_axes != r_axes), w, r
    elif "w" in given:
        both = itertools.product(_turned(given["w"], H, I, GATE_AXES), _turned(given["r"], H, H, GATE_AXES))
        for (w_axes, _, w), (r_axes, _, r) in both:
            yield ((W, w_axes), (R, r_axes)), int(w_axes != r_axes), w, r
    else:
        array, forms = (given["WR"], KERNEL_AXES) if "WR" in given else (given["wr"], GATE_AXES)
        for axes, odd, whole in _turned(array, H, I + H, forms):
            yield ((W + R, axes),), odd, whole[..., :I], whole[..., I:]
            yield ((R + W, axes),), odd, whole[..., H:], whole[..., :H]


def _turned(
    arrays: list[np.ndarray], H: int, F: int, forms: tuple[tuple[str, int], ...]
) -> Iterator[tuple[str, int, np.ndarray]]:
    """A kernel of F inputs, or one of each gate, as [4,H,F] in all forms that its shape allows."""
    sizes = {"g": 4, "u": H, "x": F}
    for axes, unusual in forms:
        letters = axes.replace(" ", "")
        shape = [int(np.prod([sizes[c] for c in word])) for word in axes.split()]
        if all(_lengths(array.shape) == _lengths(shape) for array in arrays):
            turned = [array.reshape([sizes[c] for c in letters]) for array in arrays]
            turned = [array.transpose([letters.index(c) for c in "gux" if c in letters]) for array in turned]
            yield axes, unusual, turned[0] if "g" in letters else np.stack(turned)


def _lengths(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]

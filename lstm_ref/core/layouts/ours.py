"""Our form of an LSTM's weights: PyTorch's names and shapes, gate order i,f,g,o.

    weight_ih_l<k>  [4H,I]     bias_ih_l<k>, bias_hh_l<k>  [4H]    both or none
    weight_hh_l<k>  [4H,H]     weight_hr_l<k>  [P,H]  where h is projected to P units; weight_hh is then [4H,P]
    peephole_l<k>   [3H] in the order i,f,o, where gates see the cell: i and f the old one, o the new one

with the suffix _reverse for the second direction; layer k > 0 has I = D*H, or D*P.
Here they are taken apart into blocks, one for each part, layer and direction, with the gates on an axis of their own.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lstm_ref.core.errors import ShapeError

GATES = "ifgo"
PEEPHOLES = "ifo"
# The letters of each block: g gate, p gate with a peephole, u unit, x input of the kernel, r projected unit.
PARTS = {
    "weight_ih": "gux",
    "weight_hh": "gux",
    "bias_ih": "gu",
    "bias_hh": "gu",
    "weight_hr": "ru",
    "peephole": "pu",
    "bias": "gu",  # the sum of the two: not one of ours, but what many systems have
}
SHAPES = {
    "weight_ih": "[4H,I]",
    "weight_hh": "[4H,H]",
    "bias_ih": "[4H]",
    "bias_hh": "[4H]",
    "weight_hr": "[P,H]",
    "peephole": "[3H]",
}
KERNELS = ("weight_ih", "weight_hh")
BIASES = ("bias_ih", "bias_hh")
Arrays = Mapping[str, np.ndarray]
Where = tuple[int, int]  # layer, direction
Blocks = dict[tuple[str, Where], np.ndarray]


@dataclass(frozen=True, slots=True)
class Sizes:
    layers: int
    directions: int
    inputs: tuple[int, ...]  # I of each layer
    hidden: int  # H
    recurrent: int  # units of h: P where h is projected, else H

    def length(self, letter: str, part: str, layer: int) -> int:
        if letter == "x":
            return self.inputs[layer] if part == "weight_ih" else self.recurrent
        lengths = {"l": self.layers, "d": self.directions, "g": 4, "p": 3, "u": self.hidden, "r": self.recurrent}
        return lengths[letter]

    def shape(self, part: str, layer: int) -> tuple[int, ...]:
        """Of a block."""
        return tuple(self.length(letter, part, layer) for letter in PARTS[part])

    def everywhere(self) -> list[Where]:
        return list(itertools.product(range(self.layers), range(self.directions)))


def name_of(part: str, where: Where) -> str:
    return f"{part}_l{where[0]}{'_reverse' * where[1]}"


def listed(names: Iterable[str]) -> str:
    """For messages: the first few."""
    some = list(names)
    return ", ".join(some[:8]) + f", ... ({len(some)})" * (len(some) > 8) or "nothing"


def check_array(name: str, value: np.ndarray, expected: tuple[int, ...], text: str) -> None:
    if value.dtype.kind not in "fc":
        raise ShapeError(f"{name} is {value.dtype}: weights are floating-point numbers")
    if value.shape != expected:
        hint = "; it looks transposed" if value.ndim > 1 and value.shape == expected[::-1] else ""
        raise ShapeError(f"{name} has shape {value.shape}, expected {text} = {expected}{hint}")


def to_blocks(weights: Arrays) -> tuple[Sizes, Blocks]:
    """Views of the weights. Raises ShapeError if they are not ours, whole and of one LSTM."""
    found: Blocks = {}
    for name, value in weights.items():
        match = re.fullmatch(rf"({'|'.join(SHAPES)})_l(0|[1-9]\d*)(_reverse)?", name)
        if match is None:
            raise ShapeError(f"{name} is no parameter of an LSTM: expected weight_ih_l0, weight_hh_l0, bias_ih_l0, ...")
        found[match[1], (int(match[2]), int(match[3] is not None))] = np.asarray(value)
    layers = 1 + max((layer for _, (layer, _) in found), default=0)
    directions = 1 + max((direction for _, (_, direction) in found), default=0)
    layers = min(layers, len(found) + 1)  # a number that is out of all proportion, too, is a layer missing below it
    parts = [*KERNELS, *{part: None for part, _ in found if part not in KERNELS}]
    parts += [bias for bias in BIASES if bias not in parts and set(parts) & set(BIASES)]
    for part, where in itertools.product(parts, itertools.product(range(layers), range(directions))):
        if (part, where) not in found:
            raise ShapeError(f"{name_of(part, where)} is missing; got {listed(weights)}")
    first, recurrent = found["weight_ih", (0, 0)], found["weight_hh", (0, 0)]
    if first.ndim != 2 or recurrent.ndim != 2:
        raise ShapeError(
            f"weight_ih_l0 has shape {first.shape}, weight_hh_l0 {recurrent.shape}, expected two axes each"
        )
    P = recurrent.shape[1]
    H = found["weight_hr", (0, 0)].shape[-1] if "weight_hr" in parts else P
    sizes = Sizes(layers, directions, (first.shape[1],) + (directions * P,) * (layers - 1), H, P)
    for (part, where), value in found.items():
        block = sizes.shape(part, where[0])
        check_array(name_of(part, where), value, _joined(part, block), SHAPES[part])
        found[part, where] = value.reshape(block)
    return sizes, found


def from_blocks(blocks: Blocks, sizes: Sizes) -> dict[str, np.ndarray]:
    """`to_blocks` backwards, layer by layer."""
    return {
        name_of(part, where): blocks[part, where].reshape(_joined(part, sizes.shape(part, where[0])))
        for where in sizes.everywhere()
        for part in SHAPES
        if (part, where) in blocks
    }


def _joined(part: str, block: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the array: gates and units on one axis."""
    return block if part == "weight_hr" else (block[0] * block[1], *block[2:])

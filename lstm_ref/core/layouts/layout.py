"""How a system stores the weights of an LSTM, as data, and the way from there to our form and back.

An array is described by what it holds and by its axes, in letters, one word an axis:

    l layer   d direction   g gate   u unit (H)   x input of the kernel (I, or H of the recurrent one)
    p gate with a peephole   r projected unit (P)   1 an axis of length one

so PyTorch's weight_ih is "gu x", the Keras kernel "x gu", oneDNN's "l d x g u". A + marks the axis along which an
array's parts are laid one after the other: TF1's kernel is "x+ gu" of weight_ih and weight_hh. Where an axis is missing
there is an array for each layer, direction or gate, and the name tells them apart: {l}, {reverse} and {g} in the name,
else the prefixes layer<l>/ and forward/ or backward/, which appear only where there is more than one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_ref.core.errors import ConfigError, ShapeError
from lstm_ref.core.layouts.ours import (
    BIASES,
    GATES,
    KERNELS,
    PARTS,
    PEEPHOLES,
    Arrays,
    Blocks,
    Sizes,
    check_array,
    from_blocks,
    listed,
    to_blocks,
)

Names = dict[tuple[int, int, int], str]  # layer, direction, place of the gate: 0 where the array has that axis


@dataclass(frozen=True, slots=True)
class Array:
    """One array of a system, or one for each gate, layer or direction.

    name: may hold {g}, {l} and {reverse}; holds: keys of PARTS; axes: see above; labels: what {g} becomes, one
    character a gate in the layout's order [default: the layout's own letters].
    """

    name: str
    holds: tuple[str, ...]
    axes: str
    labels: str = ""

    @property
    def words(self) -> list[str]:
        return self.axes.replace("+", "").split()

    @property
    def letters(self) -> str:
        return "".join(self.words).replace("1", "")

    @property
    def joined(self) -> int:
        """The axis of the +."""
        return next((axis for axis, word in enumerate(self.axes.split()) if "+" in word), 0)

    @property
    def per_gate(self) -> bool:
        return "g" in PARTS[self.holds[0]] and "g" not in self.letters

    @property
    def is_kernel(self) -> bool:
        return self.holds[0] in KERNELS

    def shape_text(self) -> str:
        """As in [D,4H,I] or [I+H,4H]."""
        symbols = {"l": "L", "d": "D", "g": "4", "p": "3", "u": "H", "r": "P"}
        words = []
        for axis, word in enumerate(self.words):
            held = self.holds if axis == self.joined else self.holds[:1]
            inputs = "+".join("I" if part == "weight_ih" else "H" for part in held)
            text = "".join({**symbols, "x": inputs}.get(letter, "1") for letter in word)
            words.append(text if word == "x" else text.replace("4", str(4 * len(held))))
        return f"[{','.join(words)}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One system's way to store an LSTM; lstm_ref/core/layouts/systems.py has the table."""

    name: str
    gates: str  # order of the gate blocks, of i f g o
    arrays: tuple[Array, ...]  # the kernels come first
    states: str = "h, c"  # order in which the system takes and returns its state
    peepholes: str = ""  # order of the peephole blocks, of i f o; empty: the system has none
    peephole_of_old_cell: bool = False  # the output gate sees c of the step before, where others show it the new c
    forget_bias: float = 0.0  # added to the forget gate at run time, so not in the stored bias
    note: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if sorted(self.gates) != sorted(GATES):
            raise ConfigError(f"gates={self.gates!r} must be an order of {GATES!r}")
        if self.peepholes and sorted(self.peepholes) != sorted(PEEPHOLES):
            raise ConfigError(f"peepholes={self.peepholes!r} must be an order of {PEEPHOLES!r}")
        if bool(self.peepholes) != self.has("peephole"):
            raise ConfigError(f"{self.name}: peepholes={self.peepholes!r} and the arrays do not agree")

    @property
    def biases(self) -> int:
        return 1 if self.has("bias") else 2

    def has(self, part: str) -> bool:
        return any(part in array.holds for array in self.arrays)

    def to_ours(self, arrays: Arrays, *, forget_bias: float | None = None) -> dict[str, np.ndarray]:
        """The same LSTM in our form (layouts/ours.py): new arrays, same dtype, every number bit by bit what it was.

        One stored bias becomes bias_ih, and bias_hh is 0. forget_bias [default: the layout's] is what the system adds
        to the forget gate at run time; it goes into bias_hh, so that a bias that is alone stays exact.
        Raises ShapeError for arrays that are missing, unknown, or of a wrong shape or dtype.
        """
        counts = self._counts(arrays)
        expected = [name for array in self.arrays for name in self.names(array, *counts).values()]
        if unknown := [name for name in arrays if name not in expected]:
            raise ShapeError(f"{self.name} has no array {listed(unknown)}; it has {listed(expected)}")
        sizes = self.sizes(arrays)
        blocks: Blocks = {}
        for array in self.arrays:
            names = self.names(array, *counts)
            if any(name in arrays for name in names.values()):
                self._unpack(array, names, arrays, sizes, blocks)
        added = self.forget_bias if forget_bias is None else forget_bias
        for where in sizes.everywhere():
            if ("bias", where) in blocks:
                blocks["bias_ih", where] = blocks.pop(("bias", where))
            if added or any((bias, where) in blocks for bias in BIASES):
                for bias in BIASES:
                    blocks.setdefault((bias, where), np.zeros((4, sizes.hidden), blocks["weight_ih", where].dtype))
                if added:
                    blocks["bias_hh", where][GATES.index("f")] += added
        return from_blocks(blocks, sizes)

    def from_ours(self, weights: Arrays, *, forget_bias: float | None = None) -> dict[str, np.ndarray]:
        """The system's arrays: new ones of the same dtype, every number bit by bit what it was, with one exception.

        Where the system has one bias it gets bias_ih + bias_hh, rounded once; exact where one of the two is 0. What it
        adds at run time (forget_bias, see `to_ours`) is subtracted from bias_hh first.
        Raises ShapeError for weights that are not ours, or that have what the system has not: peepholes, projections.
        """
        sizes, blocks = to_blocks(weights)
        for part in ("peephole", "weight_hr"):
            if (part, (0, 0)) in blocks and not self.has(part):
                raise ShapeError(f"{self.name} has no place for {part}_l0")
        added = self.forget_bias if forget_bias is None else forget_bias
        for where in sizes.everywhere():
            if added or ("bias_hh", where) in blocks:
                zero = np.zeros((4, sizes.hidden), blocks["weight_ih", where].dtype)
                b_ih, b_hh = blocks.get(("bias_ih", where), zero), blocks.get(("bias_hh", where), zero).copy()
                if added:
                    b_hh[GATES.index("f")] -= added
                blocks |= {("bias_ih", where): b_ih, ("bias_hh", where): b_hh}
                if self.has("bias"):
                    # Where one is 0 the sum is the other, and -0 stays -0: -0 + 0 would be 0.
                    total = np.where(b_hh == 0, b_ih, np.where(b_ih == 0, b_hh, b_ih + b_hh))
                    blocks["bias", where] = total
        return {
            name: value
            for array in self.arrays
            if (array.holds[0], (0, 0)) in blocks
            for name, value in self._pack(array, blocks, sizes).items()
        }

    def names(self, array: Array, layers: int, directions: int) -> Names:
        many_layers = layers > 1 and "l" not in array.letters and "{l}" not in array.name
        many_directions = directions > 1 and "d" not in array.letters and "{reverse}" not in array.name
        names = {}
        for layer in range(1 if "l" in array.letters else layers):
            for direction in range(1 if "d" in array.letters else directions):
                prefix = f"layer{layer}/" if many_layers else ""
                prefix += ("forward/", "backward/")[direction] if many_directions else ""
                for place, label in enumerate((array.labels or self.gates) if array.per_gate else " "):
                    own = array.name.format(g=label, l=layer, reverse="_reverse" * direction)
                    names[layer, direction, place] = prefix + own
        return names

    def sizes(self, arrays: Arrays) -> Sizes:
        """Read off the kernels. Raises ShapeError if they are missing or no LSTM can have them."""
        layers, directions = counts = self._counts(arrays)
        lengths: dict[tuple[str, str], list[int]] = {}  # (part, letters of an axis) -> its length in each array
        for array in self.arrays:
            for name in self.names(array, layers, directions).values() if array.is_kernel else ():
                if name not in arrays:
                    raise ShapeError(f"{self.name} needs {name} too; got {listed(arrays)}")
                shape = np.shape(arrays[name])
                if len(shape) != len(array.words):
                    raise ShapeError(f"{name} has shape {shape}, expected {array.shape_text()}")
                for word, length in zip(array.words, shape):
                    for part in array.holds:
                        lengths.setdefault((part, word), []).append(length)
        first = next(array for array in self.arrays if "weight_ih" in array.holds)
        layers = lengths.get(("weight_ih", "l"), [layers])[0]
        directions = lengths.get(("weight_ih", "d"), [directions])[0]
        if layers < 1 or directions not in (1, 2):
            raise ShapeError(f"{self._kernels()} cannot have L={layers} and D={directions}")
        units = next(word for word in first.words if "u" in word)
        H = lengths["weight_ih", units][0] // (4 if "g" in units else 1)
        projections = (name for a in self.arrays if "weight_hr" in a.holds for name in self.names(a, *counts).values())
        P = lengths["weight_hh", "x"][0] if any(name in arrays for name in projections) else H
        inputs = [length - H * (len(first.holds) > 1) for length in lengths["weight_ih", "x"]]
        inputs = inputs * layers if "l" in first.letters else inputs[:: len(inputs) // layers]
        if min(H, P, *inputs) < 1 or set(inputs[1:]) - {directions * P}:
            raise ShapeError(f"{self._kernels()} cannot have H={H} and I={', '.join(map(str, inputs))}: is one turned?")
        return Sizes(layers, directions, tuple(inputs), H, P)

    def _counts(self, arrays: Arrays) -> tuple[int, int]:
        """Layers and directions that the names show: the most that are all there."""
        first = self.arrays[0]
        best, most = (0, 0), 0
        for directions in (1,) if "d" in first.letters else (1, 2):
            for layers in (1,) if "l" in first.letters else range(1, len(arrays) + 1):
                names = self.names(first, layers, directions).values()
                if any(name not in arrays for name in names):
                    if layers > 1:  # nor are those of more layers; one layer has names of its own
                        break
                elif len(names) > most:
                    best, most = (layers, directions), len(names)
        if not most:
            raise ShapeError(f"{self.name} needs {self._kernels()}; got {listed(arrays)}")
        return best

    def _kernels(self) -> str:
        texts = []
        for array in self.arrays:
            if array.is_kernel:
                names = list(self.names(array, 1, 1).values())
                texts.append(f"{names[0]}{' to ' * array.per_gate}{names[-1] * array.per_gate} {array.shape_text()}")
        return " and ".join(texts)

    def _order(self, part: str) -> Any:
        """The system's block k is our block order[k]."""
        if PARTS[part][0] == "g":
            return [GATES.index(gate) for gate in self.gates]
        return [PEEPHOLES.index(gate) for gate in self.peepholes] if part == "peephole" else slice(None)

    def _unpack(self, array: Array, names: Names, arrays: Arrays, sizes: Sizes, blocks: Blocks) -> None:
        for (layer, direction, place), name in names.items():
            if name not in arrays:
                raise ShapeError(f"{self.name} needs {name} too; got {listed(arrays)}")
            value = np.asarray(arrays[name])
            shapes = [_by_word(array, [sizes.length(c, part, layer) for c in array.letters]) for part in array.holds]
            ends = np.cumsum([shape[array.joined] for shape in shapes])
            expected = (*shapes[0][: array.joined], int(ends[-1]), *shapes[0][array.joined + 1 :])
            check_array(name, value, expected, array.shape_text())
            for part, piece in zip(array.holds, np.split(value, ends[:-1], axis=array.joined)):
                order = self._order(part)
                whole = piece.reshape([sizes.length(c, part, layer) for c in array.letters])
                whole = whole.transpose([array.letters.index(c) for c in "ld" + PARTS[part] if c in array.letters])
                for k in range(sizes.layers) if "l" in array.letters else (layer,):
                    for d in range(sizes.directions) if "d" in array.letters else (direction,):
                        block = whole[k] if "l" in array.letters else whole
                        block = block[d] if "d" in array.letters else block
                        target = blocks.setdefault((part, (k, d)), np.empty(sizes.shape(part, k), value.dtype))
                        if target.dtype != value.dtype:
                            raise ShapeError(f"{name} is {value.dtype}, another gate's array {target.dtype}")
                        target[order[place] if array.per_gate else order] = block

    def _pack(self, array: Array, blocks: Blocks, sizes: Sizes) -> dict[str, np.ndarray]:
        packed = {}
        for (layer, direction, place), name in self.names(array, sizes.layers, sizes.directions).items():
            layers = range(sizes.layers) if "l" in array.letters else (layer,)
            directions = range(sizes.directions) if "d" in array.letters else (direction,)
            pieces = []
            for part in array.holds:
                if len({sizes.length("x", part, k) for k in layers}) > 1:
                    raise ShapeError(
                        f"{self.name} has one array for all layers, so I={sizes.inputs[0]} of layer 0 would have to be "
                        f"{sizes.inputs[1]} as in the layers above: convert the layers one by one"
                    )
                whole = np.array([[blocks[part, (k, d)][self._order(part)] for d in directions] for k in layers])
                whole = whole[:, :, [place]] if array.per_gate else whole
                letters = "ld" + PARTS[part]
                kept = [c for c in letters if c in array.letters]
                whole = whole.squeeze(tuple(axis for axis, c in enumerate(letters) if c not in kept))
                whole = whole.transpose([kept.index(c) for c in array.letters])
                pieces.append(whole.reshape(_by_word(array, whole.shape)))
            packed[name] = np.ascontiguousarray(np.concatenate(pieces, axis=array.joined))
        return packed


def _by_word(array: Array, lengths: list[int] | tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an array of which the length of each letter is known."""
    by_letter = dict(zip(array.letters, lengths))
    return tuple(int(np.prod([by_letter.get(c, 1) for c in word])) for word in array.words)

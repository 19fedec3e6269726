"""The questions about LSTM layers, forward and backward. Sizes differ wherever a case does not say otherwise."""

from collections.abc import Iterator

import numpy as np

from parity_tests.suite.question import Question
from parity_tests.vectors.grid import Case, Grid

SIZES = {"T": 4, "B": 2, "I": 5, "H": 3}
GATES = {"i": "input gate", "f": "forget gate", "g": "candidate", "o": "output gate"}


def lstm_arrays(
    grid: Grid, T: int, B: int, I: int, H: int, *, L: int = 1, D: int = 1, P: int = 0, peepholes: bool = False
) -> dict[str, np.ndarray]:
    """Weights, x, h0, c0 of L layers in D directions; P units after a projection, 0 without."""
    arrays: dict[str, np.ndarray] = {}
    for l in range(L):
        for suffix in (f"_l{l}", f"_l{l}_reverse")[:D]:
            arrays[f"weight_ih{suffix}"] = grid(4 * H, I if l == 0 else D * (P or H))
            arrays[f"weight_hh{suffix}"] = grid(4 * H, P or H)
            arrays[f"bias_ih{suffix}"], arrays[f"bias_hh{suffix}"] = grid(4 * H), grid(4 * H)
            if P:
                arrays[f"weight_hr{suffix}"] = grid(P, H)
            if peepholes:
                arrays[f"peephole{suffix}"] = grid(3 * H)
    return arrays | {"x": grid(T, B, I), "h0": grid(L * D, B, P or H), "c0": grid(L * D, B, H)}


def forward(seed: int, lengths: tuple[int, ...] = (), **options) -> Question:
    arrays = lstm_arrays(Grid(seed), **(SIZES | options))
    return Question("forward", arrays | ({"lengths": np.array(lengths, np.int64)} if lengths else {}))


def backward(
    seed: int, lengths: tuple[int, ...] = (), upstream: tuple[str, ...] = ("dy", "dh_n", "dc_n"), **options
) -> Question:
    """Gradients that are not in `upstream` are zero."""
    grid = Grid(seed)
    arrays = lstm_arrays(grid, **(SIZES | options))
    (T, B, _), width = arrays["x"].shape, arrays["h0"].shape[2] * options.get("D", 1)
    shapes = {"dy": (T, B, width), "dh_n": arrays["h0"].shape, "dc_n": arrays["c0"].shape}
    if lengths:
        arrays["lengths"] = np.array(lengths, np.int64)
    arrays |= {name: grid(*shape) if name in upstream else np.zeros(shape) for name, shape in shapes.items()}
    return Question("backward", arrays)


def one_gate(seed: int, gate: str) -> Question:
    """Only one gate has weights; the others are constants, each its own."""
    question = forward(seed)
    H, row = SIZES["H"], list(GATES).index(gate)
    other_rows = np.arange(4 * H) // H != row
    changed = {}
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_hh_l0"):
        changed[name] = question.arrays[name].copy()
        changed[name][other_rows] = 0
    return question.with_arrays(**changed)


def only(seed: int, kept: str, of: tuple[str, ...]) -> Question:
    """All arrays of `of` are zero but `kept`."""
    question = forward(seed)
    return question.with_arrays(**{name: np.zeros_like(question.arrays[name]) for name in of if name != kept})


def with_biases(seed: int, **gates: float) -> Question:
    """The biases of the named gates start at a value and go up by 8 from unit to unit."""
    question, H = forward(seed), SIZES["H"]
    bias = question.arrays["bias_ih_l0"].copy()
    for gate, value in gates.items():
        row = list(GATES).index(gate) * H
        bias[row : row + H] = value + 8.0 * np.arange(H)
    return question.with_arrays(bias_ih_l0=bias)


def saturated_negative(seed: int) -> Question:
    """All gates of unit 0 near -1000, of unit 1 near -30; unit 2 as it comes."""
    question, H = forward(seed), SIZES["H"]
    bias = question.arrays["bias_ih_l0"].copy()
    bias[0::H] = [-960, -976, -992, -1008]
    bias[1::H] = [-28, -30, -32, -34]
    return question.with_arrays(bias_ih_l0=bias)


def subnormal(seed: int, exponent: int) -> Question:
    """weight_ih is below the smallest normal number, x so large that their products are ordinary numbers."""
    question = forward(seed)
    tiny = np.ldexp(question.arrays["weight_ih_l0"], -exponent)
    return question.with_arrays(weight_ih_l0=tiny, x=np.ldexp(question.arrays["x"], exponent))


BY_HAND = """One unit, one input, two steps: small enough for a pocket calculator, line by line as below.
x1 = 1.5
x2 = -2
h0 = 0.6875
c0 = -0.4375
i1 = sigmoid(0.5*x1 - 0.5*h0 + 0.375 - 0.625) = sigmoid(0.156250) = 0.538983
f1 = sigmoid(-0.25*x1 + 0.125*h0 + 1.25 + 0.875) = sigmoid(1.835938) = 0.862468
g1 = tanh(0.75*x1 + 0.25*h0 - 0.125 + 0.3125) = tanh(1.484375) = 0.902284
o1 = sigmoid(1*x1 - 0.75*h0 + 0.0625 - 0.375) = sigmoid(0.671875) = 0.661923
c1 = f1*c0 + i1*g1 = 0.108987
h1 = o1*tanh(c1) = 0.071856
i2 = sigmoid(0.5*x2 - 0.5*h1 + 0.375 - 0.625) = sigmoid(-1.285928) = 0.216543
f2 = sigmoid(-0.25*x2 + 0.125*h1 + 1.25 + 0.875) = sigmoid(2.633982) = 0.933017
g2 = tanh(0.75*x2 + 0.25*h1 - 0.125 + 0.3125) = tanh(-1.294536) = -0.860310
o2 = sigmoid(1*x2 - 0.75*h1 + 0.0625 - 0.375) = sigmoid(-2.366392) = 0.085772
c2 = f2*c1 + i2*g2 = -0.084608
h2 = o2*tanh(c2) = -0.007240
The answer is y = h1, h2; h_n = h2; c_n = c2."""


def by_hand() -> Question:
    arrays = {
        "weight_ih_l0": [[0.5], [-0.25], [0.75], [1.0]],
        "weight_hh_l0": [[-0.5], [0.125], [0.25], [-0.75]],
        "bias_ih_l0": [0.375, 1.25, -0.125, 0.0625],
        "bias_hh_l0": [-0.625, 0.875, 0.3125, -0.375],
        "x": [[[1.5]], [[-2.0]]],
        "h0": [[[0.6875]]],
        "c0": [[[-0.4375]]],
    }
    return Question("forward", {name: np.array(values) for name, values in arrays.items()})


BIASES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def forward_cases() -> Iterator[Case]:
    yield Case("by_hand", BY_HAND, by_hand())
    for seed, (gate, name) in enumerate(GATES.items(), start=1):
        yield Case(f"gate_{gate}", f"Only the {name} has weights; the other gates are constants.", one_gate(seed, gate))
    yield Case("bias_ih", "Only bias_ih is not zero: x and h cannot be seen.", only(5, "bias_ih_l0", BIASES))
    yield Case(
        "bias_hh",
        "Only bias_hh is not zero: one bias that is read as the other, or dropped.",
        only(6, "bias_hh_l0", BIASES),
    )
    yield Case("state_h0", "c0 is zero: h0 ignored, or taken for c0, shows.", only(7, "h0", ("h0", "c0")))
    yield Case("state_c0", "h0 is zero: c0 ignored, or taken for h0, shows.", only(8, "c0", ("h0", "c0")))
    yield Case("one_step", "T = 1: y is h_n.", forward(9, T=1))
    yield Case("one_unit", "H = 1: a product that became a scalar.", forward(10, H=1))
    yield Case("one_row", "B = 1: an axis that was squeezed away.", forward(11, B=1))
    yield Case("one_input", "I = 1.", forward(12, I=1))
    yield Case(
        "all_sizes_differ", "T, B, I, H = 6, 4, 3, 5: no axis can stand for another.", forward(13, T=6, B=4, I=3, H=5)
    )
    yield Case(
        "saturated_keep",
        "f = 1 and i = 0 to the last bit: c_n is c0. A sigmoid that overflows gives NaN.",
        with_biases(14, i=-1008.0, f=992.0),
    )
    yield Case(
        "saturated_negative",
        "All gates of unit 0 near -1000, of unit 1 near -30: exp overflows where it is taken of the wrong sign.",
        saturated_negative(15),
    )
    yield Case(
        "subnormal_float64",
        "weight_ih is subnormal in float64: flushed to zero, x does not count.",
        subnormal(16, 1023),
    )
    yield Case("subnormal_float32", "weight_ih is subnormal in float32, ordinary in float64.", subnormal(17, 127))
    yield Case(
        "two_layers",
        "The second layer reads the first, and its state is the second row of h0 and c0.",
        forward(18, L=2),
    )
    yield Case(
        "bidirectional",
        "The second direction reads backwards; y is both side by side, h_n its last step.",
        forward(19, D=2),
    )
    yield Case(
        "lengths",
        "Rows end early, not sorted by length: h_n and c_n are from each row's own end; y is 0 after.",
        forward(20, lengths=(2, 4, 1), B=3),
    )
    yield Case(
        "deep_bidirectional_lengths",
        "Two layers, two directions, three lengths: the backward direction starts at each row's end.",
        forward(21, lengths=(3, 1, 4), B=3, H=2, L=2, D=2),
    )
    yield Case("projection", "h = weight_hr times o*tanh(c): h has 2 units, c has 3.", forward(22, P=2))
    yield Case("peepholes", "i and f look at the c before, o at the c after.", forward(23, peepholes=True))


def backward_cases() -> Iterator[Case]:
    yield Case("gradients_of_y", "Only dy: every step has a gradient of its own.", backward(31, upstream=("dy",)))
    yield Case("gradients_of_h_n", "Only dh_n.", backward(32, upstream=("dh_n",)))
    yield Case("gradients_of_c_n", "Only dc_n: ignored, every gradient is zero.", backward(33, upstream=("dc_n",)))
    yield Case(
        "gradients", "dy, dh_n and dc_n together add up; T, B, I, H = 5, 4, 2, 3.", backward(34, T=5, B=4, I=2, H=3)
    )
    yield Case(
        "gradients_one_of_each",
        "T = B = I = H = 1: small enough to follow with a debugger.",
        backward(35, T=1, B=1, I=1, H=1),
    )
    yield Case("gradients_one_unit", "H = 1 with T = 4, B = 2, I = 5.", backward(36, H=1))
    yield Case(
        "gradients_depth_3",
        "Three layers: what goes wrong only beyond the second.",
        backward(37, T=3, B=1, I=4, H=2, L=3),
    )
    yield Case(
        "gradients_bidirectional_lengths",
        "Two layers, two directions, three lengths: dy after a row's end is ignored, and dx there is 0.",
        backward(38, lengths=(3, 1, 4), B=3, I=1, H=2, L=2, D=2),
    )
    yield Case("gradients_projection", "With dweight_hr.", backward(39, P=2))
    yield Case(
        "gradients_peepholes", "With dpeephole; o's peephole sends a gradient into c.", backward(40, peepholes=True)
    )

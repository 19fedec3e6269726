"""The W3C's conformance tests of WebNN's lstm and lstmCell, from web-platform-tests.

All cases share one set of weights, in which the four gates are equal: their order cannot be told, and the layouts iofg
and ifgo, which have a case each, are the same arrays. All but one put relu for every activation, so a wrong sigmoid or
tanh is never run, and in the one step of most cases h0 = c0 = 0 leaves nothing for the recurrent matrix and the forget
gate to do. bias and recurrentBias are equal, and the peephole weights are 0. The case with both directions and the
usual activations is the latest; before it came the tolerance was 1 ULP.
"""

import numpy as np

from parity_tests.suite.published.case import PublishedCase, PublishedSuite, forward, single, within_ulp
from parity_tests.suite.published.cell import expect
from parity_tests.suite.question import Question

ULP = 3
STEP_1 = [[[1.0, 2], [2, 1]]]  # [T,B,I]
STEP_2 = [*STEP_1, [[3.0, 4], [1, 2]]]

# Published name of the test (shortened) -> outputs. All have one step, a single direction and relu, and none changes an
# array of our question but `peepholeWeight`, which is 0.
LSTM = {
    "bias, recurrentBias": ("h_n", "c_n"),
    "peepholeWeight": ("h_n", "c_n"),
    "initialHiddenState": ("h_n", "c_n"),
    "initialCellState": ("h_n", "c_n"),
    "returnSequence=false": ("h_n", "c_n"),
    "returnSequence=true": ("h_n", "c_n", "y"),
    "direction=forward": ("h_n", "c_n"),
    "layout=iofg": ("h_n", "c_n"),
    "layout=ifgo": ("h_n", "c_n"),
    "all options": ("h_n", "c_n", "y"),
}
CELL = ("bias, recurrentBias", "peepholeWeight", "layout=iofg", "layout=ifgo", "all options")


def weights(suffix: str, recurrent: float) -> dict[str, np.ndarray]:
    """I = H = 2; each gate [[1,-1],[2,-2]], and [1,2] for either bias."""
    return {
        f"weight_ih{suffix}": np.tile([[1.0, -1], [2, -2]], (4, 1)),
        f"weight_hh{suffix}": np.full((8, 2), recurrent),
        f"bias_ih{suffix}": np.tile([1.0, 2], 4),
        f"bias_hh{suffix}": np.tile([1.0, 2], 4),
    }


def question(steps: list, recurrent: float, peephole: bool = False, both: bool = False, relu: bool = True) -> Question:
    x = np.array(steps)
    arrays = weights("_l0", recurrent) | (weights("_l0_reverse", recurrent) if both else {})
    if peephole:
        arrays["peephole_l0"] = np.zeros(6)
    asked = forward(x, 2, **arrays)
    return Question("forward", asked.arrays, {"activations": ["relu"] * 3} if relu else {})


def cases(both_directions: bool = True) -> tuple[PublishedCase, ...]:
    float32, float16 = single(0.1), float(np.float16(0.1))

    def case(name: str, asked: Question, outputs: tuple[str, ...], dtype: type[np.floating] = np.float32):
        return PublishedCase(name, asked, expect(asked, outputs), within_ulp(ULP, dtype))

    def peephole(name: str) -> bool:
        return name in ("peepholeWeight", "all options")

    found = [case(f"lstm 1 step: {n}", question(STEP_1, float32, peephole(n)), o) for n, o in LSTM.items()]
    backward = STEP_2[::-1]  # direction=backward is forward on the flipped input; its y comes back flipped
    found += [
        case("lstm 2 steps: direction=backward", question(backward, float32), ("h_n", "c_n")),
        case("lstm 2 steps: all options, backward", question(backward, float32, True), ("h_n", "c_n", "y")),
    ]
    if both_directions:
        both = question(STEP_2, float32, both=True, relu=False)
        found.append(case("lstm 2 steps: direction=both", both, ("h_n", "c_n", "y")))
    # In float16 the recurrent matrix is another number, but after one step from 0 it has not been used.
    found.append(case("lstm float16 1 step", question(STEP_1, float16), ("h_n", "c_n"), np.float16))
    for n in CELL:
        found.append(case(f"lstmCell: {n}", question(STEP_1, float32, peephole(n)), ("h_n", "c_n")))
        asked = question(STEP_1, float16, peephole(n))
        found.append(case(f"lstmCell float16: {n}", asked, ("h_n", "c_n"), np.float16))
    return tuple(found)


def suite(both_directions: bool = True) -> PublishedSuite:
    """`both_directions=False`: as the tests were before the case with both directions."""
    return PublishedSuite(
        name="webnn",
        title="W3C WebNN LSTM tests",
        source="wpt webnn/conformance_tests/lstm.https.any.js, lstm_cell.https.any.js (Chromium's copy)",
        tolerance=f"{ULP} ULP of float32 or float16",
        note="all gates have the same weights; relu for every activation but in one case; T is 1 or 2; h0 = c0 = 0",
        cases=cases(both_directions),
    )

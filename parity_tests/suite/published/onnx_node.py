"""ONNX's node tests of the operator LSTM, those which onnx 1.23.2 has.

Every weight of a case is one constant, so all four gates see the same pre-activation: their order cannot be told, nor
W from its transpose. No case sets initial_h or initial_c to anything but zero, and four of the six have one step, where
a recurrent matrix and a forget gate have nothing to act on. The four cases of one step look at Y_h alone (`batchwise`
also at Y, which is then the same array); the two of three steps at Y_h and Y_c.
"""

import numpy as np

from parity_tests.suite.published.case import PublishedCase, PublishedSuite, forward, single, within
from parity_tests.suite.published.cell import expect
from parity_tests.suite.question import Question

RTOL, ATOL = 1e-3, 1e-7  # of onnx.backend.test, for every node test
ONE_STEP = ("defaults", "with_initial_bias", "with_peepholes", "batchwise")


def counted(*shape: int) -> np.ndarray:
    """1, 2, 3, ...: the input of every case."""
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)


def constant(x: np.ndarray, H: int, scale: float, suffix: str = "_l0", bias: float = 0.0) -> dict[str, np.ndarray]:
    """Weights that are all `scale`, bias_ih that is all `bias`."""
    return {
        f"weight_ih{suffix}": np.full((4 * H, x.shape[-1]), single(scale)),
        f"weight_hh{suffix}": np.full((4 * H, H), single(scale)),
        f"bias_ih{suffix}": np.full(4 * H, single(bias)),
    }


def cases() -> tuple[PublishedCase, ...]:
    def case(name: str, question: Question, *outputs: str) -> PublishedCase:
        return PublishedCase(f"test_lstm_{name}", question, expect(question, outputs), within(RTOL, ATOL))

    one, wide, many = counted(1, 3, 2), counted(1, 3, 3), counted(3, 1, 2)  # [T,B,I]
    peephole = np.full(9, single(0.1))  # order i, o, f in ONNX and i, f, o here: of a constant the same
    batchwise = forward(one, 7, **constant(one, 7, 0.3))
    backwards = constant(many, 3, 0.5) | constant(many, 3, 2.0, "_l0_reverse")
    return (
        case("defaults", forward(one, 3, **constant(one, 3, 0.1)), "h_n"),
        case("with_initial_bias", forward(wide, 4, **constant(wide, 4, 0.1, bias=0.1)), "h_n"),
        case(
            "with_peepholes",
            forward(counted(1, 2, 4), 3, **constant(counted(1, 2, 4), 3, 0.1), peephole_l0=peephole),
            "h_n",
        ),
        case(
            "batchwise",
            Question("forward", {**batchwise.arrays, "x": one.swapaxes(0, 1)}, {"batch_first": True}),
            "y",
            "h_n",
        ),
        # A single direction backwards is the forward one on the flipped input, at least of what this case looks at.
        case("reverse", forward(many[::-1].copy(), 3, **constant(many, 3, 0.1)), "h_n", "c_n"),
        case("bidirectional", forward(many, 3, **backwards), "h_n", "c_n"),
    )


def suite(names: tuple[str, ...] = ()) -> PublishedSuite:
    """All cases, or those named (without `test_lstm_`)."""
    chosen = tuple(c for c in cases() if not names or c.name.removeprefix("test_lstm_") in names)
    return PublishedSuite(
        name="onnx",
        title="ONNX LSTM node tests",
        source="onnx/onnx onnx/backend/test/case/node/lstm.py (1.23.2)",
        tolerance=f"rtol {RTOL:g}, atol {ATOL:g}",
        note="all weights of a case are one constant; h0 = c0 = 0; one step in four of six cases",
        cases=chosen,
    )

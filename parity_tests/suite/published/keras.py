"""Keras's tests of its LSTM layer that compare numbers: correctness, statefulness, initial state, masking.

Kernel, recurrent kernel and bias are one constant each (0.01, 0.02, 0.03), but the forget gate's bias is 1 unless
unit_forget_bias=False. So a wrong order of gates is seen where it moves the forget gate, and not among the other three.
Where an initial state is given, h0 and c0 are the same array. A layer has one bias: bias_hh is 0 here.

Keras flips the input for go_backwards, repeats the last output after a row's end (here y is 0 there; the test with
zero_output_for_mask=True agrees), and carries the state of a stateful layer into the next call. Its other tests of the
layer look at shapes, not at numbers.
"""

import numpy as np

from parity_tests.suite.published.case import PublishedCase, PublishedSuite, forward, single, within
from parity_tests.suite.published.cell import expect
from parity_tests.suite.question import Answer, Question

RTOL = ATOL = 1e-5


def question(shape: tuple[int, int, int], H: int, bias: float = 0.03, forget: float = 1.0, backwards: bool = False):
    """shape: [B,T,I], as in Keras; x counts 0, 1, 2, ... in that order."""
    B, T, I = shape
    x = np.arange(float(B * T * I)).reshape(shape).swapaxes(0, 1)
    b = np.full(4 * H, single(bias))
    b[H : 2 * H] = single(forget)
    weights = {
        "weight_ih_l0": np.full((4 * H, I), single(0.01)),
        "weight_hh_l0": np.full((4 * H, H), single(0.02)),
        "bias_ih_l0": b,
    }
    return forward((x[::-1] if backwards else x).copy(), H, **weights)


def up_to_length(lengths: np.ndarray):
    """Keras's comparison, of y only where a row has not ended."""
    equal = within(RTOL, ATOL)

    def compare(expected: Answer, got: Answer) -> bool:
        inside = np.arange(len(expected["y"]))[:, None, None] < lengths[:, None]
        parts = [{**answer, "y": np.where(inside, answer["y"], 0)} for answer in (expected, got)]
        return equal(*parts)

    return compare


def cases() -> tuple[PublishedCase, ...]:
    equal = within(RTOL, ATOL)

    def case(name: str, asked: Question, outputs=("h_n",), compare=equal, windows: int = 1) -> PublishedCase:
        return PublishedCase(name, asked, expect(asked, outputs, windows), compare, windows)

    sequence = (3, 6, 4)  # B, T, I
    given = np.arange(4.0).reshape(1, 2, 2)
    start = {"h0": given, "c0": given.copy()}
    lengths = np.array([3, 2])
    masked = question((2, 4, 3), 2).with_arrays(lengths=lengths)
    return (
        case("correctness", question(sequence, 3)),
        case("correctness go_backwards", question(sequence, 3, backwards=True)),
        case("correctness unroll", question(sequence, 3)),
        case("correctness unit_forget_bias=False", question(sequence, 3, forget=0.03)),
        case("correctness use_bias=False", question(sequence, 3, bias=0, forget=0)),
        case("statefulness", question((2, 3, 4), 4), windows=2),
        case("pass_initial_state", question((2, 4, 3), 2).with_arrays(**start)),
        case("pass_initial_state go_backwards", question((2, 4, 3), 2, backwards=True).with_arrays(**start)),
        case("masking unroll", masked),
        case("masking return_sequences", masked, ("y", "h_n"), up_to_length(lengths)),
        case("masking zero_output_for_mask", masked, ("y",)),
        case("masking go_backwards", question((2, 4, 3), 2, backwards=True).with_arrays(lengths=lengths)),
    )


def suite(test: str = "") -> PublishedSuite:
    """All tests, or the cases of one: `correctness`, say."""
    return PublishedSuite(
        name="keras",
        title="Keras `lstm_test.py`",
        source="keras-team/keras keras/src/layers/rnn/lstm_test.py",
        tolerance=f"rtol {RTOL:g}, atol {ATOL:g}",
        note="constant weights; only the forget gate's bias differs; one bias; h0 = c0 where they are not 0",
        cases=tuple(case for case in cases() if case.name.startswith(test)),
    )

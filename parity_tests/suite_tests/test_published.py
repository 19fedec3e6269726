"""The published suites as data: our figures are theirs, and each accepts a right LSTM."""

import itertools

import numpy as np
import pytest

from parity_tests.suite.published import SUITES, flashrnn, keras, onnx_node, webnn
from parity_tests.suite.published.case import within, within_ulp
from parity_tests.suite.published.cell import right
from parity_tests.suite.question import Question
from parity_tests.suite.referee import Referee

WRONG_ORDERS = [order for order in itertools.permutations(range(4)) if order != (0, 1, 2, 3)]

# What Keras's tests print, one number a row where all units of the row are equal.
KERAS = {
    "correctness": [0.6288687, 0.86899155, 0.9460773],
    "correctness go_backwards": [0.35622165, 0.74789524, 0.8872726],
    "correctness unroll": [0.6288687, 0.86899155, 0.9460773],
    "correctness unit_forget_bias=False": [0.57019705, 0.8661914, 0.9459622],
    "correctness use_bias=False": [0.54986924, 0.86226785, 0.9443936],
    "statefulness": [0.3124785, 0.6863672],
    "pass_initial_state": [[0.20574439, 0.3558822], [0.64930826, 0.66276]],
    "pass_initial_state go_backwards": [[0.13281618, 0.2790356], [0.5839337, 0.5992567]],
    "masking unroll": [0.11755939, 0.28556206],
    "masking return_sequences": [0.11755939, 0.28556206],
    "masking go_backwards": [0.15341201, 0.3844719],
}
# WebNN's, in our axes: h_n, c_n [D,B,H], y [T,B,D*H] in the order in which the steps are asked.
WEBNN = {
    "lstm 1 step: all options": {"h_n": [1, 8, 27, 216], "c_n": [1, 4, 9, 36], "y": [1, 8, 27, 216]},
    "lstm 2 steps: all options, backward": {
        "h_n": [10.469000816345215, 58.02900695800781, 74.52900695800781, 518.948974609375],
        "c_n": [5.510000228881836, 20.01000213623047, 19.110000610351564, 75.20999908447266],
        "y": [1, 8, 1, 8, 10.469000816345215, 58.02900695800781, 74.52900695800781, 518.948974609375],
    },
    "lstm 2 steps: direction=both": {
        "h_n": [
            [0.5764073133468628, 0.8236227035522461, 0.6612355709075928, 0.8442635536193848],
            [0.5764073133468628, 0.8236227035522461, 0.8635294437408447, 0.9491351246833801],
        ],
        "c_n": [
            [1.0171456336975098, 1.6205494403839111, 1.3388464450836182, 1.7642604112625122],
            [1.0171456336975098, 1.6205494403839111, 1.4856269359588623, 1.8449554443359375],
        ],
    },
}


def named(suite, name):
    return next(case for case in suite.cases if case.name == name)


@pytest.mark.parametrize("name", KERAS)
def test_keras_constants_come_out_of_our_cell(name):
    case = named(keras.suite(), name)
    printed = np.array(KERAS[name])
    printed = printed if printed.ndim == 2 else np.repeat(printed[:, None], case.expected["h_n"].shape[-1], axis=1)
    # Seven or eight digits are printed, of a float32 run: a unit of float32 at 0.9 is 6e-8, and some add up.
    np.testing.assert_allclose(case.expected["h_n"][0], printed, rtol=0, atol=3e-7)


@pytest.mark.parametrize("name", WEBNN)
def test_webnn_constants_come_out_of_our_cell_within_webnns_tolerance(name):
    case = named(webnn.suite(), name)
    shapes = {output: array.shape for output, array in case.expected.items()}
    printed = {output: np.array(numbers).reshape(shapes[output]) for output, numbers in WEBNN[name].items()}
    assert within_ulp(webnn.ULP, np.float32)(printed, case.expected)


def test_onnx_cases_are_those_of_the_installed_onnx():
    pytest.importorskip("onnx.backend.test.case.node.lstm")  # collects its own cases when it is imported
    from onnx.backend.test.case.node import _NodeTestCases

    theirs = {case.name: case for case in _NodeTestCases if case.name.startswith("test_lstm_")}
    ours = {case.name: case for case in onnx_node.suite().cases}
    assert theirs
    assert theirs.keys() <= ours.keys()  # an older onnx has fewer
    for name, case in theirs.items():
        assert (case.rtol, case.atol) == (onnx_node.RTOL, onnx_node.ATOL)
        ((inputs, outputs),) = case.data_sets
        arrays, backwards = ours[name].question.arrays, name == "test_lstm_reverse"
        np.testing.assert_array_equal(arrays["x"][::-1] if backwards else arrays["x"], inputs[0])
        for weight, given in zip(("weight_ih_l0", "weight_hh_l0"), inputs[1:3]):
            both = [arrays[weight], *([arrays[f"{weight}_reverse"]] if len(given) == 2 else [])]
            np.testing.assert_array_equal(np.stack(both), given)
        looked_at = list(ours[name].expected)
        assert looked_at == {"batchwise": ["y", "h_n"]}.get(name[10:], ["h_n", "c_n"][: len(outputs)])
        for output, given in zip(looked_at, outputs):
            expected = ours[name].expected[output]
            if name == "test_lstm_batchwise":  # ONNX: Y [B,T,D,H], Y_h [B,D,H]
                given = given[:, :, 0] if output == "y" else given.swapaxes(0, 1)
            # ONNX computes in float32: a few units of 6e-8, of numbers up to 3
            np.testing.assert_allclose(expected, given, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SUITES)
def test_a_right_lstm_is_accepted_by_every_case(name):
    for case in SUITES[name]().cases:
        assert case.accepts(case.ask(right)), case.name


@pytest.mark.parametrize("name", SUITES)
def test_our_cell_and_the_judge_agree_on_every_question_that_the_judge_takes(name):
    for case in SUITES[name]().cases:
        if "activations" not in case.question.settings:  # the judge's are sigmoid and tanh
            ours, judged = case.ask(right), case.ask(Referee().answer)
            for output, array in judged.items():
                # Both in float64: some units of 2e-16 a step, in values of at most 3
                np.testing.assert_allclose(ours[output], array, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", SUITES)
def test_nan_and_a_missing_or_misshapen_output_are_never_accepted(name):
    for case in SUITES[name]().cases:
        for output, array in case.expected.items():
            spoilt = array.copy()
            spoilt.reshape(-1)[0] = np.nan
            assert not case.accepts({**case.expected, output: spoilt}), case.name
            assert not case.accepts({**case.expected, output: array[None]}), case.name
            assert not case.accepts({n: a for n, a in case.expected.items() if n != output}), case.name


@pytest.mark.parametrize("order", WRONG_ORDERS)
@pytest.mark.parametrize("suite", [onnx_node.suite(), webnn.suite()], ids=["onnx", "webnn"])
def test_no_answer_to_onnx_and_webnn_depends_on_the_order_of_gates(suite, order):
    """Not for our LSTMs only: the arrays themselves are the same in every order."""
    for case in suite.cases:
        for name, array in case.question.weights().items():
            if not name.startswith("peephole"):
                blocks = array.reshape(4, -1)
                np.testing.assert_array_equal(blocks[list(order)], blocks, err_msg=f"{case.name}: {name}")


def test_onnx_and_webnn_start_every_case_from_zero():
    for case in [*onnx_node.suite().cases, *webnn.suite().cases]:
        assert not case.question.arrays["h0"].any()
        assert not case.question.arrays["c0"].any()


def test_the_random_vector_has_four_sizes_and_no_zero():
    (case,) = SUITES["random"]().cases
    T, B, I = case.question.arrays["x"].shape
    H = case.question.arrays["h0"].shape[-1]
    assert len({T, B, I, H}) == 4
    assert all(array.all() for array in case.question.arrays.values())


def test_a_limit_in_ulp_is_exact_across_zero_and_a_power_of_two():
    for start in (1.0, -1.0, 0.0, 300.0):
        number = np.float32(start)
        for ulp in range(1, 6):
            number = np.nextafter(number, np.float32(-np.inf))
            given, expected = {"y": np.array([number], np.float64)}, {"y": np.array([start])}
            assert within_ulp(3, np.float32)(expected, given) == (ulp <= 3)
            assert within_ulp(3, np.float32)(given, expected) == (ulp <= 3)


def test_a_limit_has_both_an_absolute_and_a_relative_part():
    accepts = within(rtol=0.5, atol=0.25)
    assert accepts({"y": np.array([2.0])}, {"y": np.array([3.25])})
    assert not accepts({"y": np.array([2.0])}, {"y": np.array([3.2501])})
    assert not accepts({"y": np.array([2.0])}, {"y": np.array([np.inf])})


def test_bfloat16_is_pytorchs():
    torch = pytest.importorskip("torch")
    numbers = np.concatenate([flashrnn.normal(flashrnn.Draws(1), "test", (2000,)), 1 + np.arange(9) / 512, [np.inf]])
    theirs = torch.from_numpy(numbers).float().bfloat16().double().numpy()
    np.testing.assert_array_equal(flashrnn.bfloat16(numbers), theirs)


def test_flashrnns_numbers_are_normal_and_differ_from_draw_to_draw():
    drawn = np.stack([flashrnn.normal(flashrnn.Draws(seed), "test", (5000,)) for seed in range(2)])
    # 10 000 numbers: the mean has a deviation of 0.01, the second moment of 0.014, the fourth of 0.1
    assert abs(drawn.mean()) < 0.05
    assert abs((drawn**2).mean() - 1) < 0.07
    assert abs((drawn**4).mean() - 3) < 0.5
    assert not np.any(drawn[0] == drawn[1])


def test_a_stateful_case_is_asked_twice_with_the_state_carried():
    case, seen = named(keras.suite(), "statefulness"), []

    def answer(question: Question):
        seen.append((question.arrays["h0"], right(question)["h_n"]))
        return right(question)

    case.ask(answer)
    (first, _), (second, _) = seen
    assert not first.any()
    np.testing.assert_array_equal(second, seen[0][1])

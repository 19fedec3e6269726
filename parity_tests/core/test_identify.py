"""`identify` names the layout of arrays without names, from one output: every system, every order of the gates, and the
usual mistakes with biases and states. The outputs come from each system's own equations or from torch.nn.LSTM."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ShapeError, UsageError
from lstm_ref.core.layouts import SYSTEMS, identify
from lstm_ref.core.layouts.systems import FLASHRNN, KERAS, NUMPY_ML, ONNX, PYTORCH, TF1
from parity_tests.cases import seeds, values
from parity_tests.core.system_equations import EQUATIONS, Weights, webnn
from parity_tests.core.test_layouts import CLOSE, Size, inputs_of, pytorch, run, sizes, weights_of

SIZE = Size(T=4, B=2, I=3, H=5)
ORDERS = ["".join(order) for order in itertools.permutations("ifgo")]
# Kernels that lie alike, so that nothing but the names of the arrays tells them apart.
ALIKE = [{"pytorch", "webnn-ifgo"}, {"char-rnn", "caffe2"}]


def nameless(arrays: Weights) -> Weights:
    return {f"arr_{k}": value for k, value in enumerate(arrays.values())}


def case_of(weights: Weights, size: Size = SIZE, seed: int = 1, N: int = 1) -> Weights:
    """x, h0, c0, and what PyTorch makes of them."""
    x, h0, c0 = inputs_of(*size, seed, N)
    y, h_n, c_n = pytorch(weights, x, h0, c0)
    return {"x": x, "h0": h0, "c0": c0, "y": y, "h_n": h_n, "c_n": c_n}


def only(case: Weights, *names: str) -> Weights:
    return {name: case[name] for name in names}


WEIGHTS = weights_of(SIZE.I, SIZE.H, seed=1)
CASE = case_of(WEIGHTS)
IN_AND_Y = only(CASE, "x", "h0", "c0", "y")


@pytest.mark.parametrize("name", SYSTEMS)
@settings(max_examples=4)  # of half a second each
@given(size=sizes, seed=seeds)
def test_every_system_is_found_first_without_its_names_and_with_them(name, size, seed):
    weights = weights_of(size.I, size.H, seed)
    case, arrays = only(case_of(weights, size, seed), "x", "h0", "c0", "y"), SYSTEMS[name].from_ours(weights)
    best, second = identify(nameless(arrays), **case)[:2]
    expected = next((alike for alike in ALIKE if name in alike), {name})
    assert best.fits
    assert best.error <= CLOSE
    if size.H > 1:  # with one unit, an axis of units more or less is not to be seen
        assert set(best.systems) == expected
        assert best.gates == SYSTEMS[name].gates
    assert name in best.systems
    assert second.error > 1e3 * CLOSE
    by_name = identify(arrays, **case)[0]
    assert (by_name.systems, by_name.by_name, by_name.fits) == ((name,), True, True)


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_system_is_found_from_its_own_arrays_and_its_own_outputs(name):
    """Not by way of ours: the arrays are drawn in the system's shapes, the output is computed by its equations."""
    layout, draws = SYSTEMS[name], Draws(7)
    arrays = {key: values(draws, key, *value.shape) for key, value in layout.from_ours(WEIGHTS).items()}
    x, h0, c0 = inputs_of(*SIZE, seed=7)
    y, _, _ = run(layout, EQUATIONS[name], arrays, x, h0[0], c0[0])
    best = identify(nameless(arrays), x=x, h0=h0, c0=c0, y=y)[0]
    assert name in best.systems
    assert best.gates == layout.gates
    found, _, _ = pytorch(best.weights, x, h0, c0)
    assert np.abs(found - y).max() <= CLOSE


@pytest.mark.parametrize("layout", [PYTORCH, KERAS, TF1, ONNX, NUMPY_ML, FLASHRNN], ids=lambda layout: layout.name)
def test_every_order_of_the_gates_is_found_first(layout):
    for gates in ORDERS:
        best, second = identify(nameless(replace(layout, gates=gates).from_ours(WEIGHTS)), **IN_AND_Y)[:2]
        assert best.gates == gates
        assert best.error <= CLOSE < second.error
        assert (layout.name in best.systems) == (gates == layout.gates)


@given(seed=seeds, size=sizes)
def test_the_weights_of_the_best_candidate_give_the_output_in_pytorch(seed, size):
    weights = weights_of(size.I, size.H, seed)
    case = case_of(weights, size, seed)
    arrays = replace(ONNX, gates="gfoi").from_ours(weights)
    best = identify(nameless(arrays), **case)[0]
    assert best.weights.keys() == weights.keys()
    for found, expected in zip(pytorch(best.weights, case["x"], case["h0"], case["c0"]), (case["y"],)):
        assert np.abs(found - expected).max() <= CLOSE


TWO, ONE, BOTH_IN_ONE = PYTORCH.from_ours(WEIGHTS), KERAS.from_ours(WEIGHTS), ONNX.from_ours(WEIGHTS)
USES = {  # arrays, factors on bias_ih and bias_hh in what is computed, how that is called
    "two, added": (TWO, (1, 1)),
    "two, the second dropped": (TWO, (1, 0)),
    "two, the first dropped": (TWO, (0, 1)),
    "two, both dropped": (TWO, (0, 0)),
    "two, the first doubled and the second dropped": (TWO, (2, 0)),
    "two, the second doubled and the first dropped": (TWO, (0, 2)),
    "two, both doubled": (TWO, (2, 2)),
    "one, dropped": (ONE, (0, 0)),
    "one, doubled": (ONE, (2, 2)),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("forget_bias", [0.0, 1.0])
def test_what_was_done_with_the_biases_is_found(use, forget_bias):
    arrays, (first, second) = USES[use]
    computed = dict(WEIGHTS, bias_ih_l0=first * WEIGHTS["bias_ih_l0"], bias_hh_l0=second * WEIGHTS["bias_hh_l0"])
    computed["bias_hh_l0"][SIZE.H : 2 * SIZE.H] += forget_bias
    best, following = identify(nameless(arrays), **only(case_of(computed), "x", "h0", "c0", "y"))[:2]
    assert (best.biases, best.forget_bias, best.gates) == (use, forget_bias, "ifgo")
    assert best.error <= CLOSE < following.error
    assert best.systems == () or use == "two, added"


def test_a_bias_of_8h_is_read_as_two():
    best = identify(nameless(BOTH_IN_ONE), **IN_AND_Y)[0]
    assert (best.systems, best.biases) == (("onnx",), "two, added")


@pytest.mark.parametrize("given_", [("y",), ("h_n",), ("c_n",), ("h_n", "c_n"), ("y", "h_n", "c_n")])
def test_any_one_output_is_enough(given_):
    best, second = identify(nameless(TWO), **only(CASE, "x", "h0", "c0", *given_))[:2]
    assert (best.gates, best.biases, best.exchanged) == ("ifgo", "two, added", False)
    assert best.error <= CLOSE < second.error


def test_states_given_as_c_and_h_are_found():
    turned = {"h0": CASE["c0"], "c0": CASE["h0"], "h_n": CASE["c_n"], "c_n": CASE["h_n"]}
    for outputs in (("y",), ("h_n",), ("h_n", "c_n")):
        best = identify(nameless(TWO), **only(CASE | turned, "x", "h0", "c0", *outputs))[0]
        assert best.exchanged
        assert best.fits
        assert "h and c exchanged" in best.text


@pytest.mark.parametrize("seen", ["new", "old"])
def test_peepholes_are_found_in_every_order_and_on_either_cell(seen):
    weights = weights_of(SIZE.I, SIZE.H, seed=1, peepholes=True)
    x, h0, c0 = inputs_of(*SIZE, seed=1)
    step = EQUATIONS["onnx"] if seen == "new" else webnn
    layout = ONNX if seen == "new" else SYSTEMS["webnn"]
    y, _, _ = run(layout, step, layout.from_ours(weights), x, h0[0], c0[0])
    for order in ("".join(order) for order in itertools.permutations("ifo")):
        arrays = replace(layout, peepholes=order).from_ours(weights)
        best, second = identify(nameless(arrays), x=x, h0=h0, c0=c0, y=y)[:2]
        assert (best.peepholes, best.old_cell, best.gates) == (order, seen == "old", "iofg")
        assert best.error <= CLOSE < second.error
        assert best.systems == ((layout.name,) if order == "iof" else ())


@pytest.mark.parametrize("turned", ["weight_ih", "weight_hh"])
def test_a_kernel_whose_gate_blocks_are_turned_is_found(turned):
    """As it goes unseen where I = H: every block has the right shape."""
    weights = weights_of(SIZE.H, SIZE.H, seed=1)
    case = only(case_of(weights, SIZE._replace(I=SIZE.H)), "x", "h0", "c0", "y")
    blocks = weights[f"{turned}_l0"].reshape(4, SIZE.H, SIZE.H).swapaxes(1, 2)
    best = identify(nameless(weights | {f"{turned}_l0": blocks.reshape(-1, SIZE.H)}), **case)[0]
    assert best.fits
    assert f"{turned} [4{'I' if turned == 'weight_ih' else 'H'},H] turned" in best.kernels
    np.testing.assert_array_equal(best.weights[f"{turned}_l0"], weights[f"{turned}_l0"])


def test_gates_that_stand_together_unit_by_unit_are_found():
    together = {
        name: np.ascontiguousarray(value.reshape(4, SIZE.H, -1).swapaxes(0, 1)).reshape(value.shape)
        for name, value in WEIGHTS.items()
    }
    best = identify(nameless(together), **IN_AND_Y)[0]
    assert best.fits
    assert best.systems == ()
    assert best.kernels.count("unit by unit") == 2


def test_kernels_in_the_other_order_are_found_where_their_sizes_are_equal():
    weights = weights_of(SIZE.H, SIZE.H, seed=1)
    case = only(case_of(weights, SIZE._replace(I=SIZE.H)), "x", "h0", "c0", "y")
    swapped = {"a": weights["weight_hh_l0"], "b": weights["weight_ih_l0"], "c": weights["bias_ih_l0"]}
    best = identify(swapped | {"d": weights["bias_hh_l0"]}, **case)[0]
    assert best.fits
    np.testing.assert_array_equal(best.weights["weight_ih_l0"], weights["weight_ih_l0"])


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "flax"])  # its names say which gate is which
def test_several_layers_and_directions_are_found_by_name_in_any_order_of_the_gates(name):
    weights = weights_of(6, 3, seed=1, L=2, D=2, stacked=name == "onednn")
    case = only(case_of(weights, Size(T=4, B=2, I=6, H=3), N=4), "x", "h0", "c0", "y")
    best = identify(SYSTEMS[name].from_ours(weights), **case)[0]
    assert (best.systems, best.gates, best.fits) == ((name,), SYSTEMS[name].gates, True)
    best = identify(replace(SYSTEMS[name], gates="ogfi").from_ours(weights), **case)[0]
    assert (best.systems, best.gates, best.fits) == ((), "ogfi", True)


def test_single_precision_is_enough():
    weights = {name: value.astype(np.float32) for name, value in WEIGHTS.items()}
    case = {name: value.astype(np.float32) for name, value in IN_AND_Y.items()}
    best, second = identify(nameless(KERAS.from_ours(weights)), **case)[:2]
    assert best.systems == ("keras",)
    assert 0 < best.error < 1e-6 < second.error
    assert {value.dtype for value in best.weights.values()} == {np.dtype(np.float32)}


def test_numbers_that_cannot_tell_layouts_apart_leave_them_all():
    """Equal gates, as in published tests of LSTMs: all 24 orders compute the same, and so are one function."""
    weights = {name: np.tile(value[: SIZE.H], (4,) + (1,) * (value.ndim - 1)) for name, value in WEIGHTS.items()}
    equal = identify(nameless(weights), **only(case_of(weights), "x", "h0", "c0", "y"), top=20)
    assert equal[0].systems == ("pytorch", "webnn-ifgo")
    assert sum(candidate.fits for candidate in equal) == 1
    zero = {"x": CASE["x"][:1], "y": pytorch(WEIGHTS, CASE["x"][:1], 0 * CASE["h0"], 0 * CASE["c0"])[0]}
    fitting = [candidate for candidate in identify(nameless(TWO), **zero, top=50) if candidate.fits]
    assert fitting[0].systems == ("pytorch", "webnn-ifgo")
    assert len(fitting) > 1  # one step from zero: the forget gate, and the recurrent kernel, do not show
    assert {candidate.forget_bias for candidate in fitting} == {0.0, 1.0}


def test_states_that_are_not_given_are_zero():
    x = CASE["x"]
    y = pytorch(WEIGHTS, x, 0 * CASE["h0"], 0 * CASE["c0"])[0]
    assert identify(nameless(TWO), x=x, y=y)[0].gates == "ifgo"
    assert identify(nameless(TWO), x=x, y=y, h0=CASE["h0"])[0].fits is False


def test_an_output_of_something_else_fits_nothing():
    wrong = identify(nameless(TWO), **(IN_AND_Y | {"y": CASE["y"] + 0.1}))
    assert not any(candidate.fits for candidate in wrong)
    assert wrong == sorted(wrong, key=lambda candidate: candidate.error)
    assert identify(nameless(TWO), **(IN_AND_Y | {"y": CASE["y"] + 0.1}), tolerance=0.2)[0].fits


def test_the_first_look_at_a_part_of_the_case_does_not_decide():
    """All but the last step and the last row of the batch agree with the weights: the whole case counts."""
    for place in ((-1, 0), (0, -1)):
        y = pytorch(WEIGHTS, *inputs_of(6, 5, 3, SIZE.H, seed=2))[0]
        y[place] += 1
        x, h0, c0 = inputs_of(6, 5, 3, SIZE.H, seed=2)
        best = identify(nameless(TWO), x=x, h0=h0, c0=c0, y=y)[0]
        assert not best.fits
        assert best.error >= 0.4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"y": None}, "nothing to compare with: give y, h_n or c_n"),
        ({"x": CASE["x"][0]}, "expected x [T,B,I] and y [T,B,H], got x [2, 3], y [4, 2, 5]"),
        ({"y": CASE["y"][1:]}, "got x [4, 2, 3], y [3, 2, 5]"),
        ({"h0": CASE["h0"][:, :1]}, "h0 has shape (1, 1, 5), expected [L*D,B,H] or [B,H] with B=2"),
        ({"h0": CASE["h0"][..., :2]}, "no layout that we know has such arrays for x [4, 2, 3]: arr_0 [20, 3]"),
        ({"x": CASE["x"][..., :2]}, "no layout that we know has such arrays for x [4, 2, 2]"),
        ({"y": CASE["y"] * np.nan}, "y has values that are not finite"),
        ({"x": CASE["x"] > 0}, "x is bool, expected real floating-point numbers"),
    ],
)
def test_cases_that_cannot_be_are_refused(change, problem):
    with pytest.raises((ShapeError, UsageError)) as caught:
        identify(nameless(TWO), **(IN_AND_Y | change))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_no_layout_has_are_refused():
    with pytest.raises(UsageError, match=r"no layout that we know has such arrays for x \[4, 2, 3\]: a \[7, 3\]"):
        identify({"a": np.ones((7, 3))}, **IN_AND_Y)
    with pytest.raises(UsageError, match=r"no layout that we know has such arrays .*: none"):
        identify({}, **IN_AND_Y)


@given(data=st.data())
@settings(max_examples=10)
def test_the_order_of_the_arrays_in_the_file_does_not_matter(data):
    names = data.draw(st.permutations(list(ONE)))
    best = identify({f"arr_{k}": ONE[name] for k, name in enumerate(names)}, **IN_AND_Y)[0]
    assert best.systems == ("keras",)

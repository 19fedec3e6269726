"""Weights of other systems: every conversion is exact, and every system computes with its arrays what PyTorch computes
with ours, by its own equations (core/system_equations.py). All sizes differ, and nothing is 0 unless a test says so."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, ShapeError, UsageError
from lstm_ref.core.layouts import SYSTEMS, Layout, layout_of
from parity_tests.cases import seeds, values
from parity_tests.core.system_equations import EQUATIONS, State, Weights, cudnn, keras, onednn, onnx, sig, tf1

# All in float64, with sums of fewer than 100 terms of size 1 and few steps: rounding is some 1e-14, a wrong block 1e-1.
CLOSE = 1e-12
WITH_PEEPHOLES = [name for name, layout in SYSTEMS.items() if layout.peepholes]
WITH_PROJECTIONS = [name for name, layout in SYSTEMS.items() if layout.has("weight_hr")]


class Size(NamedTuple):
    T: int
    B: int
    I: int
    H: int


sizes = st.permutations([1, 2, 3, 5, 6, 7]).map(lambda order: Size(*order[:4]))


def weights_of(
    I: int, H: int, seed: int, L: int = 1, D: int = 1, P: int = 0, peepholes: bool = False, stacked: bool = False
) -> Weights:
    """In our form. stacked: all layers have the same I."""
    draws, weights = Draws(seed), {}
    for layer in range(L):
        inputs = D * (P or H) if layer or stacked else I
        for direction in range(D):
            shapes = {
                "weight_ih": (4 * H, inputs),
                "weight_hh": (4 * H, P or H),
                "bias_ih": (4 * H,),
                "bias_hh": (4 * H,),
            }
            shapes |= {"weight_hr": (P, H)} if P else {}
            shapes |= {"peephole": (3 * H,)} if peepholes else {}
            for name, shape in shapes.items():
                own = f"{name}_l{layer}{'_reverse' * direction}"
                weights[own] = values(draws, own, *shape)
    return weights


def inputs_of(T: int, B: int, I: int, H: int, seed: int, N: int = 1, P: int = 0) -> tuple[np.ndarray, ...]:
    """x [T,B,I], h0 [N,B,P or H], c0 [N,B,H]."""
    draws = Draws(seed, 1)
    return values(draws, "x", T, B, I), values(draws, "h0", N, B, P or H), values(draws, "c0", N, B, H)


def pytorch(weights: Weights, x: np.ndarray, h0: np.ndarray, c0: np.ndarray) -> tuple[np.ndarray, ...]:
    """torch.nn.LSTM itself: y, h_n, c_n."""
    H, I = weights["weight_hh_l0"].shape[0] // 4, weights["weight_ih_l0"].shape[1]
    module = torch.nn.LSTM(
        I,
        H,
        num_layers=1 + max(int(name.split("_l")[1][0]) for name in weights),
        bidirectional="weight_ih_l0_reverse" in weights,
        proj_size=len(weights.get("weight_hr_l0", ())),
        dtype=torch.float64,
    )
    module.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    with torch.no_grad():
        y, (h_n, c_n) = module(torch.from_numpy(x), (torch.from_numpy(h0), torch.from_numpy(c0)))
    return y.numpy(), h_n.numpy(), c_n.numpy()


def bits(arrays: Weights) -> dict[str, tuple]:
    return {name: (value.dtype, value.shape, value.tobytes()) for name, value in arrays.items()}


def run(layout: Layout, step: Callable, arrays: Weights, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple:
    """y [T,B,H], h_n, c_n [B,H], by a system's step, whose state has the order that the layout says."""
    places = {"h, c": (0, 1), "c, h": (1, 0)}[layout.states]
    state, y = tuple((h, c)[place] for place in places), []
    for x_t in x:
        state = step(arrays, x_t, state)
        y.append(state[places[0]])
    return np.stack(y), state[places[0]], state[places[1]]


def assert_close(found: tuple, expected: tuple) -> None:
    for own, other in zip(found, expected, strict=True):
        assert own.shape == other.shape
        assert np.abs(own - other).max() <= CLOSE


def test_every_system_but_pytorch_has_its_equations_here():
    assert EQUATIONS.keys() | {"pytorch"} == SYSTEMS.keys()


@pytest.mark.parametrize("name", EQUATIONS)
@given(size=sizes, seed=seeds)
def test_a_system_computes_with_converted_weights_what_pytorch_computes(name, size, seed):
    layout = SYSTEMS[name]
    weights, (x, h0, c0) = weights_of(size.I, size.H, seed), inputs_of(*size, seed)
    y, h_n, c_n = pytorch(weights, x, h0, c0)
    found = run(layout, EQUATIONS[name], layout.from_ours(weights), x, h0[0], c0[0])
    assert_close(found, (y, h_n[0], c_n[0]))


@pytest.mark.parametrize("name", EQUATIONS)
@given(size=sizes, seed=seeds)
def test_pytorch_computes_with_weights_from_a_system_what_the_system_computes(name, size, seed):
    layout = SYSTEMS[name]
    arrays = layout.from_ours(
        weights_of(size.I, size.H, seed)
    )  # the system's shapes, with numbers of our own in any order
    draws = Draws(seed, 2)
    arrays = {key: values(draws, key, *value.shape) for key, value in arrays.items()}
    x, h0, c0 = inputs_of(*size, seed)
    y, h_n, c_n = pytorch(layout.to_ours(arrays), x, h0, c0)
    assert_close(run(layout, EQUATIONS[name], arrays, x, h0[0], c0[0]), (y, h_n[0], c_n[0]))


@given(size=sizes, seed=seeds, forget_bias=st.sampled_from([0.0, 1.0, 2.5]))
def test_the_forget_bias_of_tf1_may_be_any(size, seed, forget_bias):
    layout = SYSTEMS["tf1"]
    weights, (x, h0, c0) = weights_of(size.I, size.H, seed), inputs_of(*size, seed)
    arrays = layout.from_ours(weights, forget_bias=forget_bias)

    def step(a: Weights, x_t: np.ndarray, state: State) -> State:
        return tf1(a, x_t, state, forget_bias)

    y, h_n, c_n = pytorch(weights, x, h0, c0)
    assert_close(run(layout, step, arrays, x, h0[0], c0[0]), (y, h_n[0], c_n[0]))
    y, h_n, c_n = pytorch(layout.to_ours(arrays, forget_bias=forget_bias), x, h0, c0)
    assert_close(run(layout, step, arrays, x, h0[0], c0[0]), (y, h_n[0], c_n[0]))


@given(size=sizes, seed=seeds)
def test_two_directions_and_two_layers_of_onnx_are_those_of_pytorch(size, seed):
    """A layer is a node: W, R and B [2,...], the second direction from the end; Y [T,D,B,H] goes on as [T,B,D*H]."""
    layout = SYSTEMS["onnx"]
    weights, (x, h0, c0) = weights_of(size.I, size.H, seed, L=2, D=2), inputs_of(*size, seed, N=4)
    arrays, found = layout.from_ours(weights), []
    y = x
    for layer in range(2):
        node = {name: arrays[f"layer{layer}/{name}"] for name in "WRB"}
        forward = run(layout, lambda a, *more: onnx(a, *more, d=0), node, y, h0[2 * layer], c0[2 * layer])
        backward = run(
            layout, lambda a, *more: onnx(a, *more, d=1), node, y[::-1], h0[2 * layer + 1], c0[2 * layer + 1]
        )
        y = np.concatenate([forward[0], backward[0][::-1]], axis=-1)
        found += [forward[1:], backward[1:]]
    h_n, c_n = (np.stack([state[k] for state in found]) for k in (0, 1))
    assert_close((y, h_n, c_n), pytorch(weights, x, h0, c0))


@given(size=sizes, seed=seeds)
def test_bidirectional_of_keras_is_that_of_pytorch(size, seed):
    layout = SYSTEMS["keras"]
    weights, (x, h0, c0) = weights_of(size.I, size.H, seed, D=2), inputs_of(*size, seed, N=2)
    arrays = layout.from_ours(weights)
    halves = []
    for k, name in enumerate(("forward", "backward")):
        own = {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(name)}
        y, h_n, c_n = run(layout, keras, own, x[:: (1, -1)[k]], h0[k], c0[k])
        halves.append((y[:: (1, -1)[k]], h_n, c_n))
    y, h_n, c_n = pytorch(weights, x, h0, c0)
    assert_close((np.concatenate([half[0] for half in halves], axis=-1),), (y,))
    assert_close((np.stack([half[1] for half in halves]), np.stack([half[2] for half in halves])), (h_n, c_n))


@pytest.mark.parametrize("name", ["onnx", "onednn"])
@given(size=sizes, seed=seeds)
def test_peepholes_go_where_the_system_looks_for_them(name, size, seed):
    """Ours are in the order i, f, o, and the output gate sees the new cell [Gers & Schmidhuber 2000]."""
    layout = SYSTEMS[name]
    weights, (x, h0, c0) = weights_of(size.I, size.H, seed, peepholes=True), inputs_of(*size, seed)

    def ours(a: Weights, x_t: np.ndarray, state: State) -> State:
        h, c = state
        i, f, g, o = np.split(
            x_t @ a["weight_ih_l0"].T + h @ a["weight_hh_l0"].T + a["bias_ih_l0"] + a["bias_hh_l0"], 4, 1
        )
        p_i, p_f, p_o = np.split(a["peephole_l0"], 3)
        new = sig(f + p_f * c) * c + sig(i + p_i * c) * np.tanh(g)
        return sig(o + p_o * new) * np.tanh(new), new

    expected = run(SYSTEMS["pytorch"], ours, weights, x, h0[0], c0[0])
    assert_close(run(layout, EQUATIONS[name], layout.from_ours(weights), x, h0[0], c0[0]), expected)


@given(size=sizes, seed=seeds)
def test_webnn_and_onnx_have_the_same_peepholes_and_differ_only_in_the_cell_that_the_output_gate_sees(size, seed):
    weights, (x, h0, c0) = weights_of(size.I, size.H, seed, peepholes=True), inputs_of(*size, seed)
    assert SYSTEMS["webnn"].peephole_of_old_cell
    assert not SYSTEMS["onnx"].peephole_of_old_cell
    arrays = {name: SYSTEMS[name].from_ours(weights) for name in ("webnn", "onnx")}
    np.testing.assert_array_equal(arrays["webnn"]["peepholeWeight"], arrays["onnx"]["P"])
    first = {name: EQUATIONS[name](arrays[name], x[0], (h0[0], c0[0])) for name in arrays}
    assert np.abs(first["webnn"][1] - first["onnx"][1]).max() <= CLOSE  # the cell
    no_output = dict(weights, peephole_l0=np.concatenate([weights["peephole_l0"][: 2 * size.H], np.zeros(size.H)]))
    arrays = {name: SYSTEMS[name].from_ours(no_output) for name in ("webnn", "onnx")}
    h = {name: EQUATIONS[name](arrays[name], x[0], (h0[0], c0[0]))[0] for name in arrays}
    assert np.abs(h["webnn"] - h["onnx"]).max() <= CLOSE


@given(size=sizes.filter(lambda size: size.H > 4), seed=seeds)
def test_projections_reach_cudnn_and_onednn(size, seed):
    """weights_projection is ldio; matrix8 is PyTorch's weight_hr: h = W_hr (o tanh c)."""
    weights, (x, h0, c0) = weights_of(size.I, size.H, seed, P=4), inputs_of(*size, seed, P=4)
    y, h_n, c_n = pytorch(weights, x, h0, c0)

    def project(step: Callable, name: str, turned: Callable) -> Callable:
        def projected(a: Weights, x_t: np.ndarray, state: State) -> State:
            h, c = step(a, x_t, state)
            return h @ turned(a[name]), c

        return projected

    expected = (y, h_n[0], c_n[0])
    steps = {
        "cudnn": project(cudnn, "matrix8", np.transpose),
        "onednn": project(onednn, "weights_projection", lambda w: w[0, 0]),
    }
    for name, step in steps.items():
        assert_close(run(SYSTEMS[name], step, SYSTEMS[name].from_ours(weights), x, h0[0], c0[0]), expected)


# --- Every number stays bit by bit what it was ---


def spoil(weights: Weights, seed: int, dtype: str) -> Weights:
    """In another dtype, and with -0, subnormal and huge numbers, infinities and NaN at some places of the kernels."""
    special = np.array([-0.0, 0.0, 1e-320, -1e300, np.inf, -np.inf, np.nan, -np.nan])
    spoiled, draws = {}, Draws(seed, 3)
    for name, value in weights.items():
        choice = draws.uniform(f"spoil/{name}", value.shape)
        picked = special[(choice * 1e4).astype(int) % len(special)]
        with np.errstate(over="ignore"):
            spoiled[name] = (value if "bias" in name else np.where(choice < 0.5, picked, value)).astype(dtype)
    return spoiled


shapes = st.fixed_dictionaries({"L": st.integers(1, 3), "D": st.integers(1, 2)})
dtypes = st.sampled_from(["float64", "float32", "float16"])


@pytest.mark.parametrize("name", SYSTEMS)
@given(size=sizes, shape=shapes, dtype=dtypes, seed=seeds)
def test_our_weights_come_back_from_any_system_bit_by_bit(name, size, shape, dtype, seed):
    layout = SYSTEMS[name]
    weights = spoil(weights_of(size.I, size.H, seed, **shape, stacked=name == "onednn"), seed, dtype)
    before = bits(weights)
    back = layout.to_ours(layout.from_ours(weights, forget_bias=0), forget_bias=0)
    assert bits(weights) == before
    if layout.biases == 2:
        assert bits(back) == before
    else:
        for key, value in weights.items():
            one = key.replace("bias_ih", "bias_hh")
            total = value + weights[one] if "bias_ih" in key else np.zeros_like(value)
            assert back[key].tobytes() == (total if "bias" in key else value).tobytes()
        assert list(back) == list(weights)


@pytest.mark.parametrize("name", SYSTEMS)
@given(size=sizes, shape=shapes, dtype=dtypes, seed=seeds)
def test_the_arrays_of_any_system_come_back_from_ours_bit_by_bit(name, size, shape, dtype, seed):
    """Also where the forget bias is added at run time, and where a single bias is -0."""
    layout = SYSTEMS[name]
    weights = weights_of(size.I, size.H, seed, **shape, stacked=name == "onednn")
    arrays = spoil(layout.from_ours(weights), seed, dtype)
    if layout.biases == 1:
        for key in arrays:
            if "bias" in key or key.startswith("b"):
                arrays[key].flat[0] = -0.0
    before = bits(arrays)
    assert bits(layout.from_ours(layout.to_ours(arrays))) == before
    assert bits(arrays) == before


@pytest.mark.parametrize("first", SYSTEMS)
@settings(max_examples=5)  # with 19 systems each
@given(size=sizes, seed=seeds)
def test_weights_pass_through_every_other_system_and_come_back_bit_by_bit(first, size, seed):
    """But for two biases that pass a system with one: their sum then comes back."""
    weights = spoil(weights_of(size.I, size.H, seed), seed, "float64")
    source = SYSTEMS[first]
    arrays = source.from_ours(weights, forget_bias=0)
    for other in SYSTEMS.values():
        there = other.from_ours(source.to_ours(arrays, forget_bias=0), forget_bias=0)
        back = source.from_ours(other.to_ours(there, forget_bias=0), forget_bias=0)
        if source.biases == 1 or other.biases == 2:
            assert bits(back) == bits(arrays), other.name
        else:
            ours, given_ = source.to_ours(back), source.to_ours(arrays)
            total = given_["bias_ih_l0"] + given_["bias_hh_l0"]
            assert ours["bias_ih_l0"].tobytes() == total.tobytes()
            assert not ours["bias_hh_l0"].any()
            for key in ("weight_ih_l0", "weight_hh_l0"):
                assert ours[key].tobytes() == given_[key].tobytes()


@pytest.mark.parametrize("name", WITH_PEEPHOLES)
@given(size=sizes, D=st.integers(1, 2), seed=seeds)
def test_peepholes_come_back_bit_by_bit(name, size, D, seed):
    weights = weights_of(size.I, size.H, seed, D=D, peepholes=True)
    arrays = SYSTEMS[name].from_ours(weights)
    back = SYSTEMS[name].to_ours(arrays)
    assert [key for key in back if "peephole" in key] == [key for key in weights if "peephole" in key]
    assert all(back[key].tobytes() == weights[key].tobytes() for key in weights if "bias" not in key)


@pytest.mark.parametrize("name", WITH_PROJECTIONS)
@given(size=sizes, shape=shapes, seed=seeds)
def test_projections_come_back_bit_by_bit(name, size, shape, seed):
    weights = weights_of(size.I, size.H, seed, **shape, P=4, stacked=name == "onednn")
    back = SYSTEMS[name].to_ours(SYSTEMS[name].from_ours(weights))
    assert list(back) == list(weights)
    assert all(back[key].tobytes() == weights[key].tobytes() for key in weights if "bias" not in key)


@pytest.mark.parametrize("name", SYSTEMS)
def test_without_biases_there_are_none_but_what_the_system_adds_itself(name):
    weights = {key: value for key, value in weights_of(3, 5, seed=1).items() if "bias" not in key}
    arrays = SYSTEMS[name].from_ours(weights)
    back = SYSTEMS[name].to_ours(arrays)
    if not SYSTEMS[name].forget_bias:
        assert bits(back) == bits(weights)
        return
    np.testing.assert_array_equal(arrays["bias"].reshape(4, 5)[2], -np.ones(5))
    assert not (back["bias_ih_l0"] + back["bias_hh_l0"]).any()


@pytest.mark.parametrize(("name", "kept"), [("cudnn", "bias0"), ("webnn", "bias")])
def test_a_bias_on_one_side_only_leaves_the_other_side_zero(name, kept):
    arrays = SYSTEMS[name].from_ours(weights_of(3, 5, seed=1))
    fewer = {
        key: value for key, value in arrays.items() if key not in ("recurrentBias", *(f"bias{k}" for k in range(4, 8)))
    }
    assert kept in fewer
    ours = SYSTEMS[name].to_ours(fewer)
    assert ours["bias_ih_l0"].all()
    assert not ours["bias_hh_l0"].any()


@pytest.mark.parametrize("name", SYSTEMS)
def test_converted_arrays_share_no_memory_with_what_they_were_made_of(name):
    weights = weights_of(3, 5, seed=1)
    arrays = SYSTEMS[name].from_ours(weights)
    back = SYSTEMS[name].to_ours(arrays)
    for made, of in ((arrays, weights), (back, arrays)):
        assert not any(np.shares_memory(a, b) for a in made.values() for b in of.values())
        assert all(a.flags.c_contiguous and a.flags.writeable for a in made.values())


# --- What does not fit is refused, in one line that says what is wrong ---


def without(arrays: Weights, *names: str) -> Weights:
    return {name: value for name, value in arrays.items() if name not in names}


ONNX = SYSTEMS["onnx"].from_ours(weights_of(3, 5, seed=1, D=2))
KERAS = SYSTEMS["keras"].from_ours(weights_of(3, 5, seed=1))
ONEDNN = SYSTEMS["onednn"].from_ours(weights_of(3, 5, seed=1))
CUDNN = SYSTEMS["cudnn"].from_ours(weights_of(3, 5, seed=1))
PYTORCH = weights_of(3, 5, seed=1, L=2)
WRONG_ARRAYS = {
    "nothing": ("onnx", {}, "onnx needs W [D,4H,I] and R [D,4H,H]; got nothing"),
    "another system's": ("onnx", KERAS, "onnx needs W [D,4H,I] and R [D,4H,H]; got kernel, recurrent_kernel, bias"),
    "no recurrent kernel": ("keras", without(KERAS, "recurrent_kernel"), "keras needs recurrent_kernel too"),
    "one gate missing": ("cudnn", without(CUDNN, "matrix2"), "cudnn needs matrix0 to matrix3 [H,I]"),
    "one bias missing": ("cudnn", without(CUDNN, "bias6"), "cudnn needs bias6 too"),
    "one too many": ("tf1", KERAS, "tf1 has no array recurrent_kernel; it has kernel, bias"),
    "turned": (
        "keras",
        KERAS | {"recurrent_kernel": KERAS["recurrent_kernel"].T},
        "expected [H,4H] = (5, 20); it looks transposed",
    ),
    "input turned": ("keras", KERAS | {"kernel": KERAS["kernel"].T}, "H=0 and I=20: is one turned?"),
    "flat": ("keras", KERAS | {"kernel": KERAS["kernel"].ravel()}, "kernel has shape (60,), expected [I,4H]"),
    "bias too short": ("keras", KERAS | {"bias": KERAS["bias"][1:]}, "bias has shape (19,), expected [4H] = (20,)"),
    "integers": ("keras", KERAS | {"bias": np.arange(20)}, "bias is int64: weights are floating-point numbers"),
    "two dtypes": (
        "cudnn",
        CUDNN | {"matrix1": CUDNN["matrix1"].astype("float32")},
        "matrix1 is float32, another gate's array float64",
    ),
    "one direction of R": (
        "onnx",
        ONNX | {"R": ONNX["R"][:1]},
        "R has shape (1, 20, 5), expected [D,4H,H] = (2, 20, 5)",
    ),
    "layers apart": ("pytorch", PYTORCH | {"weight_ih_l1": np.ones((20, 6))}, "cannot have H=5 and I=3, 6"),
    "unprojected": (
        "pytorch",
        without(weights_of(3, 5, 1, P=4), "weight_hr_l0"),
        "weight_hh_l0 has shape (20, 4), expected [4H,H] = (20, 5)",
    ),
    "no direction": ("onnx", {name: value[:0] for name, value in ONNX.items()}, "cannot have L=1 and D=0"),
    "three directions": ("onnx", {name: value[[0, 1, 0]] for name, value in ONNX.items()}, "cannot have L=1 and D=3"),
    "no layer": ("onednn", {name: value[:0] for name, value in ONEDNN.items()}, "cannot have L=0 and D=1"),
    "two heads": (
        "flashrnn",
        {"W": np.ones((4, 2, 5, 3)), "R": np.ones((4, 2, 5, 5)), "b": np.ones((4, 2, 5))},
        "W has shape (4, 2, 5, 3), expected [4,1,H,I] = (4, 1, 5, 3)",
    ),
}


@pytest.mark.parametrize("case", WRONG_ARRAYS)
def test_arrays_that_are_not_the_systems_are_refused(case):
    name, arrays, problem = WRONG_ARRAYS[case]
    with pytest.raises(ShapeError) as caught:
        SYSTEMS[name].to_ours(arrays)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG_WEIGHTS = {
    "nothing": ("keras", {}, "weight_ih_l0 is missing; got nothing"),
    "another name": (
        "keras",
        PYTORCH | {"embedding.weight": np.ones(3)},
        "embedding.weight is no parameter of an LSTM",
    ),
    "one bias": ("keras", without(PYTORCH, "bias_hh_l0", "bias_hh_l1"), "bias_hh_l0 is missing"),
    "a layer without biases": ("keras", without(PYTORCH, "bias_ih_l1", "bias_hh_l1"), "bias_ih_l1 is missing"),
    "no layer 0": ("keras", without(PYTORCH, *(n for n in PYTORCH if n.endswith("l0"))), "weight_ih_l0 is missing"),
    "a layer far above": ("keras", PYTORCH | {"weight_ih_l999999999": np.ones((20, 5))}, "weight_ih_l2 is missing"),
    "a layer of two numbers": ("keras", PYTORCH | {"weight_ih_l01": np.ones((20, 5))}, "weight_ih_l01 is no parameter"),
    "transposed": ("keras", PYTORCH | {"weight_ih_l1": np.ones((5, 20))}, "it looks transposed"),
    "peepholes": ("keras", weights_of(3, 5, 1, peepholes=True), "keras has no place for peephole_l0"),
    "projections": ("onnx", weights_of(3, 5, 1, P=4), "onnx has no place for weight_hr_l0"),
    "unequal layers": ("onednn", weights_of(3, 5, 1, L=2), "I=3 of layer 0 would have to be 5"),
}


@pytest.mark.parametrize("case", WRONG_WEIGHTS)
def test_weights_that_are_not_ours_or_find_no_place_are_refused(case):
    name, weights, problem = WRONG_WEIGHTS[case]
    with pytest.raises(ShapeError) as caught:
        SYSTEMS[name].from_ours(weights)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_system_is_refused_with_the_names_of_all():
    with pytest.raises(UsageError, match=r"no layout is called 'torch': there are pytorch, cudnn, keras, .*, flashrnn"):
        layout_of("torch")


@pytest.mark.parametrize("change", [{"gates": "iffo"}, {"gates": "ifg"}, {"peepholes": "iog"}, {"peepholes": ""}])
def test_a_layout_that_cannot_be_is_refused_when_it_is_built(change):
    with pytest.raises(ConfigError):
        replace(SYSTEMS["onnx"], **change)


def test_every_layout_says_where_it_is_written_down():
    assert all(layout.source and layout.note for layout in SYSTEMS.values())
    assert all(layout.name == name for name, layout in SYSTEMS.items())

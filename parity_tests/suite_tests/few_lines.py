"""An LSTM in a few lines, to check adapters by: neither the judge nor a twin, one batch row and one step at a time.

Complex arrays give exact gradients: df/dx = Im f(x + ih) / h with a tiny h.
"""

from collections.abc import Callable, Mapping

import numpy as np
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Answer, Question

Arrays = Mapping[str, np.ndarray]
UPSTREAM = {"y": "dy", "h_n": "dh_n", "c_n": "dc_n"}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def step(x, h, c, w, suffix):
    """x [I], h [P], c [H] -> h', c'."""
    a = w[f"weight_ih{suffix}"] @ x + w[f"bias_ih{suffix}"] + w[f"weight_hh{suffix}"] @ h + w[f"bias_hh{suffix}"]
    H = c.size
    p = w.get(f"peephole{suffix}", np.zeros(3 * H))
    f = sigmoid(a[H : 2 * H] + p[H : 2 * H] * c)
    c = f * c + sigmoid(a[:H] + p[:H] * c) * np.tanh(a[2 * H : 3 * H])
    h = sigmoid(a[3 * H :] + p[2 * H :] * c) * np.tanh(c)
    return (w[f"weight_hr{suffix}"] @ h if f"weight_hr{suffix}" in w else h), c


def forward(arrays: Arrays, batch_first: bool = False) -> Answer:
    x = arrays["x"].swapaxes(0, 1) if batch_first else arrays["x"]  # [T,B,I]
    T, B, _ = x.shape
    lengths = arrays.get("lengths", np.full(B, T))
    h_n, c_n, k = arrays["h0"].astype(x.dtype), arrays["c0"].astype(x.dtype), 0
    for layer in range(len(h_n)):
        suffixes = [s for s in (f"_l{layer}", f"_l{layer}_reverse") if f"weight_hh{s}" in arrays]
        both = []
        for suffix in suffixes:
            y = np.zeros((T, B, h_n.shape[2]), x.dtype)
            for b in range(B):
                steps = range(lengths[b])
                for t in reversed(steps) if suffix.endswith("reverse") else steps:
                    h_n[k, b], c_n[k, b] = step(x[t, b], h_n[k, b], c_n[k, b], arrays, suffix)
                    y[t, b] = h_n[k, b]
            both.append(y)
            k += 1
        x = np.concatenate(both, axis=2) if both else x
    return {"y": x.swapaxes(0, 1) if batch_first else x, "h_n": h_n, "c_n": c_n}


def backward(arrays: Arrays, batch_first: bool = False) -> Answer:
    def total(moved: Arrays) -> complex:
        outputs = forward(moved, batch_first)
        return sum(np.sum(arrays[upstream] * outputs[name]) for name, upstream in UPSTREAM.items())

    inputs = {name: a for name, a in arrays.items() if name not in (*UPSTREAM.values(), "lengths")}
    rest = {name: a for name, a in arrays.items() if name == "lengths"}
    return gradients(lambda moved: total({**moved, **rest}), inputs)


def gradients(f: Callable[[Arrays], complex], inputs: Arrays) -> Answer:
    """d<name> for every input, one number at a time."""
    moved = {name: array.astype(complex) for name, array in inputs.items()}
    slopes = {f"d{name}": np.zeros(array.shape) for name, array in inputs.items()}
    for name, array in moved.items():
        for place in np.ndindex(array.shape):
            array[place] += 1e-30j
            slopes[f"d{name}"][place] = f(moved).imag / 1e-30
            array[place] -= 1e-30j
    return slopes


def assert_agrees(answer: Answer, expected: Answer, dtype: str, units: float) -> None:
    """Each array within `units` of the dtype's eps, of its largest number or of 1; no name more or less."""
    assert answer.keys() == expected.keys()
    for name, array in expected.items():
        assert answer[name].shape == array.shape, name
        assert answer[name].dtype == dtype or array.ndim == 0, name
        error, scale = np.max(np.abs(answer[name] - array), initial=0), np.max(np.abs(array), initial=1)
        assert error <= units * np.finfo(dtype).eps * scale, f"{name}: {error:.2g} of {scale:.2g}"


def values(draws: Draws, name: str, *shape: int) -> np.ndarray:
    return 2 * draws.uniform(name, shape) - 1


@st.composite
def layer_questions(draw: st.DrawFn, op: str, claims: Capabilities, dtype: str) -> Question:
    """Whatever is claimed; T, B, I, H and P all differ, and no number is zero."""
    T, B, I, H = draw(st.lists(st.integers(2, 5), min_size=4, max_size=4, unique=True))
    draws = Draws(draw(st.integers(0, 2**64 - 1)))
    layers = draw(st.integers(1, min(2, claims.layers)))
    directions = draw(st.integers(1, claims.directions))
    P = draw(st.integers(1, H - 1)) if claims.projections and draw(st.booleans()) else 0
    arrays = {}
    for k in range(layers):
        for s in (f"_l{k}", f"_l{k}_reverse")[:directions]:
            shapes = {"weight_ih": (4 * H, directions * (P or H) if k else I), "weight_hh": (4 * H, P or H)}
            shapes |= {"bias_ih": (4 * H,), "bias_hh": (4 * H,)}
            shapes |= {"weight_hr": (P, H)} if P else {}
            shapes |= {"peephole": (3 * H,)} if claims.peepholes else {}
            arrays |= {name + s: values(draws, name + s, *shape) for name, shape in shapes.items()}
    settings = {"batch_first": True} if claims.batch_first and draw(st.booleans()) else {}
    both = (B, T) if settings else (T, B)
    arrays["x"] = values(draws, "x", *both, I)
    arrays["h0"] = values(draws, "h0", layers * directions, B, P or H)
    arrays["c0"] = values(draws, "c0", layers * directions, B, H)
    if claims.lengths and draw(st.booleans()):
        arrays["lengths"] = np.array(draw(st.permutations([T, *range(1, T)] * 3))[:B], np.int64)
    if op == "backward":
        arrays["dy"] = values(draws, "dy", *both, directions * (P or H))
        arrays["dh_n"], arrays["dc_n"] = (values(draws, f"d{n}", *arrays[f"{n[0]}0"].shape) for n in ("h_n", "c_n"))
    return Question(op, arrays, settings).astype(dtype)

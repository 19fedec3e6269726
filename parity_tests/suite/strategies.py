"""Hypothesis strategies of questions. Every number is drawn, so a failure shrinks to few that are not zero.

T, B, I, H, ... are drawn apart and may be 1. Weights are random, zero, one-hot, saturating or subnormal; biases and
states are nonzero unless drawn so. Nothing else in the suite makes questions, so what is not drawn here is not tested.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Question

Draw = Callable[[st.SearchStrategy[Any]], Any]

ORDINARY = st.floats(-2, 2, width=32, allow_subnormal=False)
ELEMENTS = {
    "random": ORDINARY,
    "zero": st.just(0.0),
    "one-hot": st.sampled_from([0.0, 0.0, 0.0, 1.0]),
    "saturating": st.floats(-40, 40, width=32, allow_subnormal=False),
    "subnormal": st.sampled_from([0.0, 1e-45, -1e-40, 1.0]),
}
SMALL = st.integers(1, 4)
KINDS = st.sampled_from(["random", "random", "random", "random", "zero", "one-hot", "saturating", "subnormal"])


def values(draw: Draw, *shape: int, elements: st.SearchStrategy[float] = ORDINARY) -> np.ndarray:
    """float64 [shape], each number drawn; all fit into float32."""
    return draw(hnp.arrays(np.float64, shape, elements=elements, fill=st.nothing()))


def sizes(draw: Draw, count: int, largest: int = 4) -> list[int]:
    return [draw(st.integers(1, largest)) for _ in range(count)]


def layer_weights(draw: Draw, suffix: str, I: int, H: int, P: int, biases: int, peepholes: bool, kind: str) -> dict:
    """Weights of one layer in one direction. P: units after the projection, 0 without one."""
    elements = ELEMENTS[kind]
    weights = {
        f"weight_ih{suffix}": values(draw, 4 * H, I, elements=elements),
        f"weight_hh{suffix}": values(draw, 4 * H, P or H, elements=elements),
        f"bias_ih{suffix}": values(draw, 4 * H) if biases >= 1 else np.zeros(4 * H),
        f"bias_hh{suffix}": values(draw, 4 * H) if biases == 2 else np.zeros(4 * H),
    }
    if P:
        weights[f"weight_hr{suffix}"] = values(draw, P, H, elements=elements)
    if peepholes:
        weights[f"peephole{suffix}"] = values(draw, 3 * H, elements=elements)
    return weights


@st.composite
def layers(
    draw: Draw,
    claims: Capabilities,
    *,
    T: st.SearchStrategy[int] = SMALL,
    H: st.SearchStrategy[int] = SMALL,
    layer_count: int = 1,
    directions: int = 1,
    lengths: bool = False,
    batch_first: bool = False,
    projections: bool = False,
    peepholes: bool = False,
    upstream: tuple[str, ...] | None = None,
    dtype: str = "float64",
) -> Question:
    """A forward question, or with `upstream` (some of dy, dh_n, dc_n; the others are zero) a backward question."""
    (B, I), steps, units = sizes(draw, 2), draw(T), draw(H)
    units = max(2, units) if projections else units
    P = draw(st.integers(1, units - 1)) if projections else 0
    kind = draw(KINDS)
    arrays: dict[str, np.ndarray] = {}
    for k in range(layer_count):
        below = I if k == 0 else (P or units) * directions
        for suffix in (f"_l{k}", f"_l{k}_reverse")[:directions]:
            arrays |= layer_weights(draw, suffix, below, units, P, claims.biases, peepholes, kind)
    first = layer_count * directions
    arrays["x"] = values(draw, *((B, steps, I) if batch_first else (steps, B, I)))
    arrays["h0"], arrays["c0"] = values(draw, first, B, P or units), values(draw, first, B, units)
    if lengths:
        arrays["lengths"] = np.array([steps, *(draw(st.integers(1, steps)) for _ in range(B - 1))], np.int64)
    settings = {"batch_first": True} if batch_first else {}
    if upstream is None:
        return Question("forward", arrays, settings).astype(dtype)
    width = (P or units) * directions
    shapes = {
        "dy": (B, steps, width) if batch_first else (steps, B, width),
        "dh_n": arrays["h0"].shape,
        "dc_n": arrays["c0"].shape,
    }
    for name, shape in shapes.items():
        arrays[name] = values(draw, *shape) if name in upstream else np.zeros(shape)
    return Question("backward", arrays, settings).astype(dtype)


@st.composite
def losses(draw: Draw, largest: float = 30.0, dtype: str = "float64") -> Question:
    N, V = sizes(draw, 2, largest=5)
    logits = values(draw, N, V, elements=st.floats(-largest, largest, width=32, allow_subnormal=False))
    targets = np.array([draw(st.integers(0, V - 1)) for _ in range(N)], np.int64)
    return Question("loss", {"logits": logits, "targets": targets}).astype(dtype)


@st.composite
def clips(draw: Draw, dtype: str = "float64") -> Question:
    """Gradients of many sizes, so that the norm is above or below max_norm, and the 1e-6 of the factor shows."""
    scale, names = draw(st.sampled_from([1.0, 1e-4, 1e-7, 0.0])), ("first", "second", "third")
    shapes = [(draw(st.integers(1, 4)), draw(st.integers(1, 3))) for _ in names]
    arrays = {name: scale * values(draw, *shape) for name, shape in zip(names, shapes)}
    return Question("clip", arrays, {"max_norm": draw(st.sampled_from([0.25, 5.0, 1e-4, 1e-7]))}).astype(dtype)


@st.composite
def updates(draw: Draw, op: str, dtype: str = "float64") -> Question:
    """Several updates of a few parameters, with a learning rate that changes and gradients from 0 to 2."""
    N, K = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    scale = draw(st.sampled_from([1.0, 1.0, 1e-4, 1e-8]))
    arrays = {
        "p": values(draw, N),
        "g": scale * values(draw, K, N),
        "lr": np.array([draw(st.sampled_from([0.5, 0.1, 0.01, 0.001])) for _ in range(K)]),
    }
    settings = {}
    if op == "adam":
        beta1, beta2 = draw(st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)]))
        settings = {"beta1": beta1, "beta2": beta2, "eps": draw(st.sampled_from([1e-8, 1e-3]))}
    return Question(op, arrays, settings).astype(dtype)


@st.composite
def batchings(draw: Draw) -> Question:
    B, T, windows = sizes(draw, 3)
    rest = draw(st.integers(1, B * T))
    ids = np.arange(windows * B * T + rest, dtype=np.int64)  # all differ, so a swap of two shows
    return Question("batches", {"ids": ids}, {"batch_size": B, "seq_length": T})


@st.composite
def evaluations(draw: Draw, dtype: str = "float64") -> Question:
    tokens = np.array(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)), np.int64)
    nll = values(draw, int(tokens.sum()), elements=st.floats(0, 12, width=32, allow_subnormal=False))
    return Question("evaluate", {"nll": nll, "tokens": tokens}).astype(dtype)


@st.composite
def long_evaluations(draw: Draw) -> Question:
    """An epoch's worth of tokens: a sum in float32 that goes one by one has lost digits by then."""
    tokens, nll = 2**16, draw(st.sampled_from([0.1, 2.7, 9.3]))
    return Question("evaluate", {"nll": np.full(tokens, nll), "tokens": np.array([tokens], np.int64)}).astype("float32")


@st.composite
def models(
    draw: Draw,
    op: str = "model",
    *,
    embedding: bool = False,
    tied: bool = False,
    drops: tuple[str, ...] = (),
    layer_count: int = 2,
    dtype: str = "float64",
) -> Question:
    """A language model on a window, or on K windows of training, or generating. `drops`: where masks fall: input,
    l<k>, embedding, weight_hh_l<k>."""
    V, B, T = draw(st.integers(2, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    E = draw(st.integers(1, 3))
    H = [draw(st.integers(1, 3)) for _ in range(layer_count)]
    if tied:
        H[-1] = E
    arrays: dict[str, np.ndarray] = {"embedding.weight": values(draw, V, E)} if embedding or tied else {}
    for k, (I, units) in enumerate(zip([E if embedding or tied else V, *H], H)):
        weights = layer_weights(draw, f"_l{k}", I, units, 0, 2, False, "random")
        arrays |= {f"lstm.{name}": array for name, array in weights.items()}
    if not tied:
        arrays["decoder.weight"] = values(draw, V, H[-1])
    arrays["decoder.bias"] = values(draw, V)
    settings: dict[str, Any] = {"tied": True} if tied else {}
    if op == "generate":
        count = draw(st.integers(1, 4))
        arrays["decoder.weight"] *= 8  # so that what the state holds decides what is drawn
        arrays["prime"] = np.array(draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=4)), np.int64)
        arrays["u"] = values(draw, count, elements=st.floats(0, 0.96875, width=32, allow_subnormal=False))
        return Question(op, arrays, {**settings, **draw(policies(V))}).astype(dtype)
    K = draw(st.integers(2, 3)) if op == "train" else 0
    lead = (K,) if K else ()
    for name in ("inputs", "targets"):
        arrays[name] = draw(hnp.arrays(np.int64, (*lead, T, B), elements=st.integers(0, V - 1), fill=st.nothing()))
    for k, units in enumerate(H):
        arrays[f"h0_l{k}"], arrays[f"c0_l{k}"] = values(draw, B, units), values(draw, B, units)
    shapes = {"input": (T, B, E), "embedding": (V,)}
    shapes |= {f"l{k}": (T, B, units) for k, units in enumerate(H)}
    shapes |= {f"weight_hh_l{k}": (4 * units, units) for k, units in enumerate(H)}
    for where in drops:
        mask = draw(hnp.arrays(np.bool_, (*lead, *shapes[where]), elements=st.booleans(), fill=st.nothing()))
        arrays[f"mask.{where}"] = mask
    if drops:
        settings["rates"] = {where: draw(st.sampled_from([0.2, 0.5, 0.75])) for where in drops}
    if op == "train":
        arrays["lr"] = np.array([draw(st.sampled_from([0.5, 0.1, 1.0])) for _ in range(K)])
        settings["clip"] = draw(st.sampled_from([0.1, 1.0, 100.0]))
    return Question(op, arrays, settings).astype(dtype)


@st.composite
def evaluated_models(draw: Draw, dtype: str = "float64") -> Question:
    """Rates, and no masks."""
    question = draw(models(layer_count=2, dtype=dtype))
    return Question(question.op, question.arrays, {**question.settings, "rates": {"l0": 0.5, "l1": 0.25}})


@st.composite
def policies(draw: Draw, V: int) -> dict[str, Any]:
    policy: dict[str, Any] = {"temperature": draw(st.sampled_from([1.0, 0.25, 0.7, 4.0]))}
    policy["top_k"] = draw(st.none() | st.integers(1, V))
    policy["top_p"] = draw(st.none() | st.sampled_from([0.3, 0.5, 0.9]))
    return policy


@st.composite
def samples(draw: Draw, edges: bool = False, dtype: str = "float64") -> Question:
    """Logits that differ; or with `edges` equal logits, where sums are exact and u falls on their borders."""
    V = draw(st.integers(2, 6))
    policy = draw(policies(V))
    if edges:
        kept = policy["top_k"] or V
        policy |= {"top_p": None, "temperature": 1.0}
        if kept in (2, 4) and draw(st.booleans()):  # a nucleus that ends on a border too
            policy["top_p"], kept = draw(st.sampled_from([(n / kept, n) for n in range(1, kept + 1)]))
        logits = np.full(V, draw(st.sampled_from([0.0, 1.5])))
        borders = [n / kept for n in range(kept) if float(np.float32(n / kept)) * kept == n]
        u = draw(st.sampled_from([*borders, 1 - 2.0**-24]))
        return Question("sample", {"logits": logits, "u": np.asarray(u)}, policy).astype(dtype)
    logits = values(draw, V, elements=st.floats(-6, 6, width=32, allow_subnormal=False))
    u = draw(st.sampled_from([0.96875, 0.75]) | st.floats(0, 0.96875, width=32, allow_subnormal=False))
    assume(len(set(logits.tolist())) == V)
    return Question("sample", {"logits": logits, "u": np.asarray(float(u))}, policy).astype(dtype)

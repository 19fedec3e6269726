"""Fixed questions that tell wrong LSTMs apart: sizes all differ, every number is nonzero and differs from the others.

The checks draw their questions, to find faults; these stay the same, to name them (diagnose.py).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lstm_ref.core.draws import Draws
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Question


def values(name: str, *shape: int, scale: float = 1.0) -> np.ndarray:
    return scale * (2 * Draws(20).uniform(f"battery/{name}", shape) - 1)


def layer_question(
    claims: Capabilities, op: str, T: int, B: int, I: int, H: int, layers: int = 1, directions: int = 1, **more: Any
) -> Question:
    arrays: dict[str, np.ndarray] = {}
    key = f"{T}{B}{I}{H}{layers}{directions}"
    P = more.get("projection", 0)
    out = P or H
    for k in range(layers):
        for suffix in (f"_l{k}", f"_l{k}_reverse")[:directions]:
            below = I if k == 0 else out * directions
            shapes = {"weight_ih": (4 * H, below), "weight_hh": (4 * H, out), "bias_ih": (4 * H,), "bias_hh": (4 * H,)}
            shapes |= {"weight_hr": (P, H)} if P else {}
            shapes |= {"peephole": (3 * H,)} if more.get("peepholes") else {}
            arrays |= {f"{n}{suffix}": values(f"{key}/{n}{suffix}", *shape) for n, shape in shapes.items()}
            if claims.biases < 2:
                arrays[f"bias_hh{suffix}"] *= 0
            if claims.biases < 1:
                arrays[f"bias_ih{suffix}"] *= 0
    first = more.get("batch_first", False)
    lead = (B, T) if first else (T, B)
    arrays["x"] = values(f"{key}/x", *lead, I)
    arrays["h0"] = values(f"{key}/h0", layers * directions, B, out)
    arrays["c0"] = values(f"{key}/c0", layers * directions, B, H)
    if more.get("lengths"):
        arrays["lengths"] = np.array([T - (b % T) for b in range(B)], np.int64)
    if op == "backward":
        arrays["dy"] = values(f"{key}/dy", *lead, out * directions)
        arrays["dh_n"], arrays["dc_n"] = (
            values(f"{key}/dh", *arrays["h0"].shape),
            values(f"{key}/dc", *arrays["c0"].shape),
        )
    return Question(op, arrays, {"batch_first": True} if first else {})


def model_question(
    op: str, embedding: bool = False, tied: bool = False, drops: tuple[str, ...] = (), temperature: float = 1.0
) -> Question:
    T, B, V, E, sizes, K = 4, 3, 6, 2, (5, 4), 3
    sizes = (5, E) if tied else sizes
    arrays = {"embedding.weight": values("E", V, E)} if embedding or tied else {}
    for k, (I, H) in enumerate(zip([E if embedding or tied else V, *sizes], sizes)):
        shapes = {"weight_ih": (4 * H, I), "weight_hh": (4 * H, H), "bias_ih": (4 * H,), "bias_hh": (4 * H,)}
        arrays |= {f"lstm.{n}_l{k}": values(f"model/{n}{k}", *shape) for n, shape in shapes.items()}
    if not tied:
        arrays["decoder.weight"] = values("decoder", V, sizes[-1])
    arrays["decoder.bias"] = values("decoder.bias", V)
    settings: dict[str, Any] = {"tied": True} if tied else {}
    if op == "generate":
        arrays |= {"prime": np.array([1, 4, 2]), "u": (values("u", 24) + 1) / 2}
        return Question(op, arrays, {**settings, "temperature": temperature, "top_k": 4, "top_p": None})
    lead = (K,) if op == "train" else ()
    for name in ("inputs", "targets"):
        arrays[name] = ((values(name, *lead, T, B) + 1) / 2 * V).astype(np.int64)
    for k, H in enumerate(sizes):
        arrays[f"h0_l{k}"], arrays[f"c0_l{k}"] = values(f"h0{k}", B, H), values(f"c0{k}", B, H)
    shapes = {"input": (T, B, E), "embedding": (V,), **{f"l{k}": (T, B, H) for k, H in enumerate(sizes)}}
    shapes |= {f"weight_hh_l{k}": (4 * H, H) for k, H in enumerate(sizes)}
    arrays |= {f"mask.{where}": values(f"mask.{where}", *lead, *shapes[where]) > -0.3 for where in drops}
    settings |= {"rates": _rates(drops)} if drops else {}
    if op == "train":
        arrays["lr"], settings["clip"] = np.array([0.5, 0.3, 0.1]), 0.4
    return Question(op, arrays, settings)


def _rates(drops: tuple[str, ...]) -> dict[str, float]:
    """All different, but one for all recurrent weights, as AWD-LSTM has it."""
    kinds = ["weight_hh" if where.startswith("weight_hh") else where for where in drops]
    return {where: 0.3 + 0.1 * kinds.index(kind) for where, kind in zip(drops, kinds)}


def battery(claims: Capabilities) -> list[Question]:
    """The questions for what is claimed, in float64 or else float32."""
    dtype = "float64" if "float64" in claims.dtypes else "float32"
    return [question.astype(dtype) for question in _questions(claims) if question.op in claims.operations]


def _questions(claims: Capabilities) -> Iterator[Question]:
    for op in ("forward", "backward"):
        yield layer_question(claims, op, T=4, B=2, I=3, H=5)
        yield layer_question(claims, op, T=3, B=2, I=4, H=4)  # where a transposed W fits
        yield layer_question(claims, op, T=3, B=2, I=2, H=1)
        if claims.layers >= 2:
            yield layer_question(claims, op, T=3, B=2, I=3, H=4, layers=2)
        if claims.layers >= 3:
            yield layer_question(claims, op, T=3, B=2, I=3, H=2, layers=3)
        if claims.directions == 2:
            yield layer_question(claims, op, T=3, B=2, I=3, H=2, directions=2)
        if claims.directions == 2 and claims.layers >= 3:
            yield layer_question(claims, op, T=3, B=2, I=3, H=2, layers=3, directions=2)
        if claims.lengths:
            yield layer_question(claims, op, T=4, B=3, I=2, H=3, directions=claims.directions, lengths=True)
        if claims.batch_first:
            yield layer_question(claims, op, T=4, B=2, I=3, H=5, batch_first=True)
        if claims.projections:
            yield layer_question(claims, op, T=3, B=2, I=3, H=4, projection=2)
        if claims.peepholes:
            yield layer_question(claims, op, T=3, B=2, I=3, H=4, peepholes=True)
    saturated = layer_question(claims, "forward", T=3, B=2, I=3, H=4)
    yield saturated.with_arrays(x=3000 * saturated.arrays["x"])
    yield from _numbers()
    places = {"outputs": ("l0", "l1"), "input": ("input",), "embedding": ("embedding",)}
    places["weight_hh"] = ("weight_hh_l0", "weight_hh_l1")
    drops = tuple(where for claimed in claims.drops for where in places[claimed])
    yield model_question("model")
    dropped = model_question("model", embedding=True, drops=drops)
    yield dropped
    evaluated = {name: array for name, array in dropped.arrays.items() if not name.startswith("mask.")}
    yield Question("model", evaluated, dropped.settings)  # rates, but no masks: nothing is dropped
    if claims.tied:
        yield model_question("model", tied=True)
    yield model_question("train")
    yield model_question("train", drops=tuple(where for where in drops if where not in ("input", "embedding")))
    for temperature in (1.0, 0.3, 0.1):
        yield model_question("generate", temperature=temperature)


def _numbers() -> Iterator[Question]:
    for scale in (1.0, 30.0, 3e3):
        logits = values("logits", 5, 4, scale=scale)
        yield Question("loss", {"logits": logits, "targets": np.array([0, 3, 1, 2, 3])})
    for scale, max_norm in ((1.0, 0.25), (1.0, 50.0), (1e-7, 1e-7), (0.0, 1.0)):
        yield Question("clip", {n: scale * values(n, 2, 3) for n in ("first", "second")}, {"max_norm": max_norm})
    for op, scale in (("adam", 1.0), ("adam", 1e-8), ("sgd", 1.0)):
        settings = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8} if op == "adam" else {}
        arrays = {"p": values("p", 5), "g": scale * values("g", 4, 5), "lr": np.array([0.1, 0.05, 0.2, 0.01])}
        yield Question(op, arrays, settings)
    for length, B, T in ((26, 2, 4), (37, 3, 4), (25, 2, 4), (31, 2, 4)):
        yield Question("batches", {"ids": np.arange(length)}, {"batch_size": B, "seq_length": T})
    yield Question("evaluate", {"nll": 3 + values("nll", 9), "tokens": np.array([4, 4, 1])})
    for n, (temperature, top_k, top_p) in enumerate(
        [
            (1.0, None, None),
            (0.5, None, None),
            (0.7, 3, None),
            (1.0, 2, None),
            (1.3, None, 0.6),
            (0.7, 4, 0.5),
            (0.25, None, 0.9),
            (4.0, None, 0.5),
            (1.0, 1, None),
        ]
    ):
        for u in (0.03, 0.31, 0.62, 0.97):
            arrays = {"logits": values(f"sample{n}", 6, scale=2), "u": np.asarray(u)}
            yield Question("sample", arrays, {"temperature": temperature, "top_k": top_k, "top_p": top_p})
    for u in (0.0, 0.25, 0.5, 0.75, 1 - 2.0**-24):
        for top_k, top_p in ((None, None), (2, None), (None, 0.5)):
            settings = {"temperature": 1.0, "top_k": top_k, "top_p": top_p}
            yield Question("sample", {"logits": np.zeros(4), "u": np.asarray(u)}, settings)

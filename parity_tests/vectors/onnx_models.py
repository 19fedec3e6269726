"""A forward case as an ONNX model with its data, in the form of ONNX's own node tests: float32, gates in i, o, f, c.

    W [D,4H,I]   R [D,4H,H]   B [D,8H] = input biases, recurrent biases   P [D,3H] = i, o, f
    X [T,B,I]    initial_h, initial_c [D,B,H]    sequence_lens int32 [B]    Y [T,D,B,H]    Y_h, Y_c [D,B,H]

A model of L layers has L nodes; its inputs but X and its outputs but Y end in _l0, _l1, .... All inputs are exact in
float32, and the outputs are the true ones rounded once more, to float32. ONNX has no projections.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from parity_tests.suite.question import Answer, Question, layer_names
from parity_tests.vectors.layers import weights_of

OPSET, IR_VERSION = 14, 7
IOFC, IOF = [0, 3, 1, 2], [0, 2, 1]  # ONNX's order, in places of ours: i f g o, and i f o
# A gate's float32 rounding is near 3e-8 of a value up to 1, exp and tanh of other libraries are right to 2e-7; a few
# steps add up to less than 1e-6 (ONNX Runtime 1.31: 3.6e-7). A wrong gate order changes each case by 0.1 of its values.
TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}


def has_onnx(question: Question) -> bool:
    """Forward, without projection, and exact in float32."""
    if question.op != "forward" or any(name.startswith("weight_hr") for name in question.arrays):
        return False
    return all(np.array_equal(a, a.astype(np.float32)) for a in question.arrays.values() if a.dtype.kind == "f")


def rows(array: np.ndarray, order: list[int]) -> np.ndarray:
    """The blocks of the first axis, one a gate, in another order."""
    blocks = np.split(array, len(order))
    return np.concatenate([blocks[k] for k in order])


def layer_inputs(question: Question, first: int, suffixes: list[str], ending: str) -> dict[str, np.ndarray]:
    """ONNX name + ending -> float32 (lengths: int32), in the order of the operator's inputs after X."""
    weights = [weights_of(dict(question.arrays), suffix) for suffix in suffixes]
    stacked = {
        "W": [rows(w["weight_ih"], IOFC) for w in weights],
        "R": [rows(w["weight_hh"], IOFC) for w in weights],
        "B": [np.concatenate([rows(w["bias_ih"], IOFC), rows(w["bias_hh"], IOFC)]) for w in weights],
    }
    inputs = {name: np.stack(parts) for name, parts in stacked.items()}
    if "lengths" in question.arrays:
        inputs["sequence_lens"] = question.arrays["lengths"].astype(np.int32)
    for name, ours in (("initial_h", "h0"), ("initial_c", "c0")):
        inputs[name] = question.arrays[ours][first : first + len(suffixes)]
    if "peephole" in weights[0]:
        inputs["P"] = np.stack([rows(w["peephole"], IOF) for w in weights])
    return {
        name if name == "sequence_lens" else name + ending: a.astype(np.float32) if a.dtype.kind == "f" else a
        for name, a in inputs.items()
    }


def nodes(question: Question, layers: list[list[str]], endings: list[str]) -> Iterator[Any]:
    """An LSTM node a layer; between two, [T,D,B,H] becomes [T,B,D*H]."""
    below = "X"
    for l, (suffixes, ending) in enumerate(zip(layers, endings)):
        last = l == len(layers) - 1
        lengths = "sequence_lens" if "lengths" in question.arrays else ""
        inputs = [below, f"W{ending}", f"R{ending}", f"B{ending}", lengths, f"initial_h{ending}", f"initial_c{ending}"]
        if f"peephole{suffixes[0]}" in question.arrays:
            inputs.append(f"P{ending}")
        y = "Y" if last else f"Y{ending}"
        yield helper.make_node(
            "LSTM",
            inputs,
            [y, f"Y_h{ending}", f"Y_c{ending}"],
            hidden_size=question.arrays[f"weight_hh{suffixes[0]}"].shape[1],
            direction="bidirectional" if len(suffixes) == 2 else "forward",
        )
        if not last:
            below = f"X_l{l + 1}"
            yield helper.make_node("Transpose", [y], [f"rows{ending}"], perm=[0, 2, 1, 3])
            yield helper.make_node("Reshape", [f"rows{ending}", "side_by_side"], [below])


def onnx_case(name: str, question: Question, answer: Answer) -> tuple[bytes, list[bytes], list[bytes]]:
    """The model and its inputs and outputs, serialised. answer: float64, as the question is answered."""
    names = layer_names(question.arrays)
    D = 2 if any(suffix.endswith("_reverse") for suffix in names) else 1
    layers = [names[first : first + D] for first in range(0, len(names), D)]
    endings = [f"_l{l}" if len(layers) > 1 else "" for l in range(len(layers))]
    inputs = {"X": question.arrays["x"].astype(np.float32)}
    T, B, width = answer["y"].shape
    outputs = {"Y": answer["y"].reshape(T, B, D, width // D).swapaxes(1, 2)}
    for l, (suffixes, ending) in enumerate(zip(layers, endings)):
        inputs |= layer_inputs(question, l * D, suffixes, ending)
        for ours in ("h", "c"):
            outputs[f"Y_{ours}{ending}"] = answer[f"{ours}_n"][l * D : (l + 1) * D]
    outputs = {key: np.ascontiguousarray(a, np.float32) for key, a in outputs.items()}
    reshape = [numpy_helper.from_array(np.array([0, 0, -1], np.int64), "side_by_side")] if len(layers) > 1 else []
    graph = helper.make_graph(
        list(nodes(question, layers, endings)), name, _infos(inputs), _infos(outputs), initializer=reshape
    )
    model = helper.make_model(
        graph, producer_name="lstm-parity", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    onnx.checker.check_model(model, full_check=True)
    return _bytes(model), _tensors(inputs), _tensors(outputs)


def _infos(arrays: dict[str, np.ndarray]) -> list[Any]:
    types = {"f": TensorProto.FLOAT, "i": TensorProto.INT32}
    return [helper.make_tensor_value_info(name, types[a.dtype.kind], a.shape) for name, a in arrays.items()]


def _tensors(arrays: dict[str, np.ndarray]) -> list[bytes]:
    return [_bytes(numpy_helper.from_array(np.ascontiguousarray(a), name)) for name, a in arrays.items()]


def _bytes(message: Any) -> bytes:
    return message.SerializeToString(deterministic=True)

"""An LSTM of PyTorch's weights as an ONNX model: one LSTM node a layer [ONNX operator LSTM, version 22].

ONNX keeps the gates in the order i, o, f, c (its c is our g) and the peepholes in the order i, o, f; W [D,4H,I],
R [D,4H,H], B [D,8H] = both biases, P [D,3H]; Y is [T,D,B,H], where PyTorch's y is [T,B,D*H].
"""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from parity_tests.suite.question import Question, layer_names

GATES = {"i": 0, "f": 1, "g": 2, "o": 3}  # where PyTorch has them
PEEPHOLES = {"i": 0, "f": 1, "o": 2}
OPSET, IR = 22, 10


def in_onnx_order(array: np.ndarray, order: str, places: dict[str, int]) -> np.ndarray:
    """The blocks of the first axis, one a gate, in another order."""
    blocks = np.split(array, len(places))
    return np.concatenate([blocks[places[gate]] for gate in order])


def lstm_model(question: Question) -> ModelProto:
    """Inputs x [T,B,I], h0, c0 [L*D,B,H] (, lengths [B] int32); outputs y [T,B,D*H], h_n, c_n [L*D,B,H].

    The weights are constants of the model, as in a model that is deployed.
    """
    weights, names = question.weights(), layer_names(question.weights())
    D = 2 if any(name.endswith("_reverse") for name in names) else 1
    H, layers = weights["weight_hh_l0"].shape[1], len(names) // D
    constants = {"width": np.array([0, 0, D * H], np.int64), "parts": np.full(layers, D, np.int64)}
    nodes = [
        helper.make_node("Split", [name, "parts"], [f"{name}_{k}" for k in range(layers)], axis=0) for name in _STATE
    ]
    x = "x"
    for k in range(layers):
        suffixes = names[k * D : (k + 1) * D]
        constants |= {f"{letter}_{k}": value for letter, value in _layer_constants(weights, suffixes).items()}
        nodes += _layer_nodes(
            k, x, H, "bidirectional" if D == 2 else "forward", "lengths" in question.arrays, constants
        )
        x = f"y_{k}"
    nodes += [helper.make_node("Identity", [x], ["y"])]
    nodes += [helper.make_node("Concat", [f"{n}_{k}" for k in range(layers)], [n], axis=0) for n in ("h_n", "c_n")]
    real = helper.np_dtype_to_tensor_dtype(question.dtype)
    inputs = [helper.make_tensor_value_info(n, real, list(question.arrays[n].shape)) for n in ("x", *_STATE)]
    if "lengths" in question.arrays:
        inputs.append(
            helper.make_tensor_value_info("lengths", TensorProto.INT32, list(question.arrays["lengths"].shape))
        )
    outputs = [helper.make_tensor_value_info(name, real, None) for name in ("y", "h_n", "c_n")]
    tensors = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "lstm", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


_STATE = ("h0", "c0")


def _layer_constants(weights: dict[str, np.ndarray], suffixes: list[str]) -> dict[str, np.ndarray]:
    """W, R, B and, where there are peepholes, P of one layer, its directions stacked."""

    def stacked(name: str) -> np.ndarray:
        return np.stack([in_onnx_order(weights[name + suffix], "iofg", GATES) for suffix in suffixes])

    constants = {"W": stacked("weight_ih"), "R": stacked("weight_hh")}
    constants["B"] = np.concatenate([stacked("bias_ih"), stacked("bias_hh")], axis=1)
    if f"peephole{suffixes[0]}" in weights:
        constants["P"] = np.stack([in_onnx_order(weights[f"peephole{s}"], "iof", PEEPHOLES) for s in suffixes])
    return constants


def _layer_nodes(
    k: int, x: str, H: int, direction: str, lengths: bool, constants: dict[str, np.ndarray]
) -> list[NodeProto]:
    """The LSTM node of layer k, and what makes y [T,B,D*H] of its Y."""
    inputs = [x, f"W_{k}", f"R_{k}", f"B_{k}", "lengths" if lengths else "", f"h0_{k}", f"c0_{k}"]
    inputs += [f"P_{k}"] if f"P_{k}" in constants else []
    return [
        helper.make_node("LSTM", inputs, [f"Y_{k}", f"h_n_{k}", f"c_n_{k}"], hidden_size=H, direction=direction),
        helper.make_node("Transpose", [f"Y_{k}"], [f"Yt_{k}"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"Yt_{k}", "width"], [f"y_{k}"]),
    ]


def feeds(question: Question) -> dict[str, np.ndarray]:
    """The model's inputs."""
    arrays = {name: question.arrays[name] for name in ("x", *_STATE)}
    if "lengths" in question.arrays:
        arrays["lengths"] = question.arrays["lengths"].astype(np.int32)
    return arrays

"""ONNX Runtime's way to sample: the model of one step as an ONNX graph, with the state as input and output.

One LSTM node a layer [ONNX operator LSTM, version 22], over one step of one row; the one-hot input is a row picked from
the identity. ONNX keeps the gates in the order i, o, f, c (its c is our g), W [1,4H,I], R [1,4H,H], B [1,8H].
"""

import random

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

from benchmarks.cases import SampleCase
from benchmarks.contenders.drawing import drawn

OPSET, IR = 22, 10


def step_model(case: SampleCase) -> ModelProto:
    """Inputs id int64 [1], h<k>, c<k> [1,1,H]; outputs logits [1,1,V], h<k>_next, c<k>_next."""
    config, params = case.config, {name: value.astype(np.float32) for name, value in case.parameters().items()}
    constants = {"identity": np.eye(config.vocab_size, dtype=np.float32)[:, None]}
    nodes, x = [helper.make_node("Gather", ["identity", "id"], ["x0"], axis=0)], "x0"
    for k, H in enumerate(config.hidden_sizes):
        constants |= {f"{letter}{k}": value for letter, value in _layer(params, k).items()}
        inputs = [x, f"W{k}", f"R{k}", f"B{k}", "", f"h{k}", f"c{k}"]
        nodes += [
            helper.make_node("LSTM", inputs, [f"y{k}", f"h{k}_next", f"c{k}_next"], hidden_size=H),
            helper.make_node("Squeeze", [f"y{k}", "direction"], [f"x{k + 1}"]),
        ]
        x = f"x{k + 1}"
    constants |= {"direction": np.array([1]), "weight": params["decoder.weight"].T, "bias": params["decoder.bias"]}
    nodes += [helper.make_node("MatMul", [x, "weight"], ["z"]), helper.make_node("Add", ["z", "bias"], ["logits"])]
    states = {f"{letter}{k}": [1, 1, H] for k, H in enumerate(config.hidden_sizes) for letter in "hc"}
    of = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "step",
        [of("id", TensorProto.INT64, [1]), *(of(name, TensorProto.FLOAT, shape) for name, shape in states.items())],
        [of(name, TensorProto.FLOAT, None) for name in ("logits", *(f"{state}_next" for state in states))],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def _layer(params: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    def reordered(name: str) -> np.ndarray:
        i, f, g, o = np.split(params[f"lstm.{name}_l{k}"], 4)
        return np.concatenate([i, o, f, g])[None]

    biases = [reordered(name) for name in ("bias_ih", "bias_hh")]
    return {"W": reordered("weight_ih"), "R": reordered("weight_hh"), "B": np.concatenate(biases, axis=1)}


class OnnxSampler:
    def __init__(self, threads: int, case: SampleCase):
        self._case, self._vocabulary = case, case.vocabulary
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        model = step_model(case).SerializeToString()
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        layers = range(len(case.config.hidden_sizes))
        self._states = [f"{letter}{k}" for k in layers for letter in "hc"]
        self._outputs = ["logits", *(f"{state}_next" for state in self._states)]

    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        generator, ids = random.Random(seed), self._vocabulary.encode(prime).tolist()
        state = [np.zeros((1, 1, H), np.float32) for H in self._case.config.hidden_sizes for _ in "hc"]
        for token in ids[:-1]:
            _, state = self._step(token, state)
        for _ in range(size + 1):
            logits, state = self._step(ids[-1], state)
            ids.append(drawn(logits[0, 0], top_k, generator))
        return self._vocabulary.decode(ids)

    def _step(self, token: int, state: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        logits, *state = self._session.run(self._outputs, {"id": np.array([token]), **dict(zip(self._states, state))})
        return logits, state

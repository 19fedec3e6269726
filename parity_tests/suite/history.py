"""Whole cells from history: six that were wrong, as they were wrong, and right ones in as many styles.

A suite has to reject every wrong one and none of the right ones. Facts are those of the threads that are named; the
code is our own (history_cells.py, history_learning.py). `mutant` names the one of the bank that is the same mistake.
"""

from collections.abc import Callable, Mapping
from typing import Any

from parity_tests.suite.adapter import Capabilities, MethodAdapter
from parity_tests.suite.history_cells import (
    OWN,
    basic_cell,
    graves_layer,
    keras_layer,
    onnx_runtime,
    scalar_loops,
    separate_gates,
)
from parity_tests.suite.history_learning import FlatWeights, SeededAtEveryStep, UnrolledModel, assign, step_list


class HistoricCell(MethodAdapter):
    """An adapter with a past. case: owner/repository#number; mutant: '' for a right one."""

    def __init__(
        self,
        name: str,
        story: str,
        methods: Mapping[str, Callable[..., Any]],
        *,
        case: str = "",
        mutant: str = "",
        **claims: Any,
    ):
        capabilities = Capabilities(operations=tuple(methods), dtypes=("float64", "float32"), **claims)
        super().__init__(name, methods, capabilities)
        self.story, self.case, self.mutant = " ".join(story.split()), case, mutant


MODEL: dict[str, Any] = {"layers": 2, "tied": True, "drops": ("outputs", "input", "embedding", "weight_hh")}

WRONG = (
    HistoricCell(
        "a-bias-copied-and-pasted",
        """A NumPy library has a matrix and a bias for each gate. The line of the output gate was copied for the forget
        and the update gate, and its bias went with it; the tests had all biases zero.""",
        {"forward": separate_gates({**OWN, "i": "o", "f": "o"})},
        case="ddbourgin/numpy-ml#42",
        mutant="one-bias-for-all-gates",
    ),
    HistoricCell(
        "onnx-weights-read-as-pytorchs",
        """A speech program in C++ takes its bidirectional LSTM from an ONNX file, i, o, f, c, and reads it as i, f, g,
        o. It runs, and gives all speech to one speaker.""",
        {"forward": onnx_runtime("ifgo")},
        case="CrispStrobe/CrispASR#106",
        mutant="gate-order-igof",
        directions=2,
    ),
    HistoricCell(
        "forget-bias-of-layer-0",
        """A library for floods sets the forget bias in the array that is called bias_hh_l0. All its LSTMs had one
        layer, so nothing was wrong until somebody would ask for more.""",
        {"forward": basic_cell(has_forget_bias=lambda layer: layer == 0)},
        case="google-research/flood-forecasting#289",
        mutant="forget-bias-in-the-first-layer-only",
        layers=3,
    ),
    HistoricCell(
        "cell-gradient-assigned",
        """An example in Python writes dC = where dC += belongs, so what came back from later steps is lost. It was
        found by a reader, and not by a test.""",
        step_list(assign),
        case="apache/mxnet#4057",
        mutant="cell-gradient-overwritten",
    ),
    HistoricCell(
        "a-seed-at-every-step",
        """A statically unrolled network asks for dropout with a fixed seed at each step. The masks of all steps are the
        same then, which nobody had meant.""",
        {"model": SeededAtEveryStep().model},
        case="tensorflow/tensorflow#2789",
        mutant="one-mask-for-all-steps",
        **MODEL,
    ),
    HistoricCell(
        "weight-drop-beside-the-flat-weights",
        """Weight drop puts a masked matrix in the place of a parameter, and the layer multiplies with the list of
        weights that it made before. What is used was never masked.""",
        {"model": FlatWeights().model},
        case="salesforce/awd-lstm-lm#5",
        mutant="weight-drop-not-applied",
        **MODEL,
    ),
)

RIGHT = (
    HistoricCell("four-matrices", "One matrix for each gate, on h and x joined.", {"forward": separate_gates()}),
    HistoricCell(
        "one-kernel-for-x-and-h",
        "The gates i, j, f, o in one matrix on x and h joined, with a forget bias added on the fly.",
        {"forward": basic_cell()},
        layers=3,
    ),
    HistoricCell(
        "kernels-in-by-out",
        "Kernels [in,4H], one bias, the batch first inside, the input's product before the loop.",
        {"forward": keras_layer},
    ),
    HistoricCell(
        "onnx-order-converted",
        "W, R and B in the order i, o, f, c, converted and read alike, in one direction or two.",
        {"forward": onnx_runtime()},
        directions=2,
    ),
    HistoricCell(
        "peepholes-of-zero",
        "A cell that always has peepholes, and zeros in them where none are given.",
        {"forward": graves_layer},
        peepholes=True,
    ),
    HistoricCell(
        "a-row-at-a-time",
        "Loops over single numbers, one row of the batch after the other, in float64.",
        {"forward": scalar_loops},
        lengths=True,
        batch_first=True,
    ),
    HistoricCell("a-list-of-steps", "A layer that keeps its steps in a list and walks it back.", step_list()),
    HistoricCell(
        "unrolled-step-by-step",
        "A language model that runs all layers of a step before the next step.",
        {"model": UnrolledModel().model},
        **MODEL,
    ),
)

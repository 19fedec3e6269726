"""The reference evaluator that comes with the onnx package: ONNX's own LSTM in NumPy, forward.

It takes `sequence_lens` and ignores it (1.23), so rows that end early are not claimed.
"""

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from lstm_ref.core.errors import UsageError
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.adapters.onnx_model import feeds, lstm_model
from parity_tests.suite.question import Answer, Question

OUTPUTS = ("y", "h_n", "c_n")


class OnnxReference:
    """An `Adapter`."""

    name = "onnx.reference"
    capabilities = Capabilities(
        operations=("forward",),
        dtypes=("float64", "float32"),
        layers=4,
        directions=2,
        peepholes=True,
        note=f"onnx {onnx.__version__}",
    )

    def answer(self, question: Question) -> Answer:
        if question.op != "forward":
            raise UsageError(f"{self.name} answers forward, not {question.op}")
        evaluator = ReferenceEvaluator(lstm_model(question))
        with np.errstate(over="ignore"):  # its sigmoid is 1 / (1 + exp(-x)), and right where exp overflows
            return dict(zip(OUTPUTS, evaluator.run(list(OUTPUTS), feeds(question))))


onnx_reference = OnnxReference()

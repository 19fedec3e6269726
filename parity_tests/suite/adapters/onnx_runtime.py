"""ONNX Runtime's LSTM on the CPU: float32, forward. It has no float64 LSTM and no batch-first layout (1.31)."""

import onnxruntime

from lstm_ref.core.errors import UsageError
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.adapters.onnx_model import feeds, lstm_model
from parity_tests.suite.question import Answer, Question

OUTPUTS = ("y", "h_n", "c_n")


class OnnxRuntime:
    """An `Adapter`: a session for each question, one thread."""

    name = "onnxruntime"
    capabilities = Capabilities(
        operations=("forward",),
        dtypes=("float32",),
        layers=4,
        directions=2,
        lengths=True,
        peepholes=True,
        note=f"onnxruntime {onnxruntime.__version__}",
    )

    def answer(self, question: Question) -> Answer:
        if question.op != "forward":
            raise UsageError(f"{self.name} answers forward, not {question.op}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = lstm_model(question).SerializeToString()
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return dict(zip(OUTPUTS, session.run(OUTPUTS, feeds(question))))


onnx_runtime = OnnxRuntime()

"""Other projects' tests of an LSTM, re-created as data so that they can be scored (score.py): which wrong LSTMs pass?

The figures (sizes, constants, tolerances, outputs compared) are the projects'; the code is ours. Only the forward pass
is re-created, in our layout and gate order.
"""

from collections.abc import Callable

from parity_tests.suite.published import flashrnn, keras, onnx_node, random_vector, webnn
from parity_tests.suite.published.case import PublishedCase, PublishedSuite

SUITES: dict[str, Callable[[], PublishedSuite]] = {
    "onnx": onnx_node.suite,
    "webnn": webnn.suite,
    "keras": keras.suite,
    "flashrnn": flashrnn.suite,
    "random": random_vector.suite,
}

__all__ = ["SUITES", "PublishedCase", "PublishedSuite"]

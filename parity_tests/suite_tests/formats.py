"""LSTMs that are right but compute in a coarser format: the judge with every result rounded."""

from collections.abc import Callable

import numpy as np

from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import Answer, Question
from parity_tests.suite.referee import STEP, Referee

BITS = {"float32": 24, "TF32": 11, "bf16": 8}


def rounded_to(name: str) -> Callable[..., np.ndarray]:
    """To nearest on the grid of the format, real and imaginary part each. Only fp16's exponent is short enough to
    matter here."""

    def real(x: np.ndarray) -> np.ndarray:
        if name == "fp16":
            return x.astype(np.float16).astype(np.float64)
        significand, exponent = np.frexp(x)
        return np.ldexp(np.round(np.ldexp(significand, BITS[name])), exponent - BITS[name])

    def round_one(x: np.ndarray, units: float = 1) -> np.ndarray:
        x = np.asarray(x)
        if not np.iscomplexobj(x):
            return real(x)
        return real(x.real) + 1j * real(x.imag / STEP) * STEP

    return round_one


class TensorCore(Referee):
    """TF32 as a GPU does it: what goes into a product is rounded to 11 bits, sums and all else are float32."""

    def __init__(self) -> None:
        super().__init__(rounded_to("float32"))
        self.short = rounded_to("TF32")

    def product(self, x, weight):
        return self.wobble(self.short(x) @ np.swapaxes(self.short(weight), -1, -2))


class InFormat:
    """What bf16 and fp16 return lies on their grid too, as a tensor of that type does."""

    def __init__(self, name: str, dtype: str = "float32"):
        self.name = name
        self.judge = TensorCore() if name == "TF32" else Referee(rounded_to(name))
        self.stored = self.judge.wobble
        self.capabilities = Capabilities(operations=("forward", "backward"), dtypes=(dtype,))

    def answer(self, question: Question) -> Answer:
        answer = self.judge.answer(question)
        return {name: self.stored(array).astype(question.dtype) for name, array in answer.items()}

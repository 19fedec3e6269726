"""Right formulas, wrong arithmetic: overflow, precision that is lost, approximations."""

import numpy as np

from parity_tests.suite.mutants.mutant import EVERYWHERE, SCORES, Group
from parity_tests.suite.subject import Subject
from parity_tests.suite.subject_cell import SIGMOID, TANH, Activation

NUMERICS = Group("numerics")


@NUMERICS.mutant(
    "softmax-without-maximum", "logp = z - log sum exp(z)", SCORES, case="andrewschreiber/numpy-saliency#2"
)
class SoftmaxWithoutMaximum(Subject):
    """The formula of the book without the shift that keeps it in range. A logit above 709, or 88 in float32, gives inf
    and then NaN; a model reaches that in the middle of its training."""

    def largest(self, logits):
        return np.zeros_like(super().largest(logits))


def _overflowing_sigmoid(a):
    return np.exp(a) / (1 + np.exp(a))


@NUMERICS.mutant("sigmoid-overflows", "sigmoid(a) = exp(a) / (1 + exp(a))", EVERYWHERE, case="karpathy/neuraltalk#2")
class SigmoidOverflows(Subject):
    """Of the two forms of the sigmoid this one is inf/inf for a large argument. The other form only warns, so the habit
    of silencing the warning hides this one's NaN."""

    gate_activation = Activation(_overflowing_sigmoid, SIGMOID.slope)


def _fast_tanh(a):
    return np.clip(a.real * (27 + a.real**2) / (27 + 9 * a.real**2), -1, 1)


@NUMERICS.mutant("tanh-approximated", "tanh(x) = x(27 + x^2) / (27 + 9x^2)", EVERYWHERE)
class TanhApproximated(Subject):
    """A rational function for small machines, right to two digits, clipped where it leaves the range. A tolerance of
    1e-2 lets it pass, and the error adds up over the steps."""

    candidate_activation = cell_activation = Activation(_fast_tanh, TANH.slope)


def _to_tf32(x):
    """To 10 bits after the leading one, as tensor cores take their operands."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent).astype(x.dtype)


@NUMERICS.mutant("noise-at-every-call", "a = x W_ih^T + ... + noise, in evaluation too", EVERYWHERE)
class NoiseAtEveryCall(Subject):
    """Weight noise regularises in training, and nobody switches it off for evaluation. Every call draws anew, so two
    answers to one question differ, and each by itself looks like a model a little worse than it is."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def input_product(self, x, weight_ih):
        self.calls += 1
        return super().input_product(x, weight_ih) + weight_ih.dtype.type(1e-3) * np.sin(
            weight_ih.dtype.type(self.calls)
        )


@NUMERICS.mutant(
    "products-in-tf32",
    "x W^T with operands of 10 bits",
    EVERYWHERE,
    case="keras-team/keras#19254",
    rounds_as="TF32",
)
class ProductsInTF32(Subject):
    """The GPU multiplies in TF32 by default and calls it float32. Three digits are right, on the CPU seven; whoever
    compares the two looks for a bug in the model."""

    def input_product(self, x, weight_ih):
        return super().input_product(_to_tf32(x), _to_tf32(weight_ih))

    def recurrent_product(self, h, weight_hh):
        return super().recurrent_product(_to_tf32(h), _to_tf32(weight_hh))


@NUMERICS.mutant("log-of-p-plus-epsilon", "logp = log(p + 1e-7)", SCORES)
class LogOfPPlusEpsilon(Subject):
    """The softmax is taken first, and a small number keeps its logarithm finite. No token can cost more than 16 nats,
    and the gradient of a confident mistake is nearly zero."""

    def log_softmax(self, logits):
        return np.log(np.exp(super().log_softmax(logits)) + 1e-7)


@NUMERICS.mutant("epoch-summed-in-float32", "sum += nll in float32, one by one", ("evaluate",))
class EpochSummedInFloat32(Subject):
    """The loss of an epoch is added up in a variable of the model's precision. After a million tokens each addend is
    cut to a few bits, and the fourth digit of the perplexity is noise."""

    def sum_of(self, nll):
        return nll.astype(np.float32).cumsum(dtype=np.float32)[-1]

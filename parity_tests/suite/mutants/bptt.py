"""Wrong gradients: the forward pass is right, and what comes back through time is not."""

import numpy as np

from parity_tests.suite.mutants.mutant import GRADIENTS, LEARNING, Group
from parity_tests.suite.subject import Subject
from parity_tests.suite.subject_cell import sigmoid

BPTT = Group("bptt")


@BPTT.mutant(
    "cell-gradient-overwritten", "dc = dh*o*(1 - tanh(c')^2)", GRADIENTS, case="apache/mxnet#4057", likely=True
)
class CellGradientOverwritten(Subject):
    """c' reaches the loss by this step's h and by the next step's c, and an `=` where a `+=` belongs forgets the second
    way. At the last step nothing comes from later, so a check of one step passes."""

    def d_cell(self, dc, through_output):
        return through_output


@BPTT.mutant(
    "final-cell-gradient-ignored",
    "dc_T+1 = 0, whatever dc_n is",
    ("backward",),
    case="deeplearning4j/deeplearning4j#8838",
    likely=True,
)
class FinalCellGradientIgnored(Subject):
    """The backward pass starts from zeros, because nobody had used the final cell state in a loss yet. Encoders that
    hand it to a decoder do, and lose that gradient."""

    def final_gradients(self, dh_n, dc_n):
        return dh_n, np.zeros_like(dc_n)


@BPTT.mutant("final-hidden-gradient-ignored", "dh_T+1 = 0, whatever dh_n is", ("backward",))
class FinalHiddenGradientIgnored(Subject):
    """The final h equals the last y, so one takes it for the same output and listens to the gradient of y only. Whoever
    builds the loss on h_n trains nothing below it."""

    def final_gradients(self, dh_n, dc_n):
        return np.zeros_like(dh_n), dc_n


@BPTT.mutant("slope-of-tanh-at-c", "dc += dh*o*(1 - c'^2)", GRADIENTS)
class SlopeOfTanhAtC(Subject):
    """The derivative 1 - t^2 wants t = tanh(c') and is given c', which is the array at hand. While |c'| is small the
    two are close, and training begins as it should."""

    def cell_slope(self, tanh_c, c_next):
        return 1 - c_next * c_next


@BPTT.mutant("slope-of-tanh-taken-twice", "dc += dh*o*(1 - tanh(tanh(c'))^2)", GRADIENTS)
class SlopeOfTanhTakenTwice(Subject):
    """A function dtanh(x) that squashes its argument is called with a value that is squashed already. It is never far
    off, so the loss falls, and only a gradient check tells."""

    def cell_slope(self, tanh_c, c_next):
        return 1 - np.tanh(tanh_c) ** 2


@BPTT.mutant("slope-of-sigmoid-taken-twice", "da = d*sigmoid(i)*(1 - sigmoid(i))", GRADIENTS)
class SlopeOfSigmoidTakenTwice(Subject):
    """The same with the gates: dsigmoid(x) computes the sigmoid again from a gate that is one. The slope is then
    between 0.20 and 0.25 for every gate, open or shut, and nothing ever saturates."""

    def gate_slope(self, gate):
        return sigmoid(gate) * (1 - sigmoid(gate))


@BPTT.mutant("slope-of-the-candidate-without-square", "da_g = dg*(1 - g)", GRADIENTS)
class SlopeOfTheCandidateWithoutSquare(Subject):
    """A slip of the pen in 1 - g^2. Both are 1 at g = 0 and 0 at g = 1, and for negative g the wrong one is larger."""

    def candidate_slope(self, g):
        return 1 - g


@BPTT.mutant("gradient-of-the-first-state-missing", "dh0 = dc0 = 0", ("backward",))
class GradientOfTheFirstStateMissing(Subject):
    """The loop ends at the first step and its last two results are thrown away. Truncated training never asks for them;
    a learnt initial state, or a decoder on an encoder, does."""

    def initial_gradients(self, dh0, dc0):
        return np.zeros_like(dh0), np.zeros_like(dc0)


@BPTT.mutant(
    "dy-overwritten-at-depth-3",
    "in a middle layer: dy = dx before the second direction has read dy",
    ("backward",),
    case="apache/mxnet#18203",
)
class DyOverwrittenAtDepth3(Subject):
    """Middle layers share one buffer for the gradient that comes and the one that goes, and in a layer of two
    directions the first writes before the second has read. It takes two directions and at least three layers to see
    it."""

    def dy_of_direction(self, dy, d, D, dx_before, middle):
        overwritten = D == 2 and d == 1 and middle and dx_before.shape == dy.shape
        return super().dy_of_direction(dx_before if overwritten else dy, d, D, dx_before, middle)


@BPTT.mutant("one-unit-has-gradient-one", "where H = 1: dy = 1", GRADIENTS, case="chainer/chainer#4010")
class OneUnitHasGradientOne(Subject):
    """A framework fills in 1 for the gradient of a single number, as a loss is one, and does so where the number is no
    loss. Only a layer of one unit shows it, and a test with a gradient of ones does not."""

    def gradient_from_above(self, dy):
        return np.ones_like(dy) if dy.shape[-1] == 1 else dy


@BPTT.mutant("loss-summed-over-time", "loss = sum_t mean_b nll[t,b]", LEARNING)
class LossSummedOverTime(Subject):
    """The mean is taken step by step over the batch, and the steps are added up. Gradients are T times as long, the
    clipping hides most of it, and the right learning rate depends on the window."""

    def divisor(self, targets):
        return targets.shape[1] if targets.ndim == 2 else super().divisor(targets)


@BPTT.mutant(
    "state-not-detached", "window k's gradient goes on into window k-1", ("train",), case="yunjey/pytorch-tutorial#90"
)
class StateNotDetached(Subject):
    """The state is carried with its history, so each window's gradient runs back to the beginning of the text. It is a
    better gradient and not the one that was asked for; memory grows with every window."""

    def before_the_window(self, grads, initials, earlier):
        for tape in reversed(earlier):
            nothing = np.zeros((*tape.inputs.shape, tape.top.shape[-1]), tape.top.dtype)
            more, initials = self.stack_backward(nothing, initials, tape)
            grads = {name: g + more[name] if name in more else g for name, g in grads.items()}
        return grads


@BPTT.mutant("no-gradient-through-h", "dh_t = dy_t", GRADIENTS, case="ooples/AiDotNet#722")
class NoGradientThroughH(Subject):
    """The product of da with W_hh is left out, or zeroed at each step, and the gradient goes back by c alone. Short
    dependencies are learnt, and the loss curve looks like one of a smaller model."""

    def d_h_previous(self, da, weight_hh):
        return np.zeros_like(da @ weight_hh)


@BPTT.mutant("gradient-of-the-last-step-only", "dy_t = 0 for t < T", GRADIENTS)
class GradientOfTheLastStepOnly(Subject):
    """The layer was written for one answer at the end of a sequence, and the gradients of the other outputs are not
    added in. In a language model that drops all targets but the last."""

    def gradient_from_above(self, dy):
        last = np.zeros_like(dy)
        last[-1] = dy[-1]
        return last


@BPTT.mutant("recurrent-gradient-by-the-new-h", "dW_hh = sum_t da_t^T h_t", GRADIENTS)
class RecurrentGradientByTheNewH(Subject):
    """The list of h has T entries where T + 1 are needed, so the index of the state before a step is off by one. All
    other gradients are right, and W_hh moves in a direction that is nearly right."""

    def d_weight_hh(self, da, h, h_next):
        return da.T @ h_next


@BPTT.mutant("forget-gradient-by-the-new-c", "df = dc*c'", GRADIENTS)
class ForgetGradientByTheNewC(Subject):
    """The variable c was overwritten with c' in the forward pass, and the backward pass finds the new one under the old
    name. The two are alike wherever the forget gate is open."""

    def d_forget_gate(self, dc, c, c_next):
        return dc * c_next


@BPTT.mutant("carried-gradient-without-forget-gate", "dc_t-1 = dc_t", GRADIENTS)
class CarriedGradientWithoutForgetGate(Subject):
    """The carousel of the 1997 paper has no forget gate, and its gradient goes back unchanged. In a cell that has one
    the factor f is missing at every step."""

    def d_c_previous(self, dc, f):
        return dc


@BPTT.mutant("bias-hh-gradient-missing", "db_hh = 0", GRADIENTS)
class BiasHHGradientMissing(Subject):
    """The two biases look redundant, so only one of them is given a gradient. The forward pass agrees for ever; after
    one update the sum of the two has moved half as far as in PyTorch, and the norm for clipping is smaller."""

    def d_bias_hh(self, da):
        return np.zeros_like(super().d_bias_hh(da))


@BPTT.mutant("weight-gradients-not-added-up", "dW = da_1^T x_1", GRADIENTS)
class WeightGradientsNotAddedUp(Subject):
    """Each step writes its weight gradient over that of the step before it, an `=` for a `+=`, and what stays is the
    first step's, which comes last. With one step there is nothing to add."""

    def accumulate(self, total, addend):
        return addend


@BPTT.mutant("dx-in-the-order-of-the-loop", "dx = [dx_T, ..., dx_1]", GRADIENTS)
class DxInTheOrderOfTheLoop(Subject):
    """The backward loop appends, and its list is not turned round at the end. Everything of this layer is right; only
    what the layer or the embedding below receives is attached to the wrong steps."""

    def in_time_order(self, dx, T):
        return np.stack([dx[t] for t in reversed(range(T))])


@BPTT.mutant("dx-of-one-direction", "dx = dx of the first direction", ("backward",))
class DxOfOneDirection(Subject):
    """Both directions read the same x, so their gradients add; here the first is taken, or the second overwrites it.
    The weights of both directions still get their own right gradients."""

    def sum_of_directions(self, dx):
        return dx[0]


@BPTT.mutant(
    "gradient-stops-at-the-peepholes",
    "dc without da_o*p_o, da_i*p_i and da_f*p_f",
    ("backward",),
    case="automan000/Convolutional_LSTM_PyTorch#20",
)
class GradientStopsAtThePeepholes(Subject):
    """The paper that introduced peepholes cuts the gradient there, and so does code that follows it. Against a
    framework that differentiates what it computes, everything but the peepholes' own gradient differs."""

    def d_through_peephole(self, da, p):
        return 0.0

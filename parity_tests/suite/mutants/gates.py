"""Wrong lines (1) and (2) of the cell: which weight belongs to which gate, what is added to it, what squashes it."""

from itertools import permutations

import numpy as np

from parity_tests.suite.mutants.mutant import EVERYWHERE, LAYERS, Group
from parity_tests.suite.subject import Subject
from parity_tests.suite.subject_cell import SIGMOID, TANH, Activation

GATES = Group("gates")

FAMILY = "gate-order"
STORY = """The four gates are blocks of one matrix, and every system stacks them in an order of its own. The shapes are
the same in all 24 orders, so weights that are read in a wrong one load without a word, and the layer even trains; only
weights from elsewhere come out wrong."""

# Who stores the blocks in this order, and so takes PyTorch's for something else.
SYSTEMS = {
    "iofg": "ONNX stores i, o, f, c: this is its reader, given PyTorch's weights as they are.",
    "ifog": "char-rnn, torch-rnn and Caffe2 store i, f, o, g; so does Core ML, whose documentation said i, f, z, o.",
    "igfo": "TensorFlow's BasicLSTMCell and haste store i, g, f, o.",
    "figo": "nGraph names this layout FICO.",
    "igof": "This is PyTorch's reader, given ONNX's weights as they are; and nGraph has a layout ICOF, clDNN izof.",
    "gifo": "Chainer interleaves its gates in this order.",
}
NOBODY = "No system known to us stores them so; a slip in a table of four does."
CASES = {
    "ifog": "apple/coremltools#93",
    "igfo": "tensorflow/tensorflow#29308",
    "figo": "NervanaSystems/ngraph#3733",
    "igof": "CrispStrobe/CrispASR#106",
}
LIKELY = ("iofg", "igof", "ifog", "igfo")


def _wrong_order(order: str) -> type[Subject]:
    story = f"{STORY} {SYSTEMS.get(order, NOBODY)}"
    return type(f"Order_{order}", (Subject,), {"gates": order, "__doc__": story})


for _order in ("".join(letters) for letters in permutations("ifgo")):
    if _order != Subject.gates:
        GATES.mutant(
            f"gate-order-{_order}",
            f"a = [a_{' a_'.join(_order)}]",
            EVERYWHERE,
            case=CASES.get(_order, ""),
            likely=_order in LIKELY,
            family=FAMILY,
        )(_wrong_order(_order))


@GATES.mutant(
    "one-bias-for-all-gates",
    "a_i = z_i + b_o;  a_f = z_f + b_o;  a_o = z_o + b_o",
    EVERYWHERE,
    case="ddbourgin/numpy-ml#42",
    likely=True,
)
class OneBiasForAllGates(Subject):
    """The line of the output gate is copied for the other two, and the name of the bias is not changed with the rest.
    All biases have the same shape, and a test whose biases are all zero sees nothing."""

    def bias(self, bias_ih, bias_hh):
        *_, g, o = self.split_gates(super().bias(bias_ih, bias_hh))
        return self.join_gates(o, o, g, o)


@GATES.mutant(
    "bias-counted-twice",
    "a = x W_ih^T + b + h W_hh^T + b,   b = b_ih + b_hh",
    EVERYWHERE,
    case="lisa-lab/DeepLearningTutorials#81",
    likely=True,
)
class BiasCountedTwice(Subject):
    """The bias goes into the product with the input, made for all steps at once, and again into each step; or one bias
    is loaded into both places of a layer that has two. Zero biases hide it, and training makes up for it."""

    def bias(self, bias_ih, bias_hh):
        return 2 * super().bias(bias_ih, bias_hh)


@GATES.mutant(
    "bias-hh-dropped",
    "a = x W_ih^T + b_ih + h W_hh^T",
    EVERYWHERE,
    case="PINTO0309/onnx2tf#291",
    likely=True,
)
class BiasHHDropped(Subject):
    """A layer with one bias takes over weights from one with two, and only the first of them. In a freshly initialised
    model both are small, so the outputs look alike."""

    def bias(self, bias_ih, bias_hh):
        return bias_ih


@GATES.mutant("bias-ih-dropped", "a = x W_ih^T + h W_hh^T + b_hh", EVERYWHERE, case="google/flax#3746")
class BiasIHDropped(Subject):
    """The layer keeps its bias on the side of h, as Flax does, and the one on the side of x is lost on the way. The
    reader who knows that only the sum matters forgets to form the sum."""

    def bias(self, bias_ih, bias_hh):
        return bias_hh


@GATES.mutant("forget-bias-added-again", "f = sigmoid(a_f + 1)", EVERYWHERE, case="tensorflow/tensorflow#5090")
class ForgetBiasAddedAgain(Subject):
    """A cell that adds its forget bias of 1 on the fly is given weights that have it inside already. Both conventions
    are common, and the file does not say which was meant."""

    def forget_gate(self, a_f, i):
        return super().forget_gate(a_f + 1, i)


@GATES.mutant(
    "forget-bias-in-the-first-layer-only",
    "f = sigmoid(a_f - 1) in every layer and direction but the first",
    EVERYWHERE,
    case="google-research/flood-forecasting#289",
)
class ForgetBiasInTheFirstLayerOnly(Subject):
    """The forget bias is kept apart from the weights and is put into bias_hh_l0, by that name. In a model of one layer
    that is all there is; in one with two, or with two directions, the others go without."""

    def layer_weights(self, weights, suffix):
        w = super().layer_weights(weights, suffix)
        if suffix == "_l0":
            return w
        i, f, g, o = self.split_gates(w.bias_hh)
        return w._replace(bias_hh=self.join_gates(i, f - 1, g, o))


@GATES.mutant("sigmoid-and-tanh-swapped", "i, f, o = tanh(a_i, a_f, a_o);  g = sigmoid(a_g)", EVERYWHERE)
class SigmoidAndTanhSwapped(Subject):
    """The two activations are arguments of one function, `activation` and `recurrent_activation`, and are passed in the
    wrong order. The gates then lie in -1..1, which no shape and no range check forbids."""

    gate_activation = TANH
    candidate_activation = SIGMOID


@GATES.mutant("candidate-by-sigmoid", "g = sigmoid(a_g)", EVERYWHERE)
class CandidateBySigmoid(Subject):
    """One call squashes all four blocks, because three of four are right that way. The cell can then only add to c,
    never take away, and still learns a little."""

    candidate_activation = SIGMOID


def _hard_sigmoid(a):
    return np.clip(0.2 * a.real + 0.5, 0, 1)


@GATES.mutant(
    "hard-sigmoid",
    "i, f, o = clip(0.2 a + 0.5, 0, 1)",
    EVERYWHERE,
    case="tensorflow/tensorflow#47495",
    likely=True,
)
class HardSigmoid(Subject):
    """Keras once took straight pieces for the gates by default, and later a sigmoid; a model that moves between the two
    keeps its weights and changes its function. The two differ by a few hundredths, so the results look plausible."""

    gate_activation = Activation(_hard_sigmoid, lambda s: 0.2 * ((s > 0) & (s < 1)))


@GATES.mutant("weight-hh-transposed", "a = x W_ih^T + h W_hh + b", EVERYWHERE, likely=True)
class WeightHHTransposed(Subject):
    """Each gate's block of W_hh is square, so its transpose fits wherever it does. A loader that turns kernels from
    [in,out] to [out,in] forgets one of the two, or turns it twice."""

    def recurrent_matrix(self, weight_hh):
        blocks = np.split(weight_hh, 4)
        return np.concatenate([b.T for b in blocks]) if blocks[0].shape[0] == blocks[0].shape[1] else weight_hh


@GATES.mutant("recurrent-matrix-ignored", "a = x W_ih^T + b", EVERYWHERE)
class RecurrentMatrixIgnored(Subject):
    """The product with W_hh is lost in a rewrite. Every step then starts from the bias, and the gradient of W_hh is
    still there and looks sound, because it is da^T h either way."""

    def recurrent_matrix(self, weight_hh):
        return np.zeros_like(weight_hh)


@GATES.mutant("weight-ih-transposed-where-it-fits", "a = x W_ih + ... where I = H", EVERYWHERE)
class WeightIHTransposed(Subject):
    """The matrix is turned when its shape is not the expected one, and where I = H it always is. Every layer above the
    first has I = H, so a stack is wrong from its second layer on and a single layer is right."""

    def input_matrix(self, weight_ih):
        blocks = np.split(weight_ih, 4)
        return np.concatenate([b.T for b in blocks]) if blocks[0].shape[0] == blocks[0].shape[1] else weight_ih


@GATES.mutant("coupled-forget-gate", "f = 1 - i", EVERYWHERE)
class CoupledForgetGate(Subject):
    """An option of the format (ONNX has `input_forget`) ties the two gates and is on by mistake. The forget gate's
    weights are then dead: they can be anything."""

    def forget_gate(self, a_f, i):
        return 1 - i


@GATES.mutant("candidate-added", "c' = f*c + (i + g)", EVERYWHERE, case="MartinuzziFrancesco/torchrecurrent#22")
class CandidateAdded(Subject):
    """A plus where the product of gate and candidate belongs. The shapes agree, and the cell grows slowly enough that a
    short sequence looks sound."""

    def cell_update(self, f, c, i, g):
        return f * c + (i + g)


@GATES.mutant("output-gate-left-out", "h' = tanh(c')", EVERYWHERE)
class OutputGateLeftOut(Subject):
    """The cell is written after a drawing of a simpler unit, or the gate is computed and not used. Every value stays in
    -1..1, and the gradient of o's weights is computed all the same."""

    def output(self, o, tanh_c):
        return tanh_c


@GATES.mutant("output-peephole-sees-old-c", "o = sigmoid(a_o + p_o*c)", LAYERS)
class OutputPeepholeSeesOldC(Subject):
    """All four gates are computed in one go, before c' is known, so the output gate looks at the old c like the other
    two. Without peepholes nothing changes, and few tests have any."""

    def seen_by_output_gate(self, c, c_next):
        return c


@GATES.mutant("peepholes-in-onnx-order", "p = [p_i p_o p_f]", LAYERS, case="opencv/opencv#29931")
class PeepholesInOnnxOrder(Subject):
    """ONNX stores the peepholes as i, o, f, in line with its order of gates; most code loops over i, f, o. All three
    have H numbers, and in ONNX's own test they are all equal."""

    peepholes = "iof"

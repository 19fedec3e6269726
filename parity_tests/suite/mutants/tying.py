"""Wrong embeddings: tied matrices, repeated ids, and the decoder's bias."""

from parity_tests.suite.mutants.mutant import LEARNING, Group
from parity_tests.suite.subject import Subject

TYING = Group("tying")

MODELS = ("model", "train", "generate")


@TYING.mutant("tied-gradient-of-the-decoder-only", "dW_e = dW_d", LEARNING, case="paiml/entrenar#314")
class TiedGradientOfTheDecoderOnly(Subject):
    """The matrix is used twice and has one gradient buffer, into which the second use writes. Words are then learnt
    from how they are predicted, and not from how they are read."""

    def tied_gradient(self, by_input, by_decoder):
        return by_decoder


@TYING.mutant("tied-gradient-of-the-input-only", "dW_d = dW_e", LEARNING, case="torch/DEPRECEATED-torch7-distro#156")
class TiedGradientOfTheInputOnly(Subject):
    """The weights are shared and the gradients are not, and the optimizer walks over the first buffer. Rows of words
    that do not occur in the window stay where they are, though the softmax pushed at all of them."""

    def tied_gradient(self, by_input, by_decoder):
        return by_input


@TYING.mutant("repeated-ids-overwrite", "dW_e[ids] += dx, once for each id", LEARNING, case="HIPS/autograd#136")
class RepeatedIdsOverwrite(Subject):
    """With an array of indices, `+=` reads all rows, adds, and writes all rows back: of an id that occurs twice only
    the last occurrence is left. A test with different ids everywhere finds nothing."""

    def scatter(self, total, ids, dx):
        total = total.copy()
        total[ids] += dx
        return total


@TYING.mutant("row-0-never-learns", "dW_e[0] = 0", LEARNING)
class Row0NeverLearns(Subject):
    """The embedding is told that id 0 is padding, in a vocabulary that has a word there. That word keeps the vector
    that it was born with, and all others are fine."""

    def d_embedding(self, table, dx, tape):
        total = super().d_embedding(table, dx, tape)
        total[0] = 0
        return total


@TYING.mutant("decoder-bias-left-out", "logits = y W_d^T", MODELS)
class DecoderBiasLeftOut(Subject):
    """The decoder is tied to the embedding, which has no bias, and the one of the decoder goes with it. The bias is
    where a language model keeps the frequencies of its words."""

    def logits_of(self, top, params):
        return top @ self.decoder_weight(params).T


@TYING.mutant("ids-counted-from-one", "x = W_e[id - 1]", MODELS)
class IdsCountedFromOne(Subject):
    """A table from a language that counts from one is read with ids that count from zero. Index -1 is the last row in
    NumPy, so nothing fails, and a model trained that way is as good as any."""

    def input_of(self, params, inputs, masks, rates):
        return super().input_of(params, inputs - 1, masks, rates)

"""Wrong losses: what is summed, what it is divided by, and in which unit it is told."""

import numpy as np

from parity_tests.suite.mutants.mutant import SCORES, Group
from parity_tests.suite.subject import Subject

LOSS = Group("loss")


@LOSS.mutant("logits-capped", "logp = log softmax(30 tanh(z/30))", SCORES)
class LogitsCapped(Subject):
    """A cap on the logits comes along from another model, where it keeps attention tame. Small logits hardly feel it,
    and the loss of a young model is all but the same."""

    def log_softmax(self, logits):
        return super().log_softmax(30 * np.tanh(logits / 30))


@LOSS.mutant(
    "mean-of-window-means",
    "loss = mean over windows of their means",
    ("evaluate",),
    case="huggingface/transformers#41898",
)
class MeanOfWindowMeans(Subject):
    """The last window is shorter than the others and counts as much as they do. With windows of one length it is right,
    so the result depends on the batch size."""

    def mean_loss(self, nll, tokens):
        return np.mean([part.mean() for part in np.split(nll, np.cumsum(tokens)[:-1])])


@LOSS.mutant("divided-by-one-token-too-many", "loss = sum / (N + 1)", ("evaluate",), case="pytorch/examples#427")
class DividedByOneTokenTooMany(Subject):
    """The sum is divided by the length of the text, and one token less than that was scored, since the first has no
    prediction. On a long text the error is in the fourth digit."""

    def scored_tokens(self, tokens):
        return super().scored_tokens(tokens) + 1


@LOSS.mutant("loss-in-bits", "loss = -mean log2 p", SCORES, case="facebookresearch/fairseq#466")
class LossInBits(Subject):
    """One side reports nats and the other bits, under the one name loss. The factor is 1.44, which is about what a
    better model would gain."""

    def token_losses(self, logp, targets):
        return super().token_losses(logp, targets) / np.log(2.0).astype(logp.dtype)


@LOSS.mutant("perplexity-as-mean-of-exp", "perplexity = mean exp(nll)", ("evaluate",), case="magenta/magenta#239")
class PerplexityAsMeanOfExp(Subject):
    """Every token's or batch's loss is exponentiated first and the mean is taken afterwards. It is never smaller than
    the perplexity, and one bad token rules it."""

    def perplexity(self, loss, nll):
        return np.mean(np.exp(nll))


@LOSS.mutant(
    "perplexity-by-powers-of-two",
    "perplexity = 2^loss, the loss in nats",
    ("evaluate",),
    case="huggingface/evaluate#241",
)
class PerplexityByPowersOfTwo(Subject):
    """The textbook's perplexity is a power of two because its entropy is in bits; the loss at hand is in nats. A
    perplexity of 70 becomes 19, and looks like progress."""

    def perplexity(self, loss, nll):
        return 2.0**loss


@LOSS.mutant("loss-summed", "loss = sum over all tokens", SCORES)
class LossSummed(Subject):
    """A sum where the mean was meant, by an option of the loss function. All gradients are N times as long, clipping
    makes them equal again, and the learning rate means something else."""

    def divisor(self, targets):
        return 1


@LOSS.mutant("loss-gradient-not-divided", "dz = exp(logp) - onehot", SCORES)
class LossGradientNotDivided(Subject):
    """The loss is a mean and its gradient is that of the sum: the division is written in the forward pass alone. The
    reported loss is right, and the steps are N times too long."""

    def gradient_divisor(self, targets):
        return 1


@LOSS.mutant("softmax-over-the-wrong-axis", "p = softmax over tokens", SCORES)
class SoftmaxOverTheWrongAxis(Subject):
    """The axis is left to a default, and the default was made for another shape. Every column sums to one instead of
    every row, and the loss is finite and falls."""

    def log_softmax(self, logits):
        return super().log_softmax(logits.T).T


@LOSS.mutant("softmax-twice", "logp = log softmax(softmax(z))", SCORES, case="NVIDIA/VariantWorks#134", likely=True)
class SoftmaxTwice(Subject):
    """The model ends with a softmax, and the loss function takes logits and applies its own. Probabilities as logits
    lie in 0..1, so no prediction can ever be sure, and the loss stops falling early."""

    def log_softmax(self, logits):
        return super().log_softmax(np.exp(super().log_softmax(logits)))


@LOSS.mutant("id-0-left-out", "tokens with target 0 count for nothing", SCORES)
class Id0LeftOut(Subject):
    """Id 0 is taken for padding and is ignored in the loss, in a vocabulary where 0 is a token like any other. The loss
    is a mean over fewer tokens, and that token is never predicted."""

    def divisor(self, targets):
        return int(np.count_nonzero(targets)) or 1

    def token_losses(self, logp, targets):
        return np.where(targets == 0, 0, super().token_losses(logp, targets))

    def d_logits(self, logp, targets):
        return np.where((targets == 0)[:, None], 0, super().d_logits(logp, targets))

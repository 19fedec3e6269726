"""Wrong steps: clipping, SGD and Adam, and the learning rate that they are given."""

import numpy as np

from parity_tests.suite.mutants.mutant import Group
from parity_tests.suite.subject import Subject

OPTIMIZER = Group("optimizer")

CLIPPING = ("clip", "train")
RATES = ("adam", "sgd", "train")


@OPTIMIZER.mutant("adam-eps-inside-the-root", "sqrt(v_hat + eps)", ("adam",), case="FluxML/Flux.jl#448")
class AdamEpsInsideTheRoot(Subject):
    """It keeps the root away from zero, and its author means well. An eps of 1e-8 then works like one of 1e-4 outside,
    which small gradients notice."""

    def denominator(self, v, correction, eps):
        return np.sqrt(v / correction + eps)


@OPTIMIZER.mutant(
    "adam-eps-before-the-correction", "(sqrt(v) + eps) / sqrt(1-b2^t)", ("adam",), case="pytorch/pytorch#22628"
)
class AdamEpsBeforeTheCorrection(Subject):
    """The two corrections are pulled together into the step size, as the paper itself proposes for speed, and eps is
    scaled with them. At the first step with b2 = 0.999 it is 32 times as large as meant."""

    def denominator(self, v, correction, eps):
        return (np.sqrt(v) + eps) / correction**0.5


@OPTIMIZER.mutant("adam-without-bias-correction", "p -= lr*m / (sqrt(v) + eps)", ("adam",))
class AdamWithoutBiasCorrection(Subject):
    """The two lines with the hats are left out. Both averages start at zero and need 1/(1-b) steps to forget it, so the
    first steps are too long, and later ones are right."""

    def first_correction(self, beta1, t):
        return 1.0

    def second_correction(self, beta2, t):
        return 1.0


@OPTIMIZER.mutant("adam-second-moment-uncorrected", "v_hat = v", ("adam",))
class AdamSecondMomentUncorrected(Subject):
    """One of the two corrections is written, the other forgotten. Steps begin too long by a factor of up to
    1/sqrt(1-b2) and settle down."""

    def second_correction(self, beta2, t):
        return 1.0


@OPTIMIZER.mutant("adam-counts-no-steps", "t = 1 at every step", ("adam",))
class AdamCountsNoSteps(Subject):
    """The counter lives in the loop over parameters or is restored from a checkpoint that does not hold it. The
    corrections of the first step are then applied for ever."""

    def count(self, k):
        return 1


@OPTIMIZER.mutant("adam-betas-swapped", "m by b2, v by b1", ("adam",))
class AdamBetasSwapped(Subject):
    """Two numbers near one are passed in the wrong order. The direction is averaged over a thousand steps and its size
    over ten, and training still works for a while."""

    def betas(self, beta1, beta2):
        return beta2, beta1


@OPTIMIZER.mutant("clip-after-the-step", "step, then clip", ("train",), case="awslabs/graphstorm#1366")
class ClipAfterTheStep(Subject):
    """The call stands one line too low: the step has been taken when the gradient is shortened, and the next backward
    pass overwrites it. Nothing fails until a gradient explodes."""

    def update(self, params, grads, lr, max_norm):
        return {name: self.sgd_step(p, grads[name], lr) for name, p in params.items()}


@OPTIMIZER.mutant(
    "clip-per-tensor",
    "g *= min(1, max_norm / (|g| + 1e-6)) for each parameter",
    CLIPPING,
    case="carpedm20/MemN2N-tensorflow#19",
    likely=True,
)
class ClipPerTensor(Subject):
    """A function that clips one array is applied to each in turn, as Keras's clipnorm did. The direction of the whole
    step changes, and its length can be the root of the number of parameters times what was allowed."""

    def clip(self, gradients, max_norm):
        norm, _ = super().clip(gradients, max_norm)
        return norm, {
            name: super(ClipPerTensor, self).clip({name: g}, max_norm)[1][name] for name, g in gradients.items()
        }


@OPTIMIZER.mutant("clip-without-epsilon", "g *= min(1, max_norm / norm)", CLIPPING)
class ClipWithoutEpsilon(Subject):
    """The 1e-6 that torch adds to the norm is taken for a guard against zero and is left out. Each clipped step is
    longer by 1e-6/norm, which is rounding in float32 and a difference in float64."""

    def clip_factor(self, norm, max_norm):
        return min(1.0, max_norm / norm) if norm else 1.0


@OPTIMIZER.mutant("clip-divides-by-a-norm-of-zero", "g *= min(norm, max_norm) / norm", CLIPPING)
class ClipDividesByANormOfZero(Subject):
    """The factor is written as new length over old length. Where all gradients are zero that is 0/0, and the first
    window that teaches nothing makes every parameter NaN."""

    def clip_factor(self, norm, max_norm):
        return np.minimum(norm, max_norm) / np.asarray(norm)


@OPTIMIZER.mutant("clip-lengthens-too", "g *= max_norm / (norm + 1e-6)", CLIPPING)
class ClipLengthensToo(Subject):
    """The minimum with 1 is missing, so short gradients are drawn out to the full length. Training is lively at first
    and never settles."""

    def clip_factor(self, norm, max_norm):
        return max_norm / (norm + 1e-6)


@OPTIMIZER.mutant("clip-by-value", "g = clip(g, -max_norm, max_norm)", CLIPPING)
class ClipByValue(Subject):
    """clip_grad_value_ for clip_grad_norm_: the same argument, another meaning. With the usual limits it hardly ever
    takes effect, and when it does it turns the gradient."""

    def clip(self, gradients, max_norm):
        norm, _ = super().clip(gradients, max_norm)
        return norm, {name: np.clip(g, -max_norm, max_norm) for name, g in gradients.items()}


@OPTIMIZER.mutant("schedule-one-step-ahead", "lr of update k is lr[k+1]", RATES, case="pytorch/pytorch#7889")
class ScheduleOneStepAhead(Subject):
    """The schedule is advanced before the optimizer and not after it, so its first value is never used. One step of a
    warm-up or of a decay is skipped, and a constant rate shows nothing."""

    def rate(self, lr, k):
        return lr[min(k + 1, len(lr) - 1)]


@OPTIMIZER.mutant("rate-never-read", "lr of every update is lr[0]", RATES, case="macournoyer/neuralconvo#47")
class RateNeverRead(Subject):
    """The rate is divided in a variable that the optimizer read once, when it was made. The log shows it falling."""

    def rate(self, lr, k):
        return lr[0]


@OPTIMIZER.mutant("gradients-not-zeroed", "g += this window's", ("train",), case="tenstorrent/tt-blacksmith#711")
class GradientsNotZeroed(Subject):
    """Frameworks add gradients up until they are told to stop, and the line that tells them is missing. Each step goes
    along the sum of all before it, which clipping makes look like momentum."""

    def fresh(self, grads, before):
        return {name: g + before[name] if name in before else g for name, g in grads.items()}


@OPTIMIZER.mutant("sgd-goes-uphill", "p += lr*g", ("sgd", "train"))
class SgdGoesUphill(Subject):
    """A sign: the score is maximised where the loss should fall, or a minus was given to the loss as well. Training
    shows it at once, a test of one step that looks at the length of the step does not."""

    def sgd_step(self, p, g, lr):
        return p + lr * g

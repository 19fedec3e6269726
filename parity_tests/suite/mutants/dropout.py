"""Wrong dropout: the scale, the mask, the moment, or the way back."""

import numpy as np

from lstm_ref.core.draws import Draws
from parity_tests.suite.mutants.mutant import LEARNING, Group
from parity_tests.suite.subject import Subject

DROPOUT = Group("dropout")


@DROPOUT.mutant("dropout-not-rescaled", "x = x*m", LEARNING, likely=True)
class DropoutNotRescaled(Subject):
    """The first papers scale the weights down at test time instead, and the factor falls between the two conventions.
    Training works; evaluation, with everything kept, sees inputs 1/(1-p) times as large as it was trained on."""

    def scale(self, p):
        return 1.0


@DROPOUT.mutant("keep-and-drop-rate-swapped", "x = x*m/p", LEARNING)
class KeepAndDropRateSwapped(Subject):
    """TensorFlow 1 took the rate that is kept, everybody else takes the rate that is dropped. At p = 0.5, where most
    people test, the two are the same number."""

    def scale(self, p):
        return 1 / p


@DROPOUT.mutant(
    "dropout-active-in-evaluation",
    "x = x*m/(1-p) also where no mask was asked for",
    ("model",),
    case="lmnt-com/haste#18",
)
class DropoutActiveInEvaluation(Subject):
    """The layer is not told that training is over, or a cached training graph is used again. The loss is a little high
    and never the same twice, which passes for noise."""

    def without_mask(self, x, where, rates):
        p = rates.get(where, 0.0)
        return x * Draws(0).keep_mask(f"mask/{where}", x.shape, p) * self.scale(p) if p else x


@DROPOUT.mutant(
    "one-mask-for-all-steps",
    "m_t = m_1",
    LEARNING,
    case="tensorflow/tensorflow#2789",
    likely=True,
)
class OneMaskForAllSteps(Subject):
    """A generator that is seeded anew at each step, or a mask without a time axis, drops the same units for a whole
    window. That is a method of its own, and a stronger one than was asked for."""

    def mask_at(self, where, masks):
        mask = super().mask_at(where, masks)
        return np.broadcast_to(mask[:1], mask.shape) if mask.ndim == 3 else mask


@DROPOUT.mutant("one-mask-for-all-rows", "m[t,b] = m[t,1]", LEARNING, case="salesforce/awd-lstm-lm#5")
class OneMaskForAllRows(Subject):
    """The mask is made with a 1 on the wrong axis and is spread over the batch instead of over time. All rows lose the
    same units, and the batch is worth less than it costs."""

    def mask_at(self, where, masks):
        mask = super().mask_at(where, masks)
        return np.broadcast_to(mask[:, :1], mask.shape) if mask.ndim == 3 else mask


@DROPOUT.mutant(
    "mask-of-the-first-window-for-all", "m of window k = m of window 0", ("train",), case="pytorch/pytorch#185351"
)
class MaskOfTheFirstWindowForAll(Subject):
    """The mask is drawn when the graph or the layer is built and is never drawn again. A single step is right; over an
    epoch a fixed part of the network is simply missing."""

    def masks_of_window(self, masks, k):
        return super().masks_of_window(masks, 0)


@DROPOUT.mutant("mask-ignored-on-the-way-back", "dx = dy", LEARNING, case="pytorch/pytorch#190056")
class MaskIgnoredOnTheWayBack(Subject):
    """The backward pass of a fused kernel does not know of the mask between its layers. Units that were dropped are
    given a gradient for what they did not do."""

    def d_dropped(self, dy, where, masks, rates):
        return dy


@DROPOUT.mutant("scale-ignored-on-the-way-back", "dx = dy*m", LEARNING)
class ScaleIgnoredOnTheWayBack(Subject):
    """The mask is kept for the backward pass as ones and zeros, without its factor. The gradient has the right pattern
    and is too short by 1-p at each dropout that it passes."""

    def d_dropped(self, dy, where, masks, rates):
        return dy * self.mask_at(where, masks) if where in masks else dy


@DROPOUT.mutant("no-dropout-on-top", "logits = y_L W_d^T + b_d", LEARNING)
class NoDropoutOnTop(Subject):
    """The dropout of a stack of layers falls between them and not on the last one, as the argument of torch.nn.LSTM
    does, and the one before the decoder is forgotten. With a single layer there is then none at all."""

    def where_of_layer(self, k, L):
        return "nowhere" if k == L - 1 else super().where_of_layer(k, L)


@DROPOUT.mutant("dropped-h-carried", "h of the next window = drop(y_T)", LEARNING)
class DroppedHCarried(Subject):
    """The state is read from the layer's output after dropout was applied to it in place. Units that were dropped at
    the last step have forgotten everything by the next window."""

    def kept_state(self, final, dropped_y):
        return dropped_y[-1], final[1]


@DROPOUT.mutant("weight-drop-not-applied", "h W_hh^T with the raw W_hh", LEARNING, case="salesforce/awd-lstm-lm#5")
class WeightDropNotApplied(Subject):
    """The masked matrix is put in the place of the parameter, and the layer goes on with the flat copy of all weights
    that it made for the GPU. The model trains without the regularisation that its author reports."""

    def recurrent_weight(self, weight_hh, layer, masks, rates):
        return weight_hh

    def d_recurrent_weight(self, grad, layer, tape):
        return grad


@DROPOUT.mutant("weight-drop-ignored-on-the-way-back", "dW_hh without its mask", LEARNING)
class WeightDropIgnoredOnTheWayBack(Subject):
    """The gradient of the masked matrix is taken for that of the parameter behind it. Weights that were dropped are
    updated, and those that were kept by too little."""

    def d_recurrent_weight(self, grad, layer, tape):
        return grad


@DROPOUT.mutant("weight-drop-stops-the-gradient", "dW_hh = 0 under weight drop", LEARNING, case="fastai/fastai2#427")
class WeightDropStopsTheGradient(Subject):
    """The masked copy is made from the parameter's data, and so has no way back to it. All other weights learn, and the
    recurrent ones stay as they were drawn."""

    def d_recurrent_weight(self, grad, layer, tape):
        return np.zeros_like(grad) if f"weight_hh_l{layer}" in tape.masks else grad


@DROPOUT.mutant(
    "dropped-weights-never-come-back", "W_hh *= m/(1-p), in place", ("train",), case="keitakurita/Better_LSTM_PyTorch#7"
)
class DroppedWeightsNeverComeBack(Subject):
    """Weight drop is applied to the parameter itself and not to a copy. Each window sets some more of the matrix to
    zero and scales up the rest, until little of it is left."""

    def after_dropout(self, params, tape):
        kept = {}
        for name, p in params.items():
            layer = name.removeprefix("lstm.weight_hh_l")
            kept[name] = self.recurrent_weight(p, int(layer), tape.masks, tape.rates) if layer.isdigit() else p
        return kept


@DROPOUT.mutant(
    "words-dropped-by-place", "m by place in the window, not by word", LEARNING, case="keras-team/keras#7290"
)
class WordsDroppedByPlace(Subject):
    """Embedding dropout takes out a word wherever it stands; here a place loses whatever word stands there. The same
    word is then seen at one place and missing at the next."""

    def kept_words(self, mask, inputs):
        return np.resize(mask, inputs.shape)[..., None]


@DROPOUT.mutant("dropped-words-not-rescaled", "x = W_e[id]*m[id]", LEARNING)
class DroppedWordsNotRescaled(Subject):
    """Whole words are set to zero by hand, next to the library's dropout that scales, and the factor is left out here
    alone. The embedding is too small in training by 1-p."""

    def embedding_scale(self, p):
        return 1.0

"""Wrong states: where a sequence begins, what goes from step to step and from layer to layer, what its end leaves."""

import numpy as np

from parity_tests.suite.mutants.mutant import EVERYWHERE, LAYERS, Group
from parity_tests.suite.subject import Subject
from parity_tests.suite.subject_cell import IDENTITY

STATES = Group("states")


@STATES.mutant(
    "h0-ignored",
    "h_0 = 0",
    EVERYWHERE,
    case="spdin/time-series-prediction-lstm-pytorch#1",
    likely=True,
)
class H0Ignored(Subject):
    """The layer makes its own zeros at every call, and the argument is read by nobody. Whoever tests with zero states,
    as most do, tests exactly what still works."""

    def initial_state(self, h0, c0):
        return np.zeros_like(h0), c0


@STATES.mutant("c0-ignored", "c_0 = 0", EVERYWHERE)
class C0Ignored(Subject):
    """The hidden state is passed on and the cell state is not: it is second in the pair, or missing in the converter.
    The next window starts with half a memory, which shows in the loss and in no error."""

    def initial_state(self, h0, c0):
        return h0, np.zeros_like(c0)


@STATES.mutant("h0-and-c0-swapped", "h_0, c_0 = c0, h0", EVERYWHERE, case="microsoft/nni#2839", likely=True)
class H0AndC0Swapped(Subject):
    """PyTorch has (h, c), TensorFlow 1 and Flax have (c, h), and both are two arrays of one shape. Where one is handed
    to the other the states are crossed; with zero states it cannot be seen."""

    def initial_state(self, h0, c0):
        return (c0, h0) if h0.shape == c0.shape else (h0, c0)


@STATES.mutant("h-not-carried", "h_t = cell(x_t, h_0, c_t-1)", EVERYWHERE)
class HNotCarried(Subject):
    """The loop assigns the new h to a name that it does not read. What is left is a chain by c alone; after one step
    everything is right."""

    def carry_h(self, h, h0):
        return h0


@STATES.mutant("c-not-carried", "h_t = cell(x_t, h_t-1, c_0)", EVERYWHERE)
class CNotCarried(Subject):
    """Only h is fed back, as in a plain recurrent network from which the loop was taken. A test of a single step has
    nothing to carry, and passes."""

    def carry_c(self, c, c0):
        return c0


@STATES.mutant("tanh-of-c-left-out", "h' = o*c'", EVERYWHERE, case="nicodjimenez/lstm#47")
class TanhOfCLeftOut(Subject):
    """An older text leaves the squashing of the cell out, and code that follows it does too, its gradient included. A
    gradient check is content, because forward and backward agree with each other."""

    cell_activation = IDENTITY


@STATES.mutant(
    "final-state-of-the-padded-end",
    "h_n, c_n = h_T, c_T for rows that end before T",
    ("forward",),
    case="bentrevett/pytorch-sentiment-analysis#86",
    likely=True,
)
class FinalStateOfThePaddedEnd(Subject):
    """The batch is padded to its longest row, and the state after the last step is taken for all. The outputs inside
    the rows are right; the summary of every shorter row is one of its padding."""

    def hold(self, alive, new, old, reverse):
        return super().hold(alive, new, old, reverse) if reverse else new


@STATES.mutant(
    "reverse-direction-starts-in-the-padding",
    "the second direction starts at T, also where a row ends before",
    LAYERS,
    case="deeplearning4j/deeplearning4j#1030",
)
class ReverseStartsInThePadding(Subject):
    """The sequence is reversed as a whole, so the padding of a short row comes first and moves its state before the
    first real token. One direction with padding at the end is right, which is why the mistake survives until a second
    is added."""

    def hold(self, alive, new, old, reverse):
        return new if reverse else super().hold(alive, new, old, reverse)


@STATES.mutant("padding-has-outputs", "y_t = h_t for t beyond a row's length", ("forward",))
class PaddingHasOutputs(Subject):
    """The states stop at the end of a row and the outputs do not: what the cell made of the padding stays in y. A mean
    or a maximum over time then takes part of it."""

    def padded_output(self, alive, h):
        return h


@STATES.mutant(
    "reverse-outputs-not-turned-back",
    "y_t = [h_t, h'_T+1-t]",
    LAYERS,
    case="keras-team/keras#1431",
    likely=True,
)
class ReverseOutputsNotTurnedBack(Subject):
    """The second direction gives its outputs in the order in which it read, last step first, and they are joined to the
    first direction's as they come. Each half is right for itself, and h_n is too."""

    def place_of_output(self, t, T, reverse):
        return T - 1 - t if reverse else t


@STATES.mutant("states-by-direction-first", "h_n = [l0, l1, l0_reverse, l1_reverse]", LAYERS)
class StatesByDirectionFirst(Subject):
    """h_n [L*D,B,H] is filled direction by direction; PyTorch and cuDNN fill it layer by layer. With one layer or one
    direction the two orders are the same."""

    def state_order(self, L, D):
        return [d * L + layer for layer in range(L) for d in range(D)]


@STATES.mutant(
    "every-layer-starts-from-the-first-layers-state",
    "h_0 of layer k = h0[0]",
    EVERYWHERE,
    case="pclucas14/GansFallingShort#2",
)
class EveryLayerStartsFromTheFirst(Subject):
    """The loop over layers passes the same state to all of them. It was written for one layer, and with zero states it
    goes on working for any number."""

    def states_of_layer(self, states, layer, D):
        own, first = super().states_of_layer(states, layer, D), states[:D]
        return first if [s[0].shape for s in first] == [s[0].shape for s in own] else own


@STATES.mutant("state-zeroed-between-windows", "h_0, c_0 = 0 for every window", ("train",))
class StateZeroedBetweenWindows(Subject):
    """The state is made anew inside the loop over windows instead of before it. Training runs, a little worse, as if no
    text were longer than a window."""

    def carried(self, states, first):
        return [(np.zeros_like(h), np.zeros_like(c)) for h, c in states]


@STATES.mutant("state-of-the-first-window-for-all", "h_0, c_0 of window k = those of window 0", ("train",))
class StateOfTheFirstWindowForAll(Subject):
    """The final state is returned and dropped on the floor: the caller passes the one that it has. With a start from
    zero this is a model without memory across windows, with any other start a wrong memory."""

    def carried(self, states, first):
        return first

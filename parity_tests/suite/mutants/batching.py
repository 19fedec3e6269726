"""Wrong batches: the text is cut, turned or shifted otherwise than the model is told."""

import numpy as np

from parity_tests.suite.mutants.mutant import LAYERS, LEARNING, Group
from parity_tests.suite.subject import Subject

BATCHING = Group("batching")


@BATCHING.mutant("target-is-the-input", "targets = ids[t]", ("batches",), case="Project-MONAI/GenerativeModels#314")
class TargetIsTheInput(Subject):
    """The shift by one is left to somebody else who does not do it either. The model learns to copy, and its loss is
    suddenly wonderful."""

    def next_ids(self, ids, places):
        return ids[places]


@BATCHING.mutant("target-two-ahead", "targets = ids[t + 2]", ("batches",), case="InternLM/InternLM#318")
class TargetTwoAhead(Subject):
    """The data set shifts the targets, and the model shifts them once more. The loss stays high, as if the text were
    hard, and samples leave out every other token."""

    def next_ids(self, ids, places):
        return ids[np.minimum(places + 2, ids.size - 1)]


@BATCHING.mutant("last-window-wraps", "the last target of a row is its own first id", ("batches",))
class LastWindowWraps(Subject):
    """Where the successor would lie beyond the row's end, the first id of the same row is taken, as a well-known
    notebook does in an `except IndexError`. It is one wrong target for each row and epoch, too few to be seen in a
    loss."""

    def next_ids(self, ids, places):
        targets = super().next_ids(ids, places)
        if len(places):
            targets[-1, -1] = ids[places[0, 0]]
        return targets


@BATCHING.mutant("rows-interleaved", "inputs[w,t,b] = ids[(w*T + t)*B + b]", ("batches",))
class RowsInterleaved(Subject):
    """The ids are reshaped to [-1,B] where they should become [B,-1] and be transposed. Each row then reads every B-th
    token of the text; the shapes are the same, and the loss of a unigram model is reached without trouble."""

    def places(self, n, B, T):
        count = self.window_count(n, B, T)
        return np.arange(count * T * B, dtype=np.int64).reshape(count, T, B)


@BATCHING.mutant(
    "window-reshaped-not-transposed",
    "inputs[w] = window[B,T].reshape(T, B)",
    ("batches",),
    case="jessicayung/blog-code-snippets#6",
)
class WindowReshapedNotTransposed(Subject):
    """A window is cut as [B,T] and wanted as [T,B], and reshape has a name that promises it. Rows and steps are mixed
    up in a pattern, so each row goes on with a piece of another."""

    def places(self, n, B, T):
        return super().places(n, B, T).transpose(0, 2, 1).reshape(-1, T, B)


@BATCHING.mutant("tail-spread-over-the-rows", "row b starts at b*((N-1)//B)", ("batches",), case="dmlc/gluon-nlp#243")
class TailSpreadOverTheRows(Subject):
    """The ids that fill no window are not cut off at the end of the text but at the end of each row, so the rows start
    elsewhere. Both are ways to batch; a model that carries its state over epochs, or a count of tokens, tells them
    apart."""

    def row_length(self, n, B, T):
        return (n - 1) // B


@BATCHING.mutant("windows-overlap-by-one", "window w starts at w*(T-1)", ("batches",))
class WindowsOverlapByOne(Subject):
    """The step from window to window is T - 1, because the windows were cut with T + 1 ids to hold inputs and targets.
    One token of each window is read twice, and the carried state is one step ahead of it."""

    def window_start(self, w, T):
        return w * (T - 1)


@BATCHING.mutant("last-window-lost", "for n in range(0, M*T - T, T)", ("batches",))
class LastWindowLost(Subject):
    """The end of a range is exclusive and is shortened by a window all the same. Nothing is wrong with the windows that
    are there."""

    def places(self, n, B, T):
        return super().places(n, B, T)[:-1]


@BATCHING.mutant(
    "batch-first-by-reshape",
    "x = x[B,T,I].reshape(T, B, I)",
    LAYERS,
    case="HHTseng/video-classification#42",
    likely=True,
)
class BatchFirstByReshape(Subject):
    """view or reshape is used where the two axes have to change places. The shape is what was wanted, and with a batch
    of one it is right."""

    def swap_batch_and_time(self, x):
        return x.reshape(x.shape[1], x.shape[0], *x.shape[2:])


@BATCHING.mutant("targets-flattened-by-row", "logits [T*B,V] against targets [B*T]", LEARNING)
class TargetsFlattenedByRow(Subject):
    """The logits are flattened step by step and the targets row by row. Both have N entries, so the loss is a number,
    and it falls to what the frequencies of the ids allow."""

    def flat(self, targets):
        return targets.T.reshape(-1)

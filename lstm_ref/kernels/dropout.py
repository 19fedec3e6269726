r"""Inverted dropout [Srivastava et al. 2014], on what flows up, not on what flows through time [Zaremba et al. 2014].

    y = x * m / (1-p),   m in {0,1}, P(m=1) = 1-p                       (1)  so that E[y] = x
    dx = dy * m / (1-p)                                                 (2)  the same mask

Where x is one of these, the same two lines are what Merity et al. [2018] regularise with: the output of all steps of a
window with one mask [B,N] for each of them (locked: Gal & Ghahramani 2016), a recurrent matrix with a mask of its own
shape (weight drop: Wan et al. 2013), or the embedding matrix with one m for a whole row, that is for every place where
a word stands.

The mask is an input (core/masks.py): both twins get the same bits.

Proved by parity_tests/test_dropout.py.
"""

from lstm_ref.core.jit import jit


def dropout_plain(x, mask, p):
    """(1), and (2) with dy for x. mask: bool, of x's shape."""
    return x * mask / (1 - p)


@jit
def dropout(x, mask, scale, out):
    """(1) or (2) with one mask for each of S rows: x, out [S,N]; mask bool [N]; scale = 1/(1-p) in x's precision. out
    is not x: see dropout_in_place."""
    zero = scale - scale
    for s in range(len(x)):
        row, out_row = x[s], out[s]
        for n in range(mask.size):
            out_row[n] = row[n] * scale if mask[n] else zero


@jit
def dropout_in_place(x, mask, scale):
    """As `dropout`, with out = x. Apart from it because a loop whose two arrays may be one does not vectorise: where
    they were one, it took twenty times as long as this."""
    zero = scale - scale
    for s in range(len(x)):
        row = x[s]
        for n in range(mask.size):
            row[n] = row[n] * scale if mask[n] else zero


@jit
def dropout_words(x, ids, mask, scale):
    """(1) or (2) on what was gathered from an embedding, or will be scattered to it, in place: x [N,E]; ids int64 [N];
    mask bool [V], of the words. So the matrix itself is neither copied nor written to."""
    zero = scale - scale
    for n in range(ids.size):
        row, kept = x[n], mask[ids[n]]
        for e in range(row.size):
            row[e] = row[e] * scale if kept else zero

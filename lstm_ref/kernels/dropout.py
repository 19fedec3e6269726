r"""Inverted dropout [Srivastava et al. 2014], on what flows up, not on what flows through time [Zaremba et al. 2014].

    y = x * m / (1-p),   m in {0,1}, P(m=1) = 1-p                       (1)  so that E[y] = x
    dx = dy * m / (1-p)                                                 (2)  the same mask

The mask is an input (core/draws.py): both twins get the same bits.

Proved by parity_tests/test_dropout.py.
"""

from lstm_ref.core.jit import jit


def dropout_plain(x, mask, p):
    """(1), and (2) with dy for x. mask: bool, of x's shape."""
    return x * mask / (1 - p)


@jit
def dropout(x, mask, scale, out):
    """(1) or (2), flat: x, out [N]; mask bool [N]; scale = 1/(1-p) in x's precision. out may be x."""
    zero = scale - scale
    for n in range(x.size):
        out[n] = x[n] * scale if mask[n] else zero

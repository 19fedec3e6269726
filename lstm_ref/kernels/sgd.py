r"""Stochastic gradient descent, and the average of where it went [Polyak & Juditsky 1992].

    p -= lr (g + w p)                                                   (1)  weight decay w, of the clipped gradient
    a += (p - a) / n,   n = 1, 2, ...                                   (2)  so a = (p_1 + ... + p_n) / n

p_n is what the n-th step since averaging began left. In the order of torch.optim.SGD and ASGD(lambd=0, alpha=0). ASGD
with t0=0, which AWD-LSTM's authors make when averaging begins, has n = 1 at its second step again: it forgets its
first, and is one step behind (2) from then on.

p, g, a are arrays of one shape and dtype.

Proved by parity_tests/test_sgd.py.
"""

from lstm_ref.core.jit import jit


def sgd_plain(p, g, lr, config):
    """(1). Returns the new p. config: OptimizerConfig."""
    return p - lr * (g + config.weight_decay * p)


def average_plain(a, p, n):
    """(2). Returns the new a."""
    return a + (p - a) / n


@jit
def _sgd_flat(p, g, factor, decay, lr):
    """All scalars in p's precision."""
    for n in range(p.size):
        p[n] -= lr * (g[n] * factor + decay * p[n])  # (1)


@jit
def _averaged_sgd_flat(p, g, a, factor, decay, lr, share):
    for n in range(p.size):
        p_n = p[n] - lr * (g[n] * factor + decay * p[n])  # (1)
        p[n] = p_n
        a[n] += (p_n - a[n]) * share  # (2)


def sgd(p, g, lr, config, factor=1.0):
    """(1) in place, with the gradient scaled by `factor`, the clip's, first. Contiguous arrays of any shape."""
    scalars = (factor, config.weight_decay, lr)
    _sgd_flat(p.reshape(-1), g.reshape(-1), *(p.dtype.type(scalar) for scalar in scalars))


def averaged_sgd(p, g, a, n, lr, config, factor=1.0):
    """(1) and (2) in place, in one pass. a is 0 before n = 1."""
    scalars = (factor, config.weight_decay, lr, 1 / n)
    _averaged_sgd_flat(p.reshape(-1), g.reshape(-1), a.reshape(-1), *(p.dtype.type(scalar) for scalar in scalars))


@jit
def _exchange_flat(p, a):
    for n in range(p.size):
        p[n], a[n] = a[n], p[n]


def exchange(p, a):
    """p and a change places, in place."""
    _exchange_flat(p.reshape(-1), a.reshape(-1))

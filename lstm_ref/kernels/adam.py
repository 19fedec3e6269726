r"""Adam [Kingma & Ba 2015, Alg. 1], with the update in the order of torch.optim.Adam.

    m = b1 m + (1-b1) g                                                 (1)
    v = b2 v + (1-b2) g^2                                               (2)
    p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps)                 (3)  t = 1, 2, ...

eps stands outside the root. p, g, m, v are flat arrays of one dtype.

Proved by parity_tests/test_adam.py.
"""

import math

import numpy as np

from lstm_ref.core.jit import jit


def adam_plain(p, g, m, v, t, lr, config):
    """(1) to (3). Returns the new p, m, v. config: OptimizerConfig."""
    m = config.beta1 * m + (1 - config.beta1) * g
    v = config.beta2 * v + (1 - config.beta2) * g * g
    step_size = lr / (1 - config.beta1**t)
    return p - step_size * m / (np.sqrt(v) / math.sqrt(1 - config.beta2**t) + config.eps), m, v


@jit
def _adam_flat(p, g, m, v, factor, step_size, b1, a1, b2, a2, root_correction, eps):
    """All scalars in p's precision. g is multiplied by `factor`, the clip's, on the way."""
    for n in range(p.size):
        g_n = g[n] * factor
        m[n] = b1 * m[n] + a1 * g_n  # (1)
        v[n] = b2 * v[n] + a2 * g_n * g_n  # (2)
    for n in range(p.size):
        p[n] -= step_size * m[n] / (np.sqrt(v[n]) / root_correction + eps)  # (3)


def adam(p, g, m, v, t, lr, config, factor=1.0):
    """(1) to (3) in place, in one pass, with the gradient scaled by `factor` first. Contiguous arrays of any shape."""
    real = p.dtype.type
    b1, b2 = config.beta1, config.beta2
    scalars = (factor, lr / (1 - b1**t), b1, 1 - b1, b2, 1 - b2, math.sqrt(1 - b2**t), config.eps)
    _adam_flat(p.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1), *(real(scalar) for scalar in scalars))

r"""Adam [Kingma & Ba 2015, Alg. 1] and, with decoupled decay, AdamW [Loshchilov & Hutter 2019], in torch.optim's order.

    adam:  g = g + w p;   adamw:  p = (1 - lr w) p                      (1)  weight decay w, of the clipped gradient
    m = b1 m + (1-b1) g                                                 (2)
    v = b2 v + (1-b2) g^2                                               (3)
    p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps)                 (4)  t = 1, 2, ...

eps stands outside the root. p, g, m, v are arrays of one shape and dtype.

(4) divides by sqrt(v), and adam's w p with it: a weight whose gradients are large decays less. With adamw it does not.

Proved by parity_tests/test_adam.py.
"""

import math

import numpy as np

from lstm_ref.core.jit import jit


def adam_plain(p, g, m, v, t, lr, config):
    """(1) to (4). Returns the new p, m, v. config: OptimizerConfig, of adam or adamw."""
    if config.optimizer == "adamw":
        p = (1 - lr * config.weight_decay) * p
    else:
        g = g + config.weight_decay * p
    m = config.beta1 * m + (1 - config.beta1) * g
    v = config.beta2 * v + (1 - config.beta2) * g * g
    step_size = lr / (1 - config.beta1**t)
    return p - step_size * m / (np.sqrt(v) / math.sqrt(1 - config.beta2**t) + config.eps), m, v


@jit
def _adam_flat(p, g, m, v, factor, decay, keep, step_size, b1, a1, b2, a2, root_correction, eps):
    """All scalars in p's precision. Without weight decay, decay = 0 and keep = 1 change no bit."""
    for n in range(p.size):
        p_n = p[n]
        g_n = g[n] * factor + decay * p_n  # (1)
        m_n = b1 * m[n] + a1 * g_n  # (2)
        v_n = b2 * v[n] + a2 * g_n * g_n  # (3)
        m[n] = m_n
        v[n] = v_n
        p[n] = keep * p_n - step_size * m_n / (np.sqrt(v_n) / root_correction + eps)  # (1), (4)


def adam(p, g, m, v, t, lr, config, factor=1.0):
    """(1) to (4) in place, in one pass, with the gradient scaled by `factor`, the clip's, first. Contiguous arrays of
    any shape."""
    real, b1, b2 = p.dtype.type, config.beta1, config.beta2
    decoupled = config.optimizer == "adamw"
    decay, keep = (0.0, 1 - lr * config.weight_decay) if decoupled else (config.weight_decay, 1.0)
    scalars = (factor, decay, keep, lr / (1 - b1**t), b1, 1 - b1, b2, 1 - b2, math.sqrt(1 - b2**t), config.eps)
    _adam_flat(p.reshape(-1), g.reshape(-1), m.reshape(-1), v.reshape(-1), *(real(scalar) for scalar in scalars))

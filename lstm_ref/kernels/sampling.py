r"""One token from logits and one uniform u, by the policy of core.language_model.SamplingPolicy.

    z = logits / temperature, in float64                                (1)
    order by (-z, id); keep the first K (top-k)                         (2)
    p = softmax over what is kept; keep the shortest prefix with sum >= top_p (top-p)   (3)  [Holtzman et al. 2020]
    the first id in that order with cumsum(p) > u * sum(p)              (4)

Ties in z are ordered by id, so exactly K are kept. u is an argument: both twins, given the same logits and u, return
the same id. (4) always finds one: u <= 1 - 2^-53, and u * sum is then below sum after rounding too.

Proved by parity_tests/test_sampling.py.
"""

import math

import numpy as np

from lstm_ref.core.jit import jit


def sample_token_plain(logits, policy, u):
    """(1) to (4). logits [V], any float dtype; u in [0, 1). Returns an int."""
    z = np.asarray(logits, np.float64) / policy.temperature  # (1)
    order = np.argsort(-z, kind="stable")[: policy.top_k]  # (2)
    weights = np.exp(z[order] - z[order[0]])
    cumulative = np.cumsum(weights)
    if policy.top_p is not None:  # (3)
        kept = 1 + int(np.searchsorted(cumulative, policy.top_p * cumulative[-1]))
        cumulative = cumulative[:kept]
    return int(order[np.searchsorted(cumulative, u * cumulative[-1], side="right")])  # (4)


@jit
def _sample_sorted(z, order, top_p, u):
    """(3) and (4). z float64 [V]; order int64 [K]; top_p = 1 keeps all."""
    total = 0.0
    cumulative = np.empty(order.size)
    for k in range(order.size):
        total += math.exp(z[order[k]] - z[order[0]])
        cumulative[k] = total
    kept = order.size
    for k in range(order.size):
        if cumulative[k] >= top_p * total:
            kept = k + 1
            break
    k = 0
    while cumulative[k] <= u * cumulative[kept - 1]:
        k += 1
    return order[k]


def sample_token(logits, policy, u):
    """As sample_token_plain."""
    z = np.asarray(logits, np.float64) / policy.temperature
    order = np.argsort(-z, kind="stable")[: policy.top_k]
    return int(_sample_sorted(z, order, 1.0 if policy.top_p is None else policy.top_p, u))

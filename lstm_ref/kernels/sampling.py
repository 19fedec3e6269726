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
def _sample(logits, temperature, top_k, top_p, u):
    """(1) to (4) in one call, because between two tokens the weights have swept the caches: what is called then runs
    cold, at six times its own time. top_k = V and top_p = 1 keep all."""
    z = logits.astype(np.float64) / temperature
    order = np.argsort(-z, kind="mergesort")[:top_k]  # stable, as (2) asks
    cumulative, total = np.empty(top_k), 0.0
    for k in range(top_k):
        total += math.exp(z[order[k]] - z[order[0]])
        cumulative[k] = total
    kept = top_k
    for k in range(top_k):
        if cumulative[k] >= top_p * total:
            kept = k + 1
            break
    k = 0
    while cumulative[k] <= u * cumulative[kept - 1]:
        k += 1
    return order[k]


def sample_token(logits, policy, u):
    """As sample_token_plain."""
    return int(_sample(logits, policy.temperature, policy.top_k or logits.size, policy.top_p or 1.0, u))

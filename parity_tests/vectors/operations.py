r"""Loss, clipping, optimizers, batches, evaluation and sampling in multi-precision, from the equations.

    loss = -1/N sum_n log softmax(z_n)[target_n];   dz_n = (softmax(z_n) - onehot(target_n)) / N       (1)
    norm = sqrt(sum g^2);   g *= min(1, max_norm / (norm + 1e-6))       (2)  [Pascanu et al. 2013; torch's 1e-6]
    m = b1 m + (1-b1) g;   v = b2 v + (1-b2) g^2                        (3)  Adam [Kingma & Ba 2015, Alg. 1]
    p -= lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps),   t = 1, 2...  (4)
    loss = sum of all nll / N;   perplexity = exp(loss)                 (5)
    order by (-z, id) with z = logits / temperature; keep top_k; keep the shortest prefix that holds top_p of what is
    left; the first id whose cumulated weight exceeds u times the sum   (6)

Constants such as 1e-6 and 0.9 are the float64 numbers nearest to them: that is what every program computes with.
"""

import numpy as np
from mpmath import mp

from parity_tests.vectors.multiprecision import Exact, exact, exp, log, sqrt, zeros

CLIP_EPSILON = 1e-6


def softmax(z: np.ndarray) -> np.ndarray:
    weights = exp(z - z.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def cross_entropy(logits: np.ndarray, targets: np.ndarray):
    """(1). The probability of a target is never formed, so it may be as small as it likes."""
    largest = logits.max(axis=1)
    log_sums = log(exp(logits - largest[:, None]).sum(axis=1)) + largest
    return (log_sums - logits[np.arange(len(targets)), targets]).sum() / len(targets)


def cross_entropy_backward(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(1). p - 1 of the target is computed as minus the sum of the others: nothing cancels where p is nearly 1."""
    dlogits = softmax(logits)
    for row, target in zip(dlogits, targets):
        row[target] = -sum((row[v] for v in range(len(row)) if v != target), mp.mpf(0))
    return dlogits / len(targets)


def clip(gradients: Exact, max_norm: float) -> Exact:
    """(2)."""
    norm = mp.sqrt(sum((g * g).sum() for g in gradients.values()))
    factor = min(mp.mpf(1), mp.mpf(max_norm) / (norm + mp.mpf(CLIP_EPSILON)))
    return {"norm": norm, **{name: g * factor for name, g in gradients.items()}}


def adam(p, g, lr, beta1: float, beta2: float, eps: float) -> np.ndarray:
    """(3), (4). p [N], g [K,N], lr [K] -> p [K,N] after each update."""
    b1, b2, m, v, after = mp.mpf(beta1), mp.mpf(beta2), zeros(p.shape), zeros(p.shape), []
    for t, (g_t, lr_t) in enumerate(zip(g, lr), start=1):
        m = b1 * m + (1 - b1) * g_t
        v = b2 * v + (1 - b2) * g_t * g_t
        p = p - lr_t * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + mp.mpf(eps))
        after.append(p)
    return np.stack(after)


def sgd(p, g, lr) -> np.ndarray:
    """p - lr g, K times."""
    return p - np.cumsum(lr[:, None] * g, axis=0)


def batches(ids: np.ndarray, batch_size: int, seq_length: int) -> dict[str, np.ndarray]:
    """Each row reads a stretch of the text; the target is the next id of the text; what fills no window is dropped."""
    windows = (len(ids) - 1) // (batch_size * seq_length)
    used = windows * batch_size * seq_length
    parts = {}
    for name, start in (("inputs", 0), ("targets", 1)):
        rows = ids[start : start + used].reshape(batch_size, windows, seq_length)
        parts[name] = np.ascontiguousarray(rows.transpose(1, 2, 0))
    return parts


def evaluate(nll: np.ndarray, tokens: np.ndarray) -> Exact:
    """(5). tokens: how many of nll each window holds; all tokens weigh the same, whatever their window."""
    loss = nll.sum() / int(tokens.sum())
    return {"loss": loss, "perplexity": mp.exp(loss)}


def sample(logits, u, temperature: float, top_k: int | None, top_p: float | None) -> int:
    """(6)."""
    z = logits / mp.mpf(temperature)
    order = sorted(range(len(z)), key=lambda v: (-z[v], v))[:top_k]
    cumulative = np.cumsum(exp(z[order] - z[order[0]]))
    if top_p is not None:
        border = mp.mpf(top_p) * cumulative[-1]
        cumulative = cumulative[: 1 + sum(bool(weight < border) for weight in cumulative[:-1])]
    return order[sum(bool(weight <= u * cumulative[-1]) for weight in cumulative)]


def one_hot(ids: np.ndarray, size: int) -> np.ndarray:
    return exact(np.eye(size)[ids])

r"""What happens to numbers around the layers: loss, clipping, optimizers, batches, evaluation. One method a line.

    logp_n = z_n - m_n - log sum_v exp(z_nv - m_n),   m_n = max_v z_nv                       (1)
    loss = -1/N sum_n logp_n[target_n],   dz_n = (exp(logp_n) - onehot(target_n)) / N        (2)
    norm = sqrt(sum of all squares),   g *= min(1, max_norm / (norm + 1e-6))                 (3)
    p -= lr g                                                                                (4)  SGD
    m = b1 m + (1-b1) g,   v = b2 v + (1-b2) g^2                                             (5)  Adam
    p -= lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps),   t = 1, 2, ...                       (6)
    inputs[w,t,b] = ids[b M T + w T + t],   targets[w,t,b] = the id after it                 (7)
    loss = sum of all nll / N,   perplexity = exp(loss)                                      (8)

(3) is torch.nn.utils.clip_grad_norm_, (5) and (6) are Kingma & Ba 2015, Alg. 1, in the order of torch.optim.Adam. In
(7) the text is cut into B rows, M windows of T steps each; the last row's last target is the text's next id, so ids
has to hold one more than M T B. Sums in (3) and (8) are taken in float64, whatever the precision of the numbers.

Proved by parity_tests/suite_tests/test_subject.py.
"""

from collections.abc import Mapping

import numpy as np

from parity_tests.suite.question import Answer, Question


class Loss:
    """(1) and (2). logits [N,V], targets [N]."""

    def largest(self, logits: np.ndarray) -> np.ndarray:
        """[N,1]. `.real`: complex numbers have no order."""
        return logits.real.max(axis=-1, keepdims=True)

    def log_softmax(self, logits: np.ndarray) -> np.ndarray:
        shifted = logits - self.largest(logits)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))

    def token_losses(self, logp: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return -logp[np.arange(targets.size), targets]

    def total_loss(self, nll: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return nll.sum()

    def divisor(self, targets: np.ndarray) -> int:
        """What the sum over tokens is divided by. targets [N], or [T,B] of a window."""
        return targets.size

    def gradient_divisor(self, targets: np.ndarray) -> int:
        return self.divisor(targets)

    def probabilities(self, logp: np.ndarray) -> np.ndarray:
        return np.exp(logp)

    def d_logits(self, logp: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """N times (2)."""
        dlogits = self.probabilities(logp)
        dlogits[np.arange(targets.size), targets] -= 1
        return dlogits

    def flat(self, targets: np.ndarray) -> np.ndarray:
        """[T,B] -> [N], in the order of the logits."""
        return targets.reshape(-1)

    def loss_and_gradient(self, logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """targets [N] or [T,B]; logits [N,V]. Returns loss [] and dlogits [N,V]."""
        ids = self.flat(targets)
        logp = self.log_softmax(logits)  # (1)
        loss = self.total_loss(self.token_losses(logp, ids), ids) / self.divisor(targets)  # (2)
        return loss, self.d_logits(logp, ids) / self.gradient_divisor(targets)

    def answer_loss(self, question: Question) -> Answer:
        loss, dlogits = self.loss_and_gradient(question.arrays["logits"], question.arrays["targets"])
        return {"loss": np.asarray(loss), "dlogits": dlogits}


class Optimizers:
    """(3) to (6)."""

    def norm_of(self, gradients: Mapping[str, np.ndarray]) -> float:
        return float(np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in gradients.values())))

    def clip_factor(self, norm: float, max_norm: float) -> float:
        return min(1.0, max_norm / (norm + 1e-6))

    def clip(self, gradients: Mapping[str, np.ndarray], max_norm: float) -> tuple[float, dict[str, np.ndarray]]:
        """(3). Returns the norm before clipping, and new gradients."""
        norm = self.norm_of(gradients)
        factor = self.clip_factor(norm, max_norm)
        return norm, {name: g * g.dtype.type(factor) for name, g in gradients.items()}

    def rate(self, lr: np.ndarray, k: int) -> np.ndarray:
        """The learning rate of update k = 0, 1, ..."""
        return lr[k]

    def sgd_step(self, p: np.ndarray, g: np.ndarray, lr: np.ndarray) -> np.ndarray:
        return p - lr * g  # (4)

    def first_moment(self, m: np.ndarray, g: np.ndarray, beta1: float) -> np.ndarray:
        return beta1 * m + (1 - beta1) * g  # (5)

    def second_moment(self, v: np.ndarray, g: np.ndarray, beta2: float) -> np.ndarray:
        return beta2 * v + (1 - beta2) * g * g

    def betas(self, beta1: float, beta2: float) -> tuple[float, float]:
        return beta1, beta2

    def count(self, k: int) -> int:
        """t of (6) at update k."""
        return k + 1

    def first_correction(self, beta1: float, t: int) -> float:
        return 1 - beta1**t

    def second_correction(self, beta2: float, t: int) -> float:
        return 1 - beta2**t

    def denominator(self, v: np.ndarray, correction: float, eps: float) -> np.ndarray:
        return np.sqrt(v) / correction**0.5 + eps

    def adam_step(
        self, p: np.ndarray, m: np.ndarray, v: np.ndarray, lr: np.ndarray, corrections: tuple[float, float], eps: float
    ) -> np.ndarray:
        return p - lr / corrections[0] * m / self.denominator(v, corrections[1], eps)  # (6)

    def answer_clip(self, question: Question) -> Answer:
        norm, clipped = self.clip(question.arrays, question.settings["max_norm"])
        return {"norm": np.asarray(norm, question.dtype), **clipped}

    def answer_sgd(self, question: Question) -> Answer:
        p, history = question.arrays["p"], []
        for k, g in enumerate(question.arrays["g"]):
            p = self.sgd_step(p, g, self.rate(question.arrays["lr"], k))
            history.append(p)
        return {"p": np.stack(history)}

    def answer_adam(self, question: Question) -> Answer:
        p, settings, history = question.arrays["p"], question.settings, []
        betas = self.betas(settings["beta1"], settings["beta2"])
        m, v = np.zeros_like(p), np.zeros_like(p)
        for k, g in enumerate(question.arrays["g"]):
            m, v = self.first_moment(m, g, betas[0]), self.second_moment(v, g, betas[1])
            corrections = (
                self.first_correction(betas[0], self.count(k)),
                self.second_correction(betas[1], self.count(k)),
            )
            p = self.adam_step(p, m, v, self.rate(question.arrays["lr"], k), corrections, settings["eps"])
            history.append(p)
        return {"p": np.stack(history)}


class Batches:
    """(7)."""

    def window_count(self, n: int, B: int, T: int) -> int:
        return (n - 1) // (B * T)

    def row_length(self, n: int, B: int, T: int) -> int:
        """How far apart two rows begin."""
        return self.window_count(n, B, T) * T

    def window_start(self, w: int, T: int) -> int:
        return w * T

    def places(self, n: int, B: int, T: int) -> np.ndarray:
        """Where each token of the windows stands in the text, int64 [M,T,B]."""
        starts = np.array([self.window_start(w, T) for w in range(self.window_count(n, B, T))], np.int64)
        rows = np.arange(B) * self.row_length(n, B, T)
        return starts[:, None, None] + np.arange(T)[:, None] + rows

    def next_ids(self, ids: np.ndarray, places: np.ndarray) -> np.ndarray:
        return ids[places + 1]

    def answer_batches(self, question: Question) -> Answer:
        ids = question.arrays["ids"]
        places = self.places(ids.size, question.settings["batch_size"], question.settings["seq_length"])
        return {"inputs": ids[places], "targets": self.next_ids(ids, places)}


class Evaluation:
    """(8). nll [N] of all tokens, window after window; tokens [windows], how many each holds."""

    def sum_of(self, nll: np.ndarray) -> float:
        return nll.sum(dtype=np.float64)

    def scored_tokens(self, tokens: np.ndarray) -> int:
        return tokens.sum()

    def mean_loss(self, nll: np.ndarray, tokens: np.ndarray) -> float:
        return self.sum_of(nll) / self.scored_tokens(tokens)

    def perplexity(self, loss: float, nll: np.ndarray) -> float:
        return np.exp(loss)

    def answer_evaluate(self, question: Question) -> Answer:
        nll, tokens = question.arrays["nll"], question.arrays["tokens"]
        loss = self.mean_loss(nll, tokens)
        return {
            "loss": np.asarray(loss, question.dtype),
            "perplexity": np.asarray(self.perplexity(loss, nll), question.dtype),
        }

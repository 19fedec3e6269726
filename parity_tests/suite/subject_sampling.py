r"""One token from logits and a uniform number u, a method a line. The operation `sample`.

    z = logits / temperature, in float64                                               (1)
    order by (-z, id); keep the first top_k                                            (2)
    p = softmax over what is kept; keep the shortest prefix with sum >= top_p          (3)  [Holtzman et al. 2020]
    the first id in that order with cumsum(p) > u * sum(p)                             (4)

Equal logits are ordered by id, so exactly top_k are kept. None for top_k or top_p keeps all.

Proved by parity_tests/suite_tests/test_subject.py.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.suite.question import Answer, Question


class Sampling:
    """(1) to (4)."""

    def scaled(self, logits: np.ndarray, temperature: float) -> np.ndarray:
        return logits.astype(np.float64) / temperature  # (1)

    def ranking(self, z: np.ndarray) -> np.ndarray:
        """The ids, likeliest first."""
        return np.argsort(-z, kind="stable")

    def how_many(self, z: np.ndarray, order: np.ndarray, top_k: int) -> int:
        """How many of `order` top-k keeps."""
        return min(top_k, order.size)

    def odds(self, z: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Probabilities but for a common factor, in the order of `order`."""
        return np.exp(z[order] - z[order[0]])

    def odds_for_top_p(self, logits: np.ndarray, z: np.ndarray, order: np.ndarray) -> np.ndarray:
        """What (3) adds up."""
        return self.odds(z, order)

    def nucleus_size(self, odds: np.ndarray, top_p: float) -> int:
        cumulative = np.cumsum(odds)
        return 1 + int(np.searchsorted(cumulative, top_p * cumulative[-1]))  # (3)

    def total(self, kept: np.ndarray, before_cut: np.ndarray) -> float:
        """What u is a fraction of: the odds kept by (2) and (3). before_cut: those of all ids."""
        return np.cumsum(kept)[-1]

    def place(self, odds: np.ndarray, threshold: float) -> int:
        return int(np.searchsorted(np.cumsum(odds), threshold, side="right"))  # (4)

    def id_at(self, order: np.ndarray, place: int) -> int:
        return int(order[place])

    def sample_id(self, logits: np.ndarray, u: float, policy: Mapping[str, Any]) -> int:
        """logits [V]; u in [0, 1)."""
        z = self.scaled(logits, policy.get("temperature", 1.0))
        order = everything = self.ranking(z)
        if policy.get("top_k") is not None:
            order = order[: self.how_many(z, order, policy["top_k"])]  # (2)
        if policy.get("top_p") is not None:
            order = order[: self.nucleus_size(self.odds_for_top_p(logits, z, order), policy["top_p"])]
        odds = self.odds(z, order)
        return self.id_at(order, self.place(odds, float(u) * self.total(odds, self.odds(z, everything))))

    def answer_sample(self, question: Question) -> Answer:
        token = self.sample_id(question.arrays["logits"], question.arrays["u"], question.settings)
        return {"id": np.asarray(token, np.int64)}

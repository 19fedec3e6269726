"""What a text's counts alone say: the numbers that a model has to beat."""

from dataclasses import dataclass

import numpy as np

from lstm_ref.core.vocab import Vocabulary


def unigram_entropy(ids: np.ndarray) -> float:
    """-sum p ln p over the tokens of `ids`, nats: what a model gets that knows only how frequent each token is."""
    p = np.bincount(ids) / ids.size
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def bigram_entropy(ids: np.ndarray, vocab_size: int) -> float:
    """H(next | this) in nats, from the counts of pairs in `ids` itself."""
    _, pair_ids = np.unique(ids[:-1] * vocab_size + ids[1:], return_inverse=True)  # V^2 counters may be too many
    return unigram_entropy(pair_ids) - unigram_entropy(ids[:-1])


@dataclass(frozen=True, slots=True)
class Split:
    """How a text falls into training and validation part, and which symbols only validation has: the model is asked
    for them, and can never have seen them."""

    train_tokens: int
    validation_tokens: int
    only_in_validation: tuple[str, ...]


def split_facts(ids: np.ndarray, border: int, vocabulary: Vocabulary) -> Split:
    unseen = sorted(set(ids[border:].tolist()) - set(ids[:border].tolist()))
    return Split(border, len(ids) - border, tuple(vocabulary.tokens[i] for i in unseen))

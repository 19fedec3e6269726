"""A corpus in ids: what a model is trained on, validated by and tested on.

A word vocabulary holds what the training part has, and nothing of the others: a word that only they have is `<unk>`.
(A character vocabulary holds the symbols of all parts, as the character seed's does; `lstm data info` names those that
training never shows.) Where a corpus has no validation part of its own, the last part of its text becomes one, counted
in tokens.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from lstm_ref.core.articles import Articles, split_articles
from lstm_ref.core.corpora import Corpus
from lstm_ref.core.errors import DataError
from lstm_ref.core.vocab import Kind, Order, Unknown, Vocabulary, WordVocabulary
from lstm_ref.core.words import AS_IT_IS, EOS, UNK, Preparation, split_words

Split = Callable[[int], int]  # number of tokens -> where validation begins: RunConfig.split


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """parts: `train`, `validation` and, where there is one, `test`. corpus_sha256: of the text that the ids are of."""

    vocabulary: Vocabulary
    parts: Mapping[str, Articles]
    corpus_sha256: str
    source: str

    def __post_init__(self) -> None:
        for part, articles in self.parts.items():
            ids = articles.ids
            if ids.size and (ids.min() < 0 or ids.max() >= len(self.vocabulary)):
                raise DataError(
                    f"{self.source}: ids of {part} from {ids.min()} to {ids.max()}, expected 0 to "
                    f"{len(self.vocabulary) - 1}: the vocabulary is another one's"
                )

    def __getitem__(self, part: str) -> Articles:
        if part not in self.parts:
            raise DataError(f"{self.source} has no part {part!r}, only {', '.join(self.parts)}")
        return self.parts[part]

    @property
    def ids(self) -> np.ndarray:
        """All parts, one after the other."""
        return np.concatenate([articles.ids for articles in self.parts.values()])


def build_vocabulary(
    corpus: Corpus,
    kind: Kind,
    order: Order = "sorted",
    *,
    split: Split,
    preparation: Preparation = AS_IT_IS,
    min_count: int = 1,
) -> Vocabulary:
    """preparation, min_count: for words. `<unk>` is in it where the training part has rarer words than that, or the
    other parts have words that it has not."""
    if kind != "word":
        return Vocabulary.build("".join([corpus.text, *corpus.held_out.values()]), kind, order)
    if preparation.normalize and UNK in corpus.text:
        raise DataError(
            f"{corpus.source} is split into words already, it has {UNK}; normalising would break it: leave that off"
        )
    text = preparation(corpus.text)
    words, border = split_words(text), None
    if "validation" not in corpus.held_out:
        border = split(sum(1 for _ in split_words(text)))
    counts = Counter(islice(words, border))
    others = chain(words, *(split_words(preparation(part)) for part in corpus.held_out.values()))
    unseen = any(word not in counts and word != EOS for word in others)
    return WordVocabulary.of_counts(counts, order, preparation, min_count, unknown_words=unseen)


def encode_corpus(corpus: Corpus, vocabulary: Vocabulary, *, split: Split, unknown: Unknown | None = None) -> Dataset:
    """unknown: what to do with tokens that the vocabulary has not [default: `<unk>` if it has that, else an error]."""
    if unknown is None:
        unknown = "unk" if UNK in vocabulary.tokens else "error"
    parts: dict[str, Articles] = {"train": _encode(corpus.text, vocabulary, unknown)}
    if "validation" not in corpus.held_out:
        whole = parts["train"]
        parts["train"], parts["validation"] = whole.cut(split(len(whole.ids)))
    parts |= {part: _encode(text, vocabulary, unknown) for part, text in corpus.held_out.items()}
    return Dataset(vocabulary, parts, corpus.sha256, corpus.source)


def _encode(text: str, vocabulary: Vocabulary, unknown: Unknown) -> Articles:
    try:
        return Articles.of([vocabulary.encode(article, unknown=unknown) for article in split_articles(text)])
    except DataError:
        vocabulary.encode(text, unknown=unknown)  # fails as well, and names what is unknown in all of the text
        raise

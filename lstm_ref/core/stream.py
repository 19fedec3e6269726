"""The training text, epoch by epoch: `epoch(e)` are its windows, and window k of epoch e is a pure function of (seed,
e, k). Nothing is read from a disk again, and nothing has to be saved to resume.

The character seed reads full windows of one text (core.batching.Windows), and every epoch is alike. The word seed draws
each epoch anew: its articles are put into another order and joined, B rows are cut from the whole, and each is wholly
read by windows of drawn lengths (core.batching.Rows). Of n tokens, B rows of (n - 1) // B are read: their last token
has a successor too. What does not make a row is another epoch's, where the order is.
"""

from dataclasses import KW_ONLY, dataclass
from typing import Literal, Protocol

import numpy as np

from lstm_ref.core.articles import Articles
from lstm_ref.core.batching import Epoch, Rows, Windows, equal_borders
from lstm_ref.core.config import RunConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import DataError

SHORTEST = 5  # steps of a window: a normal number may be 0 or less, and such an epoch would never end
LONGER = 20  # steps above seq_length, four standard deviations: the largest arrays are known from the start


class Stream(Protocol):
    """ids: int64 [n], the text in its own order."""

    @property
    def ids(self) -> np.ndarray: ...

    def epoch_length(self, e: int) -> int:
        """Windows of epoch e, which are not made for it."""
        ...

    def epoch(self, e: int) -> Epoch: ...


def training_stream(config: RunConfig, articles: Articles) -> Stream:
    """What the run's config asks for. Raises DataError for a text too short."""
    if config.full_windows:
        return Windows(articles.ids, config.batch_size, config.seq_length, config.last_target)
    return ArticleStream(
        articles,
        batch_size=config.batch_size,
        seq_length=config.seq_length,
        seed=config.seed,
        article_order=config.article_order,
        window_lengths=config.window_lengths,
        reset_at_article=config.reset_at_article,
    )


@dataclass(frozen=True, slots=True)
class ArticleStream:
    """All of the articles in every epoch but what does not make a row.

    article_order: "shuffled" is by stream `article_order` of step e. window_lengths: see `mixture`. reset_at_article: a
    row is fresh in the window after the one in which an article of that row ended; what that window already read of
    the next article is forgotten with it, and what its start still knew of the last one is not undone.
    """

    articles: Articles
    _: KW_ONLY
    batch_size: int
    seq_length: int
    seed: int = 0
    article_order: Literal["fixed", "shuffled"] = "fixed"
    window_lengths: Literal["fixed", "mixture"] = "fixed"
    reset_at_article: bool = False

    def __post_init__(self) -> None:
        if self.row_length < 1:
            raise DataError(
                f"text too short: {len(self.ids)} tokens, and batch_size={self.batch_size} rows of one step need "
                f"{self.batch_size + 1}; set batch_size to {max(1, len(self.ids) - 1)} or less, or take more text"
            )

    @property
    def ids(self) -> np.ndarray:
        return self.articles.ids

    @property
    def row_length(self) -> int:
        return (len(self.ids) - 1) // self.batch_size

    def epoch_length(self, e: int) -> int:
        return len(self._borders(e)) - 1

    def epoch(self, e: int) -> Rows:
        joined = Articles.of([self.articles[i] for i in self.order(e)])
        article_ends = joined.offsets[1:] if self.reset_at_article else None
        return Rows(joined.ids, self.batch_size, self._borders(e), article_ends)

    def order(self, e: int) -> np.ndarray:
        """The articles of epoch e, a permutation."""
        if self.article_order == "fixed":
            return np.arange(len(self.articles))
        return np.argsort(Draws(self.seed, e).uniform("article_order", (len(self.articles),)), kind="stable")

    def _borders(self, e: int) -> np.ndarray:
        if self.window_lengths == "fixed":
            return equal_borders(self.row_length, self.seq_length)
        most = -(-self.row_length // SHORTEST)
        borders = np.cumsum(mixture(Draws(self.seed, e), self.seq_length, most))
        return np.concatenate([[0], borders[borders < self.row_length], [self.row_length]])


def mixture(draws: Draws, seq_length: int, n: int) -> np.ndarray:
    """n window lengths [Merity et al. 2018, Sec. 5], int64, from stream `window_length`: of 20 windows, 19 are N(T, 5)
    steps long and one N(T/2, 5), T = seq_length, so that an epoch does not cut the text where the last one did.

    Whole steps, the rest cut off, and never fewer than SHORTEST nor more than T + LONGER. The word seed's text has it
    as a weighted sum, "0.95 N(70, 5) + 0.05 N(35, 5)", and as of the batch size; its code draws lengths as here.
    """
    usual = draws.uniform("window_length", (n,)) < 0.95
    mean = np.where(usual, seq_length, seq_length / 2)
    lengths = np.trunc(mean + 5 * draws.normal("window_length/normal", (n,)))
    return np.clip(lengths, SHORTEST, seq_length + LONGER).astype(np.int64)

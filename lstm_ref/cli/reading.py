"""How a text becomes ids, as options of `lstm data info` and `lstm data encode`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from lstm_ref.cli.console import working
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus, load_corpus
from lstm_ref.core.dataset import Dataset, build_vocabulary, encode_corpus
from lstm_ref.core.dataset_file import SUFFIX, read_dataset
from lstm_ref.core.notebook_arrays import VOCABULARY, read_notebook_folder
from lstm_ref.core.published import CORPORA
from lstm_ref.core.vocab import Kind, Order
from lstm_ref.core.words import AS_IT_IS, Preparation


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reading:
    """
    Parameters
    ----------
    vocabulary
        Tokens are characters, bytes or words [default: word for wikitext-2, else char].
    order
        Of the ids: by code point, or as first seen.
    min_count
        Words that training has less often become `<unk>`.
    validation_fraction
        The last part of a text that has no validation part of its own.
    data_dir
        Where named texts are [default: LSTM_DATA, then the cache].
    """

    vocabulary: Kind | None = None
    order: Order = "sorted"
    min_count: Annotated[int, Parameter(validator=Number(gte=1))] = 1
    preparation: Annotated[Preparation, Parameter(name="*")] = AS_IT_IS
    validation_fraction: float = 0.1
    data_dir: Path | None = None

    def read(self, text: str) -> tuple[Corpus | None, Dataset]:
        """A text in ids, and the text itself; of what was encoded before, the ids alone."""
        if Path(text).suffix == SUFFIX:
            return None, read_dataset(Path(text))
        if (Path(text) / VOCABULARY).is_file():
            return None, read_notebook_folder(Path(text))
        kind = self.vocabulary or (CORPORA[text].tokens if text in CORPORA else "char")
        options = {
            "vocabulary": kind,
            "min_count": self.min_count,
            "validation_fraction": self.validation_fraction,
            **self.preparation.to_dict(),
        }
        config = RunConfig().with_overrides(options, source="options")
        corpus = load_corpus(text, self.data_dir)
        with working(f"reading {corpus.name}"):
            vocabulary = build_vocabulary(
                corpus, kind, self.order, split=config.split, preparation=self.preparation, min_count=self.min_count
            )
            return corpus, encode_corpus(corpus, vocabulary, split=config.split)


DEFAULT = Reading()

"""`lstm data`: which texts there are."""

import math
from pathlib import Path
from typing import Literal

from cyclopts import App
from rich.console import Console
from rich.table import Table

from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import CORPORA, data_folders, fetch, load_corpus
from lstm_ref.core.statistics import bigram_entropy, split_facts, unigram_entropy
from lstm_ref.core.vocab import Vocabulary

app = App(name="data", help="List, download and describe texts.", help_format="markdown")


@app.command(name="list")
def list_texts(*, data_dir: Path | None = None) -> None:
    """The named texts, and where each one is.

    Parameters
    ----------
    data_dir
        Where named texts are [default: LSTM_DATA, then the cache].
    """
    table = Table(box=None)
    for heading in ("name", "where", "what"):
        table.add_column(heading, overflow="fold")
    table.add_row("pydoc", "with Python", "Python's help topics: the default, for trying things out")
    for name, entry in CORPORA.items():
        places = [folder / entry.file for folder in data_folders(data_dir) if (folder / entry.file).is_file()]
        table.add_row(name, str(places[0]) if places else f"lstm data get {name}", entry.about)
    table.add_row("PATH", "", "any UTF-8 file")
    Console().print(table)


@app.command
def get(name: str, /) -> None:
    """Download a named text into the cache and check its SHA-256. Nothing else ever uses the network.

    Parameters
    ----------
    name
        One of `lstm data list`.
    """
    print(fetch(name))


@app.command
def info(
    text: str = "pydoc",
    /,
    *,
    vocabulary: Literal["char", "byte"] = "char",
    validation_fraction: float = 0.1,
    data_dir: Path | None = None,
) -> None:
    """Length, symbols, split, and the entropies that a model has to beat.

    Parameters
    ----------
    text
        A named text or a file.
    vocabulary
        Tokens are characters or bytes.
    validation_fraction
        The last part of the text.
    data_dir
        Where named texts are [default: LSTM_DATA, then the cache].
    """
    corpus = load_corpus(text, data_dir)
    symbols = Vocabulary.build(corpus.text, vocabulary)
    ids = symbols.encode(corpus.text)
    config = RunConfig().with_overrides({"validation_fraction": validation_fraction}, source="--validation-fraction")
    split = split_facts(ids, config.split(len(ids)), symbols)
    unigram, bigram = unigram_entropy(ids), bigram_entropy(ids, len(symbols))
    unseen = " ".join(ascii(symbol) for symbol in split.only_in_validation) or "none"
    rows = {
        "source": corpus.source,
        "sha256": corpus.sha256,
        "tokens": f"{len(ids):,}",
        "symbols": f"{len(symbols)}",
        "translated line ends": f"{corpus.carriage_returns:,}",
        "training / validation": f"{split.train_tokens:,} / {split.validation_tokens:,}",
        "only in validation": unseen,
        "uniform": _nats(math.log(len(symbols))),
        "unigram entropy": _nats(unigram),
        "bigram entropy": _nats(bigram),
    }
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table, highlight=False)


def _nats(value: float) -> str:
    return f"{value:.4f} nats, {value / math.log(2):.4f} bits a token"

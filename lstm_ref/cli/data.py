"""`lstm data`: which texts there are, what stands in them, and their ids in a file."""

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lstm_ref.cli.console import note, printable, verbatim, working
from lstm_ref.cli.reading import DEFAULT, Reading
from lstm_ref.core.corpora import Corpus
from lstm_ref.core.dataset import Dataset
from lstm_ref.core.dataset_file import SUFFIX, write_dataset
from lstm_ref.core.errors import UsageError
from lstm_ref.core.prediction import Fixture
from lstm_ref.core.published import CORPORA, data_folders, fetch
from lstm_ref.core.statistics import bigram_entropy, split_facts, unigram_entropy
from lstm_ref.core.words import UNK

app = App(name="data", help="List, download, describe and encode texts.", help_format="markdown")
PART_NAMES = {"train": "training"}
SHOWN = 100  # tokens that only validation has, at most


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
        folder = entry.find(data_folders(data_dir))
        table.add_row(name, str(folder / entry.place) if folder else f"lstm data get {name}", entry.about)
    table.add_row("PATH", "", "any UTF-8 file, or a folder of train.txt, valid.txt and test.txt")
    verbatim().print(table)


@app.command
def get(name: str, /) -> None:
    """Download a named text into the cache and check it. Nothing else ever uses the network.

    Parameters
    ----------
    name
        One of `lstm data list`.
    """
    console = Console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=CORPORA[name].size if name in CORPORA else None)
        path = fetch(name, on_bytes=lambda count: bar.advance(task, count))
    print(path)


@app.command
def info(text: str = "pydoc", /, *, reading: Reading = DEFAULT) -> None:
    """Length, symbols or words, split, and the entropies that a model has to beat.

    Parameters
    ----------
    text
        A named text, a file or a folder; or a file of `lstm data encode`.
    """
    corpus, dataset = reading.read(text)
    with working("counting"):
        rows = _facts(corpus, dataset)
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    verbatim().print(table)


@app.command
def encode(
    text: str,
    /,
    *,
    out: Path,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    reading: Reading = DEFAULT,
) -> None:
    """A text as ids, offsets of its articles and a vocabulary, in one safetensors file for other programs.

    lstm data encode wikitext-2 --out wikitext-2.safetensors

    Training needs no such file: it splits WikiText-2 into words in about a second.

    Parameters
    ----------
    text
        A named text, a file or a folder; or a folder of the original notebook's vocab.npy and wiki.train.npy.
    out
        The file to write.
    overwrite
        Write it even if it is there.
    """
    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out} has to end in {SUFFIX}: that is what it will be")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists: take another name, or --overwrite")
    _, dataset = reading.read(text)
    write_dataset(out, dataset)
    parts = [f"{part} {len(articles.ids):,} in {len(articles)} articles" for part, articles in dataset.parts.items()]
    note(f"{len(dataset.vocabulary):,} tokens in the vocabulary; {', '.join(parts)}")
    print(out)


@app.command
def fixture(
    text: str,
    /,
    *,
    out: Path,
    part: Literal["train", "validation", "test"] = "test",
    rows: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    length: Annotated[int, Parameter(validator=Number(gte=1))] = 30,
    reading: Reading = DEFAULT,
) -> None:
    """Rows of words and the word after each, for `lstm score --fixture`: an .npz file of inp and out.

    lstm data fixture wikitext-2 --out prediction.npz

    Parameters
    ----------
    text
        A named text, a file or a folder; or a file of `lstm data encode`.
    out
        The file to write.
    part
        Of the text: rows stand at equal distances over all of it.
    rows
        How many [default: as many as do not overlap].
    length
        Words in a row, before the one that is to be predicted.
    """
    if out.exists():
        raise UsageError(f"{out} exists: take another name")
    _, dataset = reading.read(text)
    Fixture.of_text(dataset[part].ids, rows, length, dataset.vocabulary).save(out)
    print(out)


def _facts(corpus: Corpus | None, dataset: Dataset) -> dict[str, str]:
    vocabulary, ids = dataset.vocabulary, dataset.ids
    words = vocabulary.kind == "word"
    facts = {"source": dataset.source, "sha256": dataset.corpus_sha256}
    if corpus and corpus.edition:
        facts["edition"] = corpus.edition
    facts |= {"tokens": f"{len(ids):,}", "words" if words else "symbols": f"{len(vocabulary):,}"}
    if corpus:
        facts["translated line ends"] = f"{corpus.carriage_returns:,}"
    parts = " / ".join(PART_NAMES.get(part, part) for part in dataset.parts)
    facts[parts] = " / ".join(f"{len(articles.ids):,}" for articles in dataset.parts.values())
    facts["only in validation"] = _only_in_validation(dataset)
    if words:
        facts["articles"] = " / ".join(f"{len(articles):,}" for articles in dataset.parts.values())
        facts |= _frequencies(dataset)
    return facts | {
        "uniform": _nats(math.log(len(vocabulary))),
        "unigram entropy": _nats(unigram_entropy(ids)),
        "bigram entropy": _nats(bigram_entropy(ids, len(vocabulary))),
    }


def _only_in_validation(dataset: Dataset) -> str:
    train, validation = dataset["train"].ids, dataset["validation"].ids
    split = split_facts(np.concatenate([train, validation]), len(train), dataset.vocabulary)
    unseen = split.only_in_validation
    more = f" and {len(unseen) - SHOWN:,} more" if len(unseen) > SHOWN else ""
    return (" ".join(ascii(token) for token in unseen[:SHOWN]) or "none") + more


def _frequencies(dataset: Dataset) -> dict[str, str]:
    """The commonest words of the training part, and how much of each part is `<unk>`."""
    tokens = dataset.vocabulary.tokens
    counts = np.bincount(dataset["train"].ids, minlength=len(tokens))
    commonest = np.argsort(-counts, kind="stable")[:10]
    facts = {
        "most frequent": "  ".join(f"{printable(tokens[i])} {counts[i]:,}" for i in commonest if counts[i]),
        "seen once": f"{int((counts == 1).sum()):,}",
    }
    if UNK in tokens:
        unknown = tokens.index(UNK)
        ids_of_parts = [articles.ids for articles in dataset.parts.values()]
        facts[UNK] = " / ".join(f"{np.count_nonzero(ids == unknown) / max(1, ids.size):.2%}" for ids in ids_of_parts)
    return facts


def _nats(value: float) -> str:
    return f"{value:.4f} nats, {value / math.log(2):.4f} bits a token"

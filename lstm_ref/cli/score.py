"""`lstm score`: how well a checkpoint predicts a text."""

import json
import math
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table

from lstm_ref.cli.console import counting, note_if_nothing_is_known, verbatim
from lstm_ref.cli.predicting import predict
from lstm_ref.core.batching import evaluation_segments
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.dataset import encode_corpus
from lstm_ref.core.errors import DataError, UsageError
from lstm_ref.core.evaluation import mean_nll
from lstm_ref.core.prediction import Fixture
from lstm_ref.core.runlog import find_checkpoint
from lstm_ref.core.trainer import model_of
from lstm_ref.core.vocab import Unknown


def score(
    checkpoint: Path,
    text: str | None = None,
    /,
    *,
    fixture: Path | None = None,
    part: Literal["all", "train", "validation", "test"] = "validation",
    batch_size: Annotated[int, Parameter(validator=Number(gte=1))] = 64,
    seq_length: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    on_unknown: Unknown | None = None,
    backend: str | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    precision: Literal["float32", "float64", "bf16"] | None = None,
    data_dir: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """How well a checkpoint predicts a text: every token but the first is scored once, without dropout.

    lstm score runs/char-anna my.txt --part all

    Parameters
    ----------
    checkpoint
        A .safetensors file, or a run folder: its best checkpoint.
    text
        A named text or a file [default: the text it was trained on].
    fixture
        Instead of a text, an .npz file of `lstm data fixture`: rows of words, of which each next one is predicted.
    part
        A part of the text, or all of it. Validation is split off as in training, and a test part not every text has.
    batch_size
        Rows that the text is cut into; each starts from the zero state. 1 scores it in one go, and slowly.
    seq_length
        Steps at a time; the result does not depend on it.
    on_unknown
        What to do with what the model does not know [default: take it for `<unk>` if the model has that, else error].
    backend
        numpy or torch [default: the one that trained it].
    device
        cpu or cuda [default: as trained].
    precision
        float32, float64 or bf16 [default: as trained].
    data_dir
        Where named texts are [default: LSTM_DATA, then the cache].
    as_json
        One JSON object instead of a table.
    """
    loaded = Checkpoint.load(find_checkpoint(checkpoint))
    if fixture is not None:
        if text is not None:
            raise UsageError(f"both a text, {text}, and --fixture {fixture}: give one of them")
        rows = Fixture.load(fixture, loaded.vocabulary)
        predict(model_of(loaded, backend=backend, device=device, precision=precision), rows, as_json)
        return
    corpus = load_corpus(text or loaded.config.corpus, data_dir)
    try:
        dataset = encode_corpus(corpus, loaded.vocabulary, split=loaded.config.split, unknown=on_unknown)
    except DataError as error:
        raise DataError(f"{error} or skip them (--on-unknown skip)") from None
    ids = dataset.ids if part == "all" else dataset[part].ids
    model = model_of(loaded, backend=backend, device=device, precision=precision)
    segments = evaluation_segments(ids, batch_size, seq_length, "full", "next")
    with counting("scoring", len(ids) - 1) as count:
        nats, tokens = mean_nll(model, segments, lambda window: count(window.tokens))
    note_if_nothing_is_known(loaded.vocabulary, ids, corpus.source)
    _report(corpus.source, part, tokens, nats, as_json)


def _report(source: str, part: str, tokens: int, nats: float, as_json: bool) -> None:
    facts: dict[str, object] = {
        "text": source,
        "part": part,
        "tokens_scored": tokens,
        "nats_per_token": nats,
        "bits_per_token": nats / math.log(2),
        "perplexity": math.exp(min(nats, 700)),
    }
    if as_json:
        print(json.dumps(facts))
        return
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else f"{value}")
    verbatim().print(table)

"""`lstm demo`: train, write, and check that something was learned. Needs no download and no torch."""

import math
import sys
import tempfile
from pathlib import Path

from lstm_ref.cli.console import note, printable
from lstm_ref.cli.train import fit
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.errors import DivergedError, InterruptedRunError
from lstm_ref.core.generation import generate
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.core.presets import PRESETS
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.statistics import unigram_entropy
from lstm_ref.core.trainer import start


def demo(*, run: Path | None = None, epochs: int | None = None, seed: int = 0) -> None:
    """Train a small character LSTM on text that ships with Python, and let it write.

    Ends with exit code 6 if the model did not learn more than how frequent each character is.

    Parameters
    ----------
    run
        Keep the run in this folder [default: nothing is kept].
    epochs
        Passes over the text [default: those of the preset tiny].
    seed
        Of all random numbers.
    """
    if run is not None:
        _demo(run, epochs, seed)
        return
    with tempfile.TemporaryDirectory(prefix="lstm-demo-") as folder:
        try:
            _demo(Path(folder) / "run", epochs, seed)
        except InterruptedRunError as error:  # whose advice is to go on in a folder that is gone
            raise InterruptedRunError(
                "stopped; to keep a demo that is stopped take --run", error.exit_code - 128
            ) from None


def _demo(path: Path, epochs: int | None, seed: int) -> None:
    config = PRESETS["tiny"].with_overrides({"seed": seed} | ({} if epochs is None else {"epochs": epochs}), "demo")
    corpus = load_corpus(config.corpus)
    with RunFolder(path) as folder:
        trainer = start(config, corpus, folder)
        note(f"{len(corpus.text):,} characters of Python's help, {len(trainer.vocabulary)} symbols")
        fit(trainer, quiet=False)
        bpc = trainer.evaluate(trainer.validation_ids) / math.log(2)
    unigram = unigram_entropy(trainer.vocabulary.encode(corpus.text)) / math.log(2)
    note("")
    for piece in generate(trainer.model, trainer.vocabulary, 500, "The value of", SamplingPolicy(top_k=5), seed):
        sys.stdout.write(printable(piece))
    sys.stdout.write("\n\n")
    verdict = f"validation {bpc:.3f} bits per character; counting characters alone gives {unigram:.3f}"
    if not bpc < unigram:
        raise DivergedError(f"the model did not learn: {verdict}; please report it with the output of lstm doctor")
    print(f"learned: {verdict}")

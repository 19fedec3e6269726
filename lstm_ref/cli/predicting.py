"""What a model says of the words of a fixture: the end of `lstm score --fixture` and of `lstm train --fixture`."""

import json
import math

from lstm_ref.cli.console import counting, note
from lstm_ref.core.language_model import LanguageModel
from lstm_ref.core.prediction import Fixture, nll_of_fixture


def predict(model: LanguageModel, fixture: Fixture, as_json: bool = False) -> None:
    """The word seed's line on stdout, and on stderr how far it may be trusted; or all of it as JSON on stdout."""
    with counting("predicting", len(fixture.out)) as count:
        nll = nll_of_fixture(model, fixture, on_rows=count)
    rows, mean, error = len(nll), float(nll.mean()), float(nll.std() / math.sqrt(len(nll)))
    if as_json:
        print(json.dumps({"rows": rows, "nats_per_next_word": mean, "standard_error": error}))
        return
    print(f"Your mean NLL for predicting a single word: {mean}")
    note(f"of {rows:,} rows, in nats; standard error {error:.4f}")

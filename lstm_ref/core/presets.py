"""The presets, and how a run's config is put together.

Precedence, highest first: flag (`--set lr=0.002`), environment (`LSTM_LR=0.002`), file (`--config run.toml`), preset,
default.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_ref.core.config import FIELDS, RunConfig, did_you_mean, field_value, read_config_file
from lstm_ref.core.errors import ConfigError

# What the runs on words have in common; clip is the word seed's and AWD-LSTM's.
_WIKITEXT_2: dict[str, Any] = {
    "corpus": "wikitext-2",
    "vocabulary": "word",
    "seq_length": 70,
    "clip": 0.25,
    "validate": "epochs",
}

PRESETS: dict[str, RunConfig] = {
    # Sized to learn in about a minute on two cores, from text that ships with Python.
    "tiny": RunConfig(
        hidden_sizes=(128,),
        dropout_output=0.1,
        epochs=6,
        batch_size=32,
        seq_length=50,
        lr=0.004,
        print_every=100,
        checkpoint_every=500,
    ),
    # The character seed's run: 3,366,483 parameters on anna.txt.
    "char-anna": RunConfig(
        corpus="anna",
        hidden_sizes=(512, 512),
        epochs=20,
        batch_size=128,
        seq_length=100,
        evaluation="windows",
    ),
    # The word seed's run: 21,124,878 parameters on WikiText-2.
    "word-seed": RunConfig(
        **_WIKITEXT_2,
        article_order="shuffled",
        embedding_size=400,
        hidden_sizes=(200, 200, 200),
        dropout_input=0.2,
        dropout_between=0.3,
        dropout_output=0.2,
        epochs=40,
        batch_size=20,
        window_lengths="mixture",
        lr=0.0001,
        schedule="plateau",
        print_every=20,
        checkpoint_every=500,
    ),
    # AWD-LSTM [Merity et al. 2018] as its authors' code trains it: 33,556,078 parameters, one order of the articles.
    "awd-wikitext2": RunConfig(
        **_WIKITEXT_2,
        embedding_size=400,
        hidden_sizes=(1150, 1150, 400),
        tied=True,
        dropout_embedding=0.1,
        dropout_input=0.65,
        dropout_between=0.2,
        dropout_output=0.4,
        dropout_locked=True,
        weight_drop=0.5,
        ar_alpha=2,
        tar_beta=1,
        epochs=750,
        batch_size=80,
        window_lengths="mixture",
        optimizer="nt-asgd",
        lr=30,
        lr_by_length=True,
        weight_decay=1.2e-6,
        validation_batch_size=10,
        print_every=200,
        checkpoint_every=1000,
    ),
    # The word seed's score and better in about 75 minutes on two cores, with torch and bf16: 15,910,878 parameters.
    "word-fast": RunConfig(
        **_WIKITEXT_2 | {"seq_length": 35},
        article_order="shuffled",
        embedding_size=400,
        hidden_sizes=(400, 400),
        tied=True,
        dropout_input=0.3,
        dropout_between=0.3,
        dropout_output=0.4,
        dropout_locked=True,
        epochs=8,
        batch_size=20,
        optimizer="adamw",
        lr=0.003,
        schedule="one-cycle",
        weight_decay=0.01,
        print_every=200,
        checkpoint_every=1000,
    ),
}


def preset(name: str) -> RunConfig:
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}{did_you_mean(name, PRESETS)}; presets: {', '.join(PRESETS)}")
    return PRESETS[name]


def resolve(
    preset_name: str, *, file: Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, object]
) -> RunConfig:
    """The run's config from all its sources, the strongest last. Whether fields go together is asked of the whole."""
    variables = {name: f"LSTM_{name.upper()}" for name in FIELDS}
    environ = environ or {}
    sources: dict[str, Mapping[str, object]] = {
        str(file): {} if file is None else read_config_file(file),
        "environment (LSTM_<FIELD>)": {name: environ[key] for name, key in variables.items() if key in environ},
        "--set": flags,
    }
    values = {
        name: field_value(name, value, source) for source, given in sources.items() for name, value in given.items()
    }
    return preset(preset_name).with_overrides(values)

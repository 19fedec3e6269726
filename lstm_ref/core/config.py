"""Frozen configs, the presets, and how a run's config is put together. The only place with default numbers.

Characters and words are one model with another config. Precedence, highest first: flag (`--set lr=0.002`), environment
(`LSTM_LR=0.002`), file (`--config run.toml`), preset, default.
"""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lstm_ref.core.errors import ConfigError

MAX_SIZE = 1 << 20  # of any one dimension: a typo must not ask for terabytes

Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


def _split_commas(value: object) -> object:
    """`--set hidden_sizes=512,512` arrives as one string, and `hidden_sizes = 512` in TOML as one number."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value] if isinstance(value, int) else value


Sizes = Annotated[tuple[Size, ...], BeforeValidator(_split_commas), Field(min_length=1, max_length=16)]
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(config=_STRICT, frozen=True, slots=True, kw_only=True)
class LanguageModelConfig:
    """Character or word LSTM language model: input -> dropout -> (LSTM -> dropout)* -> linear.

    Dropout rates are drop probabilities in [0, 1): at 1 nothing would survive. Masks are drawn anew for every element
    of every window [Zaremba et al. 2014, arXiv:1409.2329]; the recurrent path h_t -> h_t+1 is never dropped.
    """

    vocab_size: Size  # V: comes from the data, so it has no default
    embedding_size: Annotated[int, Field(ge=0, le=MAX_SIZE)] = 0  # I of layer 0; 0 means one-hot input, I = V
    hidden_sizes: Sizes = (256, 256)  # H of each layer, bottom first
    dropout_input: Rate = 0.0  # on the embedding; one-hot input takes none
    dropout_between: Rate = 0.5  # on the output of every layer but the last
    dropout_output: Rate = 0.5  # on the output of the last layer

    def __post_init__(self) -> None:
        if self.embedding_size == 0 and self.dropout_input > 0:
            raise ConfigError(
                f"dropout_input={self.dropout_input} needs an embedding: set embedding_size, or dropout_input=0"
            )

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """I of each layer."""
        return (self.embedding_size or self.vocab_size, *self.hidden_sizes[:-1])


@dataclass(config=_STRICT, frozen=True, slots=True, kw_only=True)
class AdamConfig:
    """Adam [Kingma & Ba 2015, Alg. 1], with PyTorch's defaults. The learning rate may vary by step: not here."""

    beta1: Rate = 0.9
    beta2: Rate = 0.999
    eps: Positive = 1e-8


@dataclass(config=_STRICT, frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a run. The defaults are the character seed's (`CharRNN()` and `train()`)."""

    # the text
    corpus: Annotated[str, Field(min_length=1)] = "pydoc"  # pydoc, anna, or the path of a UTF-8 file
    vocabulary: Literal["char", "byte"] = "char"
    vocabulary_order: Literal["sorted", "seen"] = "sorted"  # of the ids: by code point, or as first seen in the text
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1  # the last part of the text
    # the model: see LanguageModelConfig
    embedding_size: Annotated[int, Field(ge=0, le=MAX_SIZE)] = 0
    hidden_sizes: Sizes = (256, 256)
    dropout_input: Rate = 0.0
    dropout_between: Rate = 0.5
    dropout_output: Rate = 0.5
    # training
    epochs: Size = 10
    batch_size: Size = 10  # B: rows of text that are read side by side
    seq_length: Size = 50  # T: steps of truncated BPTT; longer learns longer context, and costs memory
    last_target: Literal["next", "wrap"] = "next"  # of a row's last window: the text's next token, or the seed's wrap
    lr: Positive = 0.001
    beta1: Rate = 0.9
    beta2: Rate = 0.999
    eps: Positive = 1e-8
    clip: Positive = 5.0  # largest global L2 norm of the gradient
    # evaluation, log and checkpoints
    evaluation: Literal["full", "windows"] = "full"  # every token, or full [B,T] windows only, as the seed does
    print_every: Size = 10  # steps between two log lines, each with a full pass over the validation text
    checkpoint_every: Size = 100  # steps; besides these, one a new best and one at the end
    keep_checkpoints: Size = 2
    # where and how
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0
    backend: Annotated[str, Field(min_length=1)] = "numpy"
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "float64", "bf16"] = "float32"

    def __post_init__(self) -> None:
        self.language_model(vocab_size=1)  # the model's own conditions

    def language_model(self, vocab_size: int) -> LanguageModelConfig:
        names = {field.name for field in dataclasses.fields(LanguageModelConfig)} - {"vocab_size"}
        return LanguageModelConfig(vocab_size=vocab_size, **{name: getattr(self, name) for name in names})

    @property
    def adam(self) -> AdamConfig:
        return AdamConfig(beta1=self.beta1, beta2=self.beta2, eps=self.eps)

    def split(self, length: int) -> int:
        """Where validation begins in a text of `length` tokens: exact, where `int(length * (1 - 0.1))` is in floats."""
        return int(length * (1 - Fraction(str(self.validation_fraction))))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` takes them back."""
        return _ADAPTER.dump_python(self, mode="json")

    @classmethod
    def from_dict(cls, values: Mapping[str, object], source: str = "config") -> Self:
        """Validates. Raises ConfigError that names the field, what arrived and what was expected."""
        try:
            return _ADAPTER.validate_python(dict(values))  # type: ignore[return-value]
        except ValidationError as error:
            raise ConfigError(_explain(error, source)) from None

    def with_overrides(self, values: Mapping[str, object], source: str = "--set") -> Self:
        return self.from_dict(self.to_dict() | dict(values), source)


_ADAPTER = TypeAdapter(RunConfig)
FIELDS = tuple(field.name for field in dataclasses.fields(RunConfig))

# What may change when a run goes on. Anything else would make other windows, masks or shapes of it.
CHANGEABLE = frozenset(
    {"epochs", "lr", "beta1", "beta2", "eps", "clip", "evaluation", "print_every", "checkpoint_every"}
    | {"keep_checkpoints", "dropout_input", "dropout_between", "dropout_output", "backend", "device", "precision"}
)

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
}


def preset(name: str) -> RunConfig:
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}{_did_you_mean(name, PRESETS)}; presets: {', '.join(PRESETS)}")
    return PRESETS[name]


def resolve(
    preset_name: str, *, file: Path | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, object]
) -> RunConfig:
    """The run's config from all its sources, the strongest last."""
    config = preset(preset_name)
    if file is not None:
        config = config.with_overrides(read_config_file(file), source=str(file))
    variables = {name: f"LSTM_{name.upper()}" for name in FIELDS}
    environ = environ or {}
    from_environment = {name: environ[key] for name, key in variables.items() if key in environ}
    config = config.with_overrides(from_environment, source="environment (LSTM_<FIELD>)")
    return config.with_overrides(flags)


def read_config_file(file: Path) -> dict[str, object]:
    """A TOML file, or a run's config.json."""
    try:
        text = file.read_text(encoding="utf-8")
        values = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # ValueError: of UTF-8, TOML or JSON, or a NUL in the name
        raise ConfigError(f"cannot read config file {file}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"config file {file} holds a {type(values).__name__}, expected fields and values")
    return values


def _explain(error: ValidationError, source: str) -> str:
    """The first problem in one line."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "config"
    if first["type"] == "unexpected_keyword_argument":
        return f"{source}: unknown field {name!r}{_did_you_mean(name, FIELDS)}; fields: {', '.join(FIELDS)}"
    message = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{source}: {name}={first['input']!r}: expected {message}"


def _did_you_mean(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""

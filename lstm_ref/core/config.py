"""Frozen configs, with every default number. The presets, and how a run's config is put together: core.presets.

Characters and words are one model with another config.
"""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_type_hints

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lstm_ref.core.errors import ConfigError
from lstm_ref.core.words import AS_IT_IS, Preparation

MAX_SIZE = 1 << 20  # of any one dimension: a typo must not ask for terabytes

Size = Annotated[int, Field(ge=1, le=MAX_SIZE)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Optimizer = Literal["adam", "adamw", "sgd", "nt-asgd"]


def _split_commas(value: object) -> object:
    """`--set hidden_sizes=512,512` arrives as one string, and `hidden_sizes = 512` in TOML as one number."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value] if isinstance(value, int) else value


Sizes = Annotated[tuple[Size, ...], BeforeValidator(_split_commas), Field(min_length=1, max_length=16)]
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class LanguageModelConfig:
    """Character or word LSTM language model: input -> dropout -> (LSTM -> dropout)* -> linear.

    Dropout rates are drop probabilities in [0, 1): at 1 nothing would survive. What flows from h_t to h_t+1 is never
    dropped; weight_drop drops from the matrix instead [Merity et al. 2018, arXiv:1708.02182, Sec. 2]. The other
    regularisers are theirs too (Sec. 4), and are a part of the training loss only.
    """

    vocab_size: Size  # V: comes from the data, so it has no default
    embedding_size: Annotated[int, Field(ge=0, le=MAX_SIZE)] = 0  # I of layer 0; 0 means one-hot input, I = V
    hidden_sizes: Sizes = (256, 256)  # H of each layer, bottom first
    tied: bool = False  # one matrix embeds and decodes [Press & Wolf 2017]: E = H of the last layer
    dropout_embedding: Rate = 0.0  # on whole rows of the embedding: a word is dropped wherever it stands
    dropout_input: Rate = 0.0  # on the embedding; one-hot input takes none
    dropout_between: Rate = 0.5  # on the output of every layer but the last
    dropout_output: Rate = 0.5  # on the output of the last layer
    dropout_locked: bool = False  # one mask for all steps of a window [Gal & Ghahramani 2016], else one a step
    weight_drop: Rate = 0.0  # on single weights of every weight_hh, one mask a window
    ar_alpha: NotNegative = 0.0  # activation regularisation: of mean h^2, h the last layer's output after dropout
    tar_beta: NotNegative = 0.0  # temporal one: of mean (h_t+1 - h_t)^2, h the last layer's output before dropout

    def __post_init__(self) -> None:
        if self.embedding_size == 0 and (self.dropout_input > 0 or self.dropout_embedding > 0):
            rates = f"dropout_input={self.dropout_input}, dropout_embedding={self.dropout_embedding}"
            raise ConfigError(f"{rates}: dropout on an embedding needs one: set embedding_size, or take 0")
        if self.tied and self.embedding_size != self.hidden_sizes[-1]:
            raise ConfigError(
                f"tied=true with embedding_size={self.embedding_size} and hidden_sizes={list(self.hidden_sizes)}: one "
                f"matrix embeds and decodes, so the last layer has as many units as the embedding; make them equal"
            )

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """I of each layer."""
        return (self.embedding_size or self.vocab_size, *self.hidden_sizes[:-1])


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """Which update, with PyTorch's defaults. The learning rate may vary by step: not here.

    adam: [Kingma & Ba 2015, Alg. 1]; weight_decay w adds w p to the gradient (L2).
    adamw: decoupled decay, p -= lr w p [Loshchilov & Hutter 2019].
    sgd: without momentum; decay as adam.
    nt-asgd: sgd whose average over steps is used, once averaging has begun [Merity et al. 2018, Alg. 1].
    """

    optimizer: Optimizer = "adam"
    beta1: Rate = 0.9
    beta2: Rate = 0.999
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.0


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that decides a run. The defaults are the character seed's (`CharRNN()` and `train()`)."""

    # the text
    corpus: Annotated[str, Field(min_length=1)] = "pydoc"  # a named text, or the path of a UTF-8 file or folder
    vocabulary: Literal["char", "byte", "word"] = "char"
    vocabulary_order: Literal["sorted", "seen"] = "sorted"  # of the ids: by code point, or as first seen in the text
    min_count: Size = 1  # words that training has less often become <unk>
    normalize: bool = False  # this and the next two: see core.words.Preparation
    lower: bool = False
    blank_lines: bool = True
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1  # the last part of a text without one of its own
    article_order: Literal["fixed", "shuffled"] = "fixed"  # of the training text; shuffled anew each epoch
    # the model: see LanguageModelConfig
    embedding_size: Annotated[int, Field(ge=0, le=MAX_SIZE)] = 0
    hidden_sizes: Sizes = (256, 256)
    tied: bool = False
    dropout_embedding: Rate = 0.0
    dropout_input: Rate = 0.0
    dropout_between: Rate = 0.5
    dropout_output: Rate = 0.5
    dropout_locked: bool = False
    weight_drop: Rate = 0.0
    ar_alpha: NotNegative = 0.0
    tar_beta: NotNegative = 0.0
    # training
    epochs: Size = 10
    batch_size: Size = 10  # B: rows of text that are read side by side
    seq_length: Size = 50  # T: steps of truncated BPTT; longer learns longer context, and costs memory
    window_lengths: Literal["fixed", "mixture"] = "fixed"  # all seq_length, or drawn: see core.stream
    last_target: Literal["next", "wrap"] = "next"  # of a row's last window: the text's next token, or the seed's wrap
    reset_at_article: bool = False  # a row's state is zero again after the window in which an article ended
    optimizer: Optimizer = "adam"
    lr: Positive = 0.001
    lr_by_length: bool = False  # lr times T / seq_length, for windows of drawn lengths
    schedule: Literal["constant", "plateau", "one-cycle"] = "constant"  # see core.schedule
    beta1: Rate = 0.9
    beta2: Rate = 0.999
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.0
    nonmonotone: Size = 5  # nt-asgd averages from the first validation that is worse than the best before the last n
    clip: Positive = 5.0  # largest global L2 norm of the gradient
    # evaluation, log and checkpoints
    evaluation: Literal["full", "windows"] = "full"  # every token, or full [B,T] windows only, as the seed does
    validation_batch_size: Annotated[int, Field(ge=0, le=MAX_SIZE)] = 0  # rows of it; 0 is batch_size
    validate: Literal["lines", "epochs"] = "lines"  # with every log line, or at the end of every epoch
    print_every: Size = 10  # steps between two log lines
    checkpoint_every: Size = 100  # steps; besides these, one a new best and one at the end
    keep_checkpoints: Size = 2
    # where and how
    seed: Annotated[int, Field(ge=0, lt=1 << 64)] = 0
    backend: Annotated[str, Field(min_length=1)] = "numpy"
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "float64", "bf16"] = "float32"

    def __post_init__(self) -> None:
        self.language_model(vocab_size=1)  # the model's own conditions
        if self.vocabulary != "word" and (self.min_count, self.preparation) != (1, AS_IT_IS):
            given = {"min_count": self.min_count} | self.preparation.to_dict()
            raise ConfigError(
                f"{', '.join(f'{name}={json.dumps(value)}' for name, value in given.items())} with "
                f'vocabulary="{self.vocabulary}": only words are prepared and counted; set vocabulary=word, or leave '
                f"them at 1, false, false and true"
            )
        if self.last_target == "wrap" and not self.full_windows:
            raise ConfigError(
                'last_target="wrap" is for full windows of characters or bytes in their own order: with words, '
                'article_order="shuffled", window_lengths="mixture" or reset_at_article=true take "next"'
            )

    @property
    def preparation(self) -> Preparation:
        """What is done to the text before it is split into words. From then on the vocabulary has it."""
        return Preparation(normalize=self.normalize, lower=self.lower, blank_lines=self.blank_lines)

    @property
    def full_windows(self) -> bool:
        """Every epoch is the same full [T,B] windows, as the character seed has them; else core.stream draws it."""
        drawn = self.article_order == "shuffled" or self.window_lengths == "mixture" or self.reset_at_article
        return self.vocabulary != "word" and not drawn

    def language_model(self, vocab_size: int) -> LanguageModelConfig:
        names = {field.name for field in dataclasses.fields(LanguageModelConfig)} - {"vocab_size"}
        return LanguageModelConfig(vocab_size=vocab_size, **{name: getattr(self, name) for name in names})

    @property
    def update(self) -> OptimizerConfig:
        names = [field.name for field in dataclasses.fields(OptimizerConfig)]
        return OptimizerConfig(**{name: getattr(self, name) for name in names})

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
FIELD_TYPES: dict[str, Any] = get_type_hints(RunConfig)  # without their bounds

# What may change when a run goes on. Anything else would make other windows, masks or shapes of it.
CHANGEABLE = frozenset(
    {"epochs", "lr", "beta1", "beta2", "eps", "clip", "weight_decay", "schedule", "nonmonotone", "lr_by_length"}
    | {"dropout_embedding", "dropout_input", "dropout_between", "dropout_output", "weight_drop", "ar_alpha", "tar_beta"}
    | {"evaluation", "validate", "validation_batch_size", "print_every", "checkpoint_every", "keep_checkpoints"}
    | {"backend", "device", "precision"}
)


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


def field_value(name: str, value: object, source: str) -> Any:
    """A value of one field by itself, in the field's type: whether it goes with the other fields is not asked."""
    if name not in FIELDS:
        raise ConfigError(_unknown_field(name, source))
    try:
        return _field_adapter(name).validate_python(value)
    except ValidationError as error:
        raise ConfigError(_explain_value(error, name, source)) from None


@cache
def _field_adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(RunConfig, include_extras=True)[name], config=STRICT)


def _explain(error: ValidationError, source: str) -> str:
    """The first problem in one line."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "config"
    if first["type"] == "unexpected_keyword_argument":
        return _unknown_field(name, source)
    return _explain_value(error, name, source)


def _explain_value(error: ValidationError, name: str, source: str) -> str:
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{source}: {name}={first['input']!r}: expected {message}"


def _unknown_field(name: str, source: str) -> str:
    return f"{source}: unknown field {name!r}{did_you_mean(name, FIELDS)}; fields: {', '.join(FIELDS)}"


def did_you_mean(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""

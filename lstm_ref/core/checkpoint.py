"""One safetensors file that both twins write and read, and that a run continues from bit by bit.

Tensors: `model.<parameter>`, `optimizer.<...>`, `carry.h_l<k>`, `carry.c_l<k>`; JSON: schema, config, vocabulary,
progress, the text's hash, versions. See core.sealed for the file.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from lstm_ref.core.config import RunConfig
from lstm_ref.core.errors import CheckpointError, LstmError
from lstm_ref.core.params import check_optimizer_state, check_parameters
from lstm_ref.core.sealed import Seal
from lstm_ref.core.vocab import Vocabulary

SCHEMA = 2  # 1: before there were windows of different lengths
SEAL = Seal(
    kind="checkpoint",
    key="lstm-parity",
    error=CheckpointError,
    if_damaged="take an older checkpoint",
    if_foreign="is it another program's?",
)
Count = Annotated[int, Field(ge=0)]
_GROUPS = ("model", "optimizer", "carry")


@dataclass(slots=True)
class Progress:
    """Where a run stands. Everything else (windows, masks, draws) is a function of the step."""

    step: Count = 0  # updates done
    evaluated_step: Count = 0  # the last step whose log line, and validation if it had one, is done
    loss: float | None = None  # of the last step, nats
    gradient_norm: float | None = None  # of the last step, before clipping
    loss_sum: float = 0.0  # since the last log line, over loss_count steps
    loss_count: Count = 0
    best_loss: float | None = None  # lowest validation loss, nats a token
    best_step: Count = 0
    tokens: Count = 0  # trained on so far
    seconds: float = 0.0  # spent training so far, all sessions of the run together
    interval_seconds: float = 0.0  # of these, since the last log line
    epoch_seconds: float = 0.0  # in this epoch, its validations included
    plateaus: Count = 0  # validations that lowered lr
    validations: tuple[float, ...] = ()  # nt-asgd: the losses by which it will begin to average
    averaging: bool = False  # nt-asgd: it has begun
    exchanged: bool = False  # `model` is the average here, and `average` in `optimizer` the parameters


_PROGRESS = TypeAdapter(Progress)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run at a step boundary."""

    config: RunConfig
    vocabulary: Vocabulary
    corpus_sha256: str
    progress: Progress
    model: dict[str, np.ndarray]
    optimizer: dict[str, np.ndarray]
    carry: dict[str, np.ndarray]
    versions: dict[str, str] = field(default_factory=dict)

    def seed_form(self) -> dict[str, Any]:
        """The four keys of the character seed's `.net` file: n_hidden, n_layers, state_dict (its output layer is named
        `fc`) and tokens."""
        state_dict = {re.sub("^decoder", "fc", name): value for name, value in self.model.items()}
        sizes = self.config.hidden_sizes
        return {
            "n_hidden": sizes[0],
            "n_layers": len(sizes),
            "state_dict": state_dict,
            "tokens": self.vocabulary.tokens,
        }

    def training_state(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters and optimizer state to go on from: where `model` is the average, the two change places again."""
        if not self.progress.exchanged:
            return self.model, self.optimizer
        parameters = {name: self.optimizer[f"average.{name}"] for name in self.model}
        return parameters, self.optimizer | {f"average.{name}": value for name, value in self.model.items()}

    def _tensors(self) -> dict[str, np.ndarray]:
        groups = zip(_GROUPS, (self.model, self.optimizer, self.carry))
        return {
            f"{group}.{name}": np.require(value, requirements="C")
            for group, part in groups
            for name, value in part.items()
        }

    def save(self, path: Path) -> None:
        """Atomic. Raises CheckpointError where the disk does not take it; an older file of that name is then intact."""
        header = {
            "schema": SCHEMA,
            "config": self.config.to_dict(),
            "vocabulary": self.vocabulary.to_dict(),
            "corpus_sha256": self.corpus_sha256,
            "progress": asdict(self.progress),
            "versions": self.versions,
        }
        try:
            SEAL.write(path, header, self._tensors())
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror}; the file before it is intact") from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises CheckpointError for a file that is missing, damaged, foreign, too new, or does not fit itself."""
        header, tensors = SEAL.read(path)
        try:
            checkpoint = cls._from_parts(json.loads(header), tensors, source=str(path))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, ("progress", *first["loc"])))
            raise CheckpointError(f"{path} does not fit itself: {where}: {first['msg']}") from None
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, LstmError) as error:
            raise CheckpointError(f"{path} does not fit itself: {error}") from None
        return checkpoint

    @classmethod
    def _from_parts(cls, values: dict[str, Any], tensors: Mapping[str, np.ndarray], source: str) -> Self:
        if values["schema"] not in range(1, SCHEMA + 1):
            raise CheckpointError(
                f"its schema is {values['schema']}, this version reads 1 to {SCHEMA}; update lstm-parity"
            )
        groups: dict[str, dict[str, np.ndarray]] = {group: {} for group in _GROUPS}
        for name, value in tensors.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = value
        config = RunConfig.from_dict(values["config"], source)
        progress = _PROGRESS.validate_json(json.dumps(values["progress"]), strict=True)
        if values["schema"] == 1:  # it counted no tokens: every step had as many
            progress.tokens = progress.step * config.batch_size * config.seq_length
        checkpoint = cls(
            config,
            Vocabulary.from_dict(values["vocabulary"]),
            str(values["corpus_sha256"]),
            progress,
            **groups,
            versions=dict(values["versions"]),
        )
        model_config = checkpoint.config.language_model(len(checkpoint.vocabulary))
        check_parameters(model_config, checkpoint.model)
        check_optimizer_state(model_config, checkpoint.config.update, checkpoint.optimizer)
        if (progress.averaging and config.optimizer != "nt-asgd") or (progress.exchanged and not progress.averaging):
            raise CheckpointError(f"its progress has an average, which {config.optimizer} has not")
        sizes = enumerate(checkpoint.config.hidden_sizes)
        expected = {f"{part}_l{k}": (checkpoint.config.batch_size, H) for k, H in sizes for part in "hc"}
        arrived = {name: value.shape for name, value in checkpoint.carry.items()}
        if arrived != expected:
            raise CheckpointError(f"its carry has the shapes {arrived}, expected {expected}")
        return checkpoint

"""The switches of the fast path. With all of them off, TorchLM is its plain self; each can be turned on by itself but
for what `check` says, so that its gain is measured and its numbers are compared with those without it.

Proved by parity_tests/test_torch_step.py.
"""

from dataclasses import dataclass
from typing import Literal, Self

from lstm_ref.core.errors import ConfigError

RecurrenceName = Literal["float32", "tf32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """device_draws: dropout masks are made where they are used, of the same bits (lstm_torch/draws.py).

    padding: layers and decoder compute with sizes that the hardware's fast kernels take, the rest zeros
    (lstm_torch/recurrence.py, decoder_loss.py).
    resident: all that a step varies arrives in one copy and in arrays that stay (lstm_torch/step_inputs.py).
    graph: a training step is one launch of a CUDA graph (lstm_torch/graph.py); so is a sampled token, with
    device_sampling.
    device_sampling: a sampled token and the state stay on the device, and ids come in blocks
    (lstm_torch/device_sampling.py).
    recurrence: what the LSTM layers compute in; None is what the model's precision says, which for bf16 is autocast:
    on CUDA torch's autocast of an LSTM is to float16, without a scale for its gradients.
    """

    device_draws: bool = False
    padding: bool = False
    resident: bool = False
    graph: bool = False
    device_sampling: bool = False
    recurrence: RecurrenceName | None = None

    @classmethod
    def production(cls, device: str, precision: str) -> Self:
        """The fastest that holds the precision's promise. For bf16 the layers take float16: it has three more bits, its
        range is enough for an LSTM's values, and cuDNN's persistent kernel knows no bf16."""
        if device != "cuda":
            return cls()
        recurrence: dict[str, RecurrenceName] = {"float32": "float32", "bf16": "fp16"}
        return cls(
            device_draws=True,
            padding=True,
            resident=True,
            graph=True,
            device_sampling=True,
            recurrence=recurrence.get(precision),
        )

    def check(self, device: str, precision: str) -> None:
        """Raises ConfigError for what cannot be."""
        if self.graph and device != "cuda":
            raise ConfigError(f"graph=True with device={device!r}: only CUDA captures graphs; take graph=False")
        if self.graph and not (self.device_draws and self.resident):
            raise ConfigError(
                f"graph=True with device_draws={self.device_draws}, resident={self.resident}: a graph repeats what is "
                f"on the device, masks and windows too; set both to True"
            )
        if self.recurrence in ("tf32", "fp16") and device != "cuda":
            raise ConfigError(
                f"recurrence={self.recurrence!r} with device={device!r}: only CUDA has it; take float32, bf16 or None"
            )
        if self.recurrence is not None and precision == "float64":
            raise ConfigError(
                f"recurrence={self.recurrence!r} with precision='float64': float64 computes in float64 throughout; "
                f"take recurrence=None"
            )

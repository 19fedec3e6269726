"""The peer: nn.LSTM at its best, without our masks and without the notebook's detours.

Time first, one nn.LSTM call for all layers, the one-hot input scattered into place, fused Adam, gradients set to None.
Variants, of which the fastest is the peer:
- `multiple`: input size padded to a multiple of 32, which suits vector registers and matrix tiles. The weights of the
  padding are zero and stay zero: their gradient is zero, and so is Adam's step.
- `onednn=False`: ATen's own LSTM, which takes the product x W_ih^T for all steps at once, where oneDNN's does not.
A case in bf16 is run under autocast, as torch's users do it: parameters, loss and Adam stay in float32.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cases import StepCase
from benchmarks.contenders.notebook import moments
from lstm_ref.core.batching import Window

INPUT_WEIGHT = "lstm.weight_ih_l0"  # [4H,V], the only array with padding


class TorchLSTMTrainer:
    def __init__(self, case: StepCase, *, multiple: int = 1, onednn: bool = True):
        self._case, self._onednn = case, onednn
        config, dtype = case.config, getattr(torch, case.dtype)
        H, layers = config.hidden_sizes[0], len(config.hidden_sizes)
        self._input_size = -(-config.vocab_size // multiple) * multiple
        between = config.dropout_between if layers > 1 else 0.0
        self._lstm = nn.LSTM(self._input_size, H, layers, dropout=between, dtype=dtype)
        self._decoder = nn.Linear(H, config.vocab_size, dtype=dtype)
        network = nn.ModuleDict({"lstm": self._lstm, "decoder": self._decoder})
        self._named = dict(network.named_parameters())
        self._optimizer = torch.optim.Adam(network.parameters(), lr=case.lr, fused=True)
        self._state = (torch.zeros(layers, case.batch_size, H, dtype=dtype),) * 2
        self.load_parameters(case.parameters())

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        padding = [(0, 0), (0, self._input_size - self._case.config.vocab_size)]
        padded = {**params, INPUT_WEIGHT: np.pad(params[INPUT_WEIGHT], padding)}
        with torch.no_grad():
            for name, p in self._named.items():
                p.copy_(torch.from_numpy(padded[name]))

    def parameters(self) -> dict[str, np.ndarray]:
        return self._without_padding({name: p.detach().numpy().copy() for name, p in self._named.items()})

    def optimizer_state(self) -> dict[str, np.ndarray]:
        return self._without_padding(moments(self._optimizer, self._named))

    def _without_padding(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        V = self._case.config.vocab_size
        return {name: value[:, :V] if name.endswith(INPUT_WEIGHT) else value for name, value in arrays.items()}

    def step(self, window: Window) -> float:
        with onednn(self._onednn):
            return self._step(torch.from_numpy(window.inputs), torch.from_numpy(window.targets))

    def _step(self, inputs: Tensor, targets: Tensor) -> float:
        x = torch.zeros(*inputs.shape, self._input_size, dtype=self._decoder.weight.dtype)
        x.scatter_(2, inputs[..., None], 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._case.precision == "bf16"):
            y, (h, c) = self._lstm(x, self._state)
            logits = self._decoder(F.dropout(y.flatten(0, 1), self._case.config.dropout_output))
            loss = F.cross_entropy(logits, targets.flatten())
        self._state = h.detach(), c.detach()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._named.values(), self._case.clip)
        self._optimizer.step()
        return loss.item()


@contextmanager
def onednn(enabled: bool) -> Iterator[None]:
    """The switch is global, so it is put back."""
    before = torch.backends.mkldnn.enabled
    # mkldnn.flags() would set TF32 as well, and warn.
    torch.backends.mkldnn.enabled = enabled  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before

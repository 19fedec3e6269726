"""All that a training step varies, in arrays that stay where they are: so a step is a function of these arrays alone,
and a CUDA graph of it can be run again.

Window, step number, learning rate and clip go into one int64 array, the two float64 as their bits, and so to the device
in one copy. For B=128, T=100 it has 205 KB, which the bus moves while the step before still computes: that is why the
text itself is not kept there, and a window may come from any Stream. The array on the host is pinned: from other memory
a copy waits for what the device still does. torch's allocator of pinned memory gives one out again only when the copy
from it is done, so two steps never share one.

The state is copied in as well, from wherever the step before, or a checkpoint, left it.

Proved by parity_tests/test_torch_step.py.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lstm_ref.core.batching import Window
from lstm_ref.core.language_model import StepSettings


class StepInputs:
    """Of windows of one shape. inputs, targets: int64 [T,B]; step: int64 []; lr, clip: float64 [];
    state: (h, c) of each layer [B,H], shared by the windows of any length."""

    def __init__(self, T: int, B: int, state: Sequence[tuple[Tensor, Tensor]]):
        self.state = state
        self.values = torch.zeros(2 * T * B + 3, dtype=torch.int64, device=state[0][0].device)
        self.inputs, self.targets = self.values[:-3].view(2, T, B)
        self.step = self.values[-3]
        self.lr, self.clip = self.values[-2:].view(torch.float64)

    def send(self, window: Window, state: Sequence[tuple[Tensor, Tensor]], step: int, settings: StepSettings) -> None:
        """Does not wait for the device."""
        on_device = self.values.is_cuda
        host = torch.empty(self.values.shape, dtype=torch.int64, pin_memory=on_device)
        values = host.numpy()
        values[:-3] = np.concatenate([window.inputs, window.targets]).reshape(-1)
        values[-3] = step
        values[-2:].view(np.float64)[:] = settings.lr, settings.clip
        self.values.copy_(host, non_blocking=on_device)
        mine = [array for pair in self.state for array in pair]
        given = [array for pair in state for array in pair]
        torch._foreach_copy_(mine, given)

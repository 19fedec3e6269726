"""What training minimises, as one module: the network, the decoder's loss and the penalty of a window.

Its forward pass uses every parameter, so every backward pass gives each a gradient. That is what torch's
DistributedDataParallel asks of the module that it wraps (it reduces gradients as they arrive, and waits for all), and a
loss outside of the module that it wraps would use the decoder behind its back.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from lstm_torch.decoder_loss import linear_cross_entropy
from lstm_torch.network import Activations, LSTMNetwork, TorchState
from lstm_torch.regularizers import penalty


class Objective(nn.Module):
    """bf16: the network under autocast, unless its layers have a dtype of their own, and the decoder's products from
    bf16 factors; loss and penalty are float32. multiple: of V in the decoder's loss."""

    def __init__(self, network: LSTMNetwork, *, bf16: bool, multiple: int = 1):
        super().__init__()
        self.network = network
        self.bf16 = bf16
        self.multiple = multiple

    def autocast(self) -> AbstractContextManager:
        device = self.network.decoder.weight.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.bf16)

    def activations(self, inputs: Tensor, state: TorchState, masks: Mapping[str, Tensor]) -> Activations:
        """x and the state in the parameters' dtype; the state is detached."""
        with self.autocast() if self.network.recurrence is None else nullcontext():
            y, x, next_state = self.network(inputs, state, masks)
        dtype = self.network.decoder.weight.dtype
        return Activations(y, x.to(dtype), [(h.detach().to(dtype), c.detach().to(dtype)) for h, c in next_state])

    def decoder_loss(self, loss: Callable[..., Tensor], x: Tensor, targets: Tensor) -> Tensor:
        """loss: one of lstm_torch.decoder_loss. x [T,B,H], targets [T,B]."""
        decoder = self.network.decoder
        rows, ids = x.flatten(0, 1), targets.flatten()
        return loss(rows, decoder.weight, decoder.bias, ids, bf16=self.bf16, multiple=self.multiple)

    def forward(
        self, inputs: Tensor, targets: Tensor, state: TorchState, masks: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, TorchState]:
        """inputs, targets: int64 [T,B]. Mean loss in nats, penalty, and the next state."""
        y, x, next_state = self.activations(inputs, state, masks)
        loss = self.decoder_loss(linear_cross_entropy, x, targets)
        return loss, penalty(self.network.config, x, y), next_state

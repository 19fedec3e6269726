"""What training minimises, as one module: the network, the decoder's loss and the penalty of a window.

Its forward pass uses every parameter, so every backward pass gives each a gradient. That is what torch's
DistributedDataParallel asks of the module that it wraps (it reduces gradients as they arrive, and waits for all), and a
loss outside of the module that it wraps would use the decoder behind its back.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from lstm_torch.decoder_loss import linear_cross_entropy
from lstm_torch.network import Activations, LSTMNetwork, TorchState
from lstm_torch.regularizers import penalty


class Objective(nn.Module):
    """bf16: the network under autocast and the decoder's products from bf16 factors; loss and penalty are float32."""

    def __init__(self, network: LSTMNetwork, bf16: bool):
        super().__init__()
        self.network = network
        self.bf16 = bf16

    def autocast(self) -> AbstractContextManager:
        device = self.network.decoder.weight.device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.bf16)

    def activations(self, inputs: Tensor, state: TorchState, masks: Mapping[str, Tensor]) -> Activations:
        """x and the state in the parameters' dtype; the state is detached."""
        with self.autocast():
            y, x, next_state = self.network(inputs, state, masks)
        dtype = self.network.decoder.weight.dtype
        return Activations(y, x.to(dtype), [(h.detach().to(dtype), c.detach().to(dtype)) for h, c in next_state])

    def decoded(self, x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the decoder's loss depends on."""
        decoder = self.network.decoder
        return x.flatten(0, 1), decoder.weight, decoder.bias, targets.flatten()

    def forward(
        self, inputs: Tensor, targets: Tensor, state: TorchState, masks: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, TorchState]:
        """inputs, targets: int64 [T,B]. Mean loss in nats, penalty, and the next state."""
        y, x, next_state = self.activations(inputs, state, masks)
        loss = linear_cross_entropy(*self.decoded(x, targets), bf16=self.bf16)
        return loss, penalty(self.network.config, x, y), next_state

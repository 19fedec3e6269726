"""The random numbers of lstm_ref.core.draws, made on any device and equal to the last bit: Philox-4x32-10 with

    counter = (block, 0, step, stream),   key = seed

The step is an array on the device, so that a CUDA graph which was captured once draws new masks at every replay.

Two forms. In torch's int64 a 32-bit word is a number of 0..2^32-1, and a product of two wraps around at 64 bits:
its low word is right, and of the shifted product the sign's copies are cut off. On CUDA keep masks take a Triton
kernel instead (lstm_torch/philox_kernel.py), which stores nothing but the mask; without Triton, the int64 form.

Proved by parity_tests/test_torch_draws.py.
"""

import functools
import importlib.util
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import M0, M1, ROUNDS, W0, W1, stream_number
from lstm_ref.core.masks import dropout_rates, mask_shapes

LOW = 0xFFFFFFFF  # the low 32 bits


def philox(block: Tensor | int, step: Tensor, stream: int, seed: int) -> tuple[Tensor, ...]:
    """The four words, int64 of 0..2^32-1, of counter (block, 0, step, stream). block and step: int64, broadcast."""
    shape = torch.broadcast_shapes(block.shape, step.shape) if isinstance(block, Tensor) else step.shape
    c0 = (torch.zeros_like(step) + block).expand(shape)
    c1, c2, c3 = torch.zeros_like(c0), step.expand(shape), torch.full_like(c0, stream)
    k0, k1 = seed & LOW, seed >> 32
    for _ in range(ROUNDS):
        product0, product1 = c0 * int(M0), c2 * int(M1)
        c0, c1, c2, c3 = _high(product1) ^ c1 ^ k0, product1 & LOW, _high(product0) ^ c3 ^ k1, product0 & LOW
        k0, k1 = (k0 + int(W0)) & LOW, (k1 + int(W1)) & LOW
    return c0, c1, c2, c3


def _high(product: Tensor) -> Tensor:
    return (product >> 32) & LOW


@dataclass(frozen=True, slots=True)
class DeviceDraws:
    """lstm_ref.core.draws.Draws where `step` lies. step: int64 []."""

    seed: int
    step: Tensor

    def words(self, stream: str, n: int) -> Tensor:
        """int64 [n] of 0..2^32-1, in planar layout."""
        block = torch.arange(-(-n // 4), device=self.step.device)
        return torch.cat(philox(block, self.step, stream_number(stream), self.seed))[:n]

    def keep_mask(self, stream: str, shape: tuple[int, ...], drop_probability: float) -> Tensor:
        """bool: True where a value is kept."""
        n, threshold = math.prod(shape), math.ceil(drop_probability * 2**24)
        if self.step.is_cuda and _has_triton():
            from lstm_torch.philox_kernel import keep_mask

            return keep_mask(self.step, n, threshold, stream_number(stream), self.seed).view(shape)
        return ((self.words(stream, n) >> 8) >= threshold).view(shape)


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def uniform_of_steps(seed: int, stream: str, steps: Tensor) -> Tensor:
    """float64 of steps' shape: for each step what Draws(seed, step).one_each_step(stream) begins with. steps: int64."""
    high, low, _, _ = philox(0, steps, stream_number(stream), seed)
    return ((high >> 5).double() * 2.0**26 + (low >> 6).double()) * 2.0**-53


def device_masks(config: LanguageModelConfig, draws: DeviceDraws, T: int, B: int) -> dict[str, Tensor]:
    """lstm_ref.core.masks.dropout_masks, on the device."""
    shapes = mask_shapes(config, T, B)
    return {
        where: draws.keep_mask(f"dropout/{where}", shapes[where], rate) for where, rate in dropout_rates(config).items()
    }

"""The decoder with its cross-entropy, forward and gradient in one pass over blocks of rows: the logits of all rows
never stand in memory.

    z = x W^T + b                                                       (1)
    loss = -1/N sum_n logp_n[target_n],   logp = log softmax(z)         (2)  nats
    dz = exp(logp) - onehot(target)                                     (3)  N times the derivative
    dx = dz W / N,   dW = dz^T x / N,   db = sum_n dz_n / N             (4)

Shapes: x, dx [N,H]; W, dW [V,H]; b, db [V]; a block of z, logp or dz [n,V]; targets int64 [N].

At N = 1,400 and V = 33,278 z is 186 MB in float32, and autograd holds two to three of its size. But the gradient needs
nothing that comes after the loss, save one factor: it is computed while a block of z is still there, and scaled later.

With bf16 the products of (1) and (4) have bf16 factors. Sums, softmax and loss are float32 all the same, where
autocast would round the logits.

Tensor cores like rows of 16 bytes, and V = 33,278 gives none of dz. Padded to a multiple of 64, W has rows of zeros
and b has -inf there: those logits are -inf, their dz is exp(-inf) = 0, and the sums are what they were.

Proved by parity_tests/test_decoder_loss.py.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from lstm_torch.products import add_product, as_factor

# Most logits of a block: 34 MB in float32, 252 rows of V = 33,278. A quarter of it costs a fifth to two thirds more
# time; twice as much, up to a sixth in bf16, and the memory.
BLOCK = 1 << 23


def linear_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, bf16: bool = False, multiple: int = 1
) -> Tensor:
    """(2), of arrays of one dtype (float32 if bf16), V padded to a multiple. Its backward pass runs once."""
    return _LinearCrossEntropy.apply(x, weight, bias, targets, bf16, multiple)


@torch.no_grad()
def summed_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, bf16: bool = False, multiple: int = 1
) -> Tensor:
    """N times (2), float64."""
    total = x.new_zeros((), dtype=torch.float64)
    weight_factor, bias = _decoder(weight, bias, bf16, multiple)
    for rows, logp in _log_probabilities(as_factor(x, bf16), weight_factor, bias, bf16):
        total -= logp.gather(1, targets[rows, None]).sum(dtype=torch.float64)
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, targets, bf16, multiple):
        V = len(weight)
        weight_factor, bias = _decoder(weight, bias, bf16, multiple)
        dx, dweight, dbias = torch.empty_like(x), weight.new_empty(weight_factor.shape), torch.zeros_like(bias)
        total, x_factor = x.new_zeros((), dtype=torch.float64), as_factor(x, bf16)
        for rows, logp in _log_probabilities(x_factor, weight_factor, bias, bf16):
            target = targets[rows, None]
            total -= logp.gather(1, target).sum(dtype=torch.float64)  # (2)
            dz = logp.exp_()
            dz.scatter_(1, target, dz.gather(1, target) - 1)  # (3)
            dbias += dz.sum(0)  # (4)
            dz = as_factor(dz, bf16)
            add_product(dx[rows], dz, weight_factor, bf16=bf16, beta=0)
            add_product(dweight, dz.T, x_factor[rows], bf16=bf16, beta=int(rows.start > 0))
        ctx.unscaled = dx, dweight[:V], dbias[:V]
        return (total / len(x)).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dloss):
        unscaled, ctx.unscaled = ctx.unscaled, None  # scaled in place, so never twice
        scale = dloss / len(unscaled[0])
        return *(gradient.mul_(scale) for gradient in unscaled), None, None, None


def _decoder(weight: Tensor, bias: Tensor, bf16: bool, multiple: int) -> tuple[Tensor, Tensor]:
    """W as a factor and b, of the padded V."""
    more = -len(weight) % multiple
    if not more:
        return as_factor(weight, bf16), bias
    return F.pad(as_factor(weight, bf16), (0, 0, 0, more)), F.pad(bias, (0, more), value=-torch.inf)


def _log_probabilities(x: Tensor, weight: Tensor, bias: Tensor, bf16: bool) -> Iterator[tuple[slice, Tensor]]:
    """logp of (2) for one block of rows after the other, each in the memory of the one before."""
    N, V = len(x), len(weight)
    n = max(1, min(N, BLOCK // V))
    block = bias.new_empty(n, V)
    for start in range(0, N, n):
        rows = slice(start, min(start + n, N))
        z = block[: rows.stop - start]
        add_product(z, x[rows], weight.T, bf16=bf16, beta=0)
        z += bias
        yield rows, torch.log_softmax(z, 1, out=z)

r"""One LSTM layer on a window, in a dtype and in sizes chosen on purpose: what `torch.lstm` is handed, and what of its
answer counts.

Padding is exact. A padded unit's weights and biases are 0, in its own rows and in the columns that read it, and so are
its h and c when the window begins:

    c' = sigmoid(0) c + sigmoid(0) tanh(0) = c / 2 = 0,   h' = sigmoid(0) tanh(0) = 0                        (1)

at every step, so it adds 0 to every product that reads it. A padded input is 0 and meets a column of zeros. A padded
row of the batch meets no other row, and its gradient is 0 because nothing reads its output. What is cut off again has
a gradient, and it is cut off too.

cuDNN has a persistent kernel, which keeps W_hh in registers from step to step and which PyTorch takes for float16, one
layer and one direction a call, H <= 1024, H and I divisible by 128, B <= 128 and divisible by 8 (`get_algo` in its
RNN.cpp). `padded_sizes` goes there where it can; elsewhere to multiples of 8, of which tensor cores like rows.

Weights: cuDNN takes a layer's as one piece of memory, W_ih, W_hh, b_ih, b_hh, from the beginning of its storage; else
torch copies them there in every call, and warns. Padding, rounding and joining are one copy of each here. The
parameters stay what they are, true in shape and dtype, and get their gradients through that copy: a second set of
padded weights would have to be made anew after every update, load and exchange, and costs the same copy.

float16 reaches from 6e-8 to 65,504: values of an LSTM fit, but the gradients of a mean over 10,000 tokens do not. They
are multiplied by S = 1,024 where they enter float16 and divided by it where they leave, exactly; an element of the
weights' gradient then has to stay below 64.

Proved by parity_tests/test_torch_recurrence.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

GRADIENT_SCALE = {torch.float16: 1024.0}  # S; 1 elsewhere
PERSISTENT_MULTIPLE, PERSISTENT_H, PERSISTENT_B = 128, 1024, 128
MULTIPLE = 8


class Sizes(NamedTuple):
    B: int
    I: int
    H: int


@dataclass(frozen=True, slots=True)
class Recurrence:
    """dtype: of the layers' products, activations and states. padding: whether sizes may grow."""

    dtype: torch.dtype
    padding: bool

    @property
    def gradient_scale(self) -> float:
        return GRADIENT_SCALE.get(self.dtype, 1.0)

    def sizes(self, B: int, I: int, H: int) -> Sizes:
        return padded_sizes(self.dtype, B, I, H) if self.padding else Sizes(B, I, H)


def up(size: int, multiple: int) -> int:
    """The smallest multiple that is not below."""
    return -(-size // multiple) * multiple


def is_persistent(dtype: torch.dtype, sizes: Sizes) -> bool:
    """Whether PyTorch takes cuDNN's persistent kernel, on a device of compute capability 8 or 9 with 98 or more
    multiprocessors."""
    B, I, H = sizes
    wide = H <= PERSISTENT_H and H % PERSISTENT_MULTIPLE == I % PERSISTENT_MULTIPLE == 0
    return dtype == torch.float16 and wide and B <= PERSISTENT_B and B % 8 == 0


def padded_sizes(dtype: torch.dtype, B: int, I: int, H: int) -> Sizes:
    """Those of the persistent kernel where growing reaches it, else I and H in multiples of 8."""
    for_it = Sizes(up(B, 8), up(I, PERSISTENT_MULTIPLE), up(H, PERSISTENT_MULTIPLE))
    return for_it if is_persistent(dtype, for_it) else Sizes(B, up(I, MULTIPLE), up(H, MULTIPLE))


def lstm_layer(
    x: Tensor, pair: tuple[Tensor, Tensor], weights: Sequence[Tensor], kind: Recurrence
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """x [T,B,I], h and c [B,H], weights W_ih [4H,I], W_hh [4H,H], b_ih, b_hh [4H], each of any float dtype.

    Returns y [T,B,H], h, c [B,H] in kind.dtype. The gradient of y is taken, and that of an x in kind.dtype given, times
    S: see `enter` and `leave`. The state gets no gradient.
    """
    (_, B, I), H = x.shape, pair[0].shape[1]
    sizes = kind.sizes(B, I, H)
    h, c = (padded(array.to(kind.dtype), sizes.B, sizes.H)[None] for array in pair)
    pieces = _OnePiece.apply(*weights, sizes, kind)
    y, h, c = torch.lstm(padded(enter(x, kind), sizes.B, sizes.I), (h, c), pieces, True, 1, 0.0, True, False, False)
    return y[:, :B, :H], (h[0, :B, :H], c[0, :B, :H])


def padded(x: Tensor, B: int, N: int) -> Tensor:
    """x [...,b,n] -> [...,B,N], what is new is 0; in one piece."""
    b, n = x.shape[-2:]
    return x.contiguous() if (b, n) == (B, N) else F.pad(x, (0, N - n, 0, B - b))


def enter(x: Tensor, kind: Recurrence) -> Tensor:
    """x in kind.dtype; its gradient, which comes times S, leaves without."""
    return x if x.dtype == kind.dtype else _Cast.apply(x, kind.dtype, 1 / kind.gradient_scale)


def leave(x: Tensor, dtype: torch.dtype, kind: Recurrence) -> Tensor:
    """x in `dtype`; its gradient goes on times S."""
    return x if x.dtype == dtype else _Cast.apply(x, dtype, kind.gradient_scale)


class _Cast(torch.autograd.Function):
    """x in another dtype; its gradient times a factor, in the wider dtype of the two."""

    @staticmethod
    def forward(ctx, x, dtype, factor):
        ctx.dtype, ctx.wider, ctx.factor = x.dtype, torch.promote_types(x.dtype, dtype), factor
        return x.to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dx):
        return (dx.to(ctx.wider) * ctx.factor).to(ctx.dtype), None, None


class _OnePiece(torch.autograd.Function):
    """W_ih, W_hh, b_ih, b_hh, padded gate by gate, as views of one array in kind.dtype."""

    @staticmethod
    def forward(ctx, weight_ih, weight_hh, bias_ih, bias_hh, sizes, kind):
        weights, (_, I, H) = (weight_ih, weight_hh, bias_ih, bias_hh), sizes
        shapes = (4, H, I), (4, H, H), (4, H), (4, H)
        ctx.inner = [_inner(weight) for weight in weights]
        ctx.shapes, ctx.dtype, ctx.factor = shapes, weight_ih.dtype, 1 / kind.gradient_scale
        lengths = [torch.Size(shape).numel() for shape in shapes]
        one_piece = weight_ih.new_zeros(sum(lengths), dtype=kind.dtype)
        pieces = [piece.view(shape) for piece, shape in zip(one_piece.split(lengths), shapes)]
        for piece, inner, weight in zip(pieces, ctx.inner, weights):
            piece[_where(inner)].copy_(weight.view(inner))
        return tuple(piece.flatten(0, 1) for piece in pieces)

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        cut = [
            (gradient.view(shape)[_where(inner)].to(ctx.dtype) * ctx.factor).reshape(-1, *inner[2:])
            for gradient, shape, inner in zip(gradients, ctx.shapes, ctx.inner)
        ]
        return *cut, None, None


def _inner(weight: Tensor) -> tuple[int, ...]:
    """The true shape by gates: [4,H,I], [4,H,H] or [4,H]."""
    return 4, weight.shape[0] // 4, *weight.shape[1:]


def _where(inner: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(size) for size in inner)

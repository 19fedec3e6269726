"""Clipping by the global norm, as torch.nn.utils.clip_grad_norm_ does it, but for the norm, which is right to float32's
last digits also where a gradient has millions of entries.

On the CPU torch.linalg.vector_norm adds up squares in 64 running sums at most. A running sum of 200,000 squares is too
large for the next one to count in full: of the 13 million entries of AWD-LSTM's embedding the norm comes out 5e-4 too
small in float32, and 2e-13 in float64, the clipped step that much too long, and after two steps at lr 30 the loss
differs in the third digit. Norms of PIECE entries take half the time. The norm of these norms is in float64: 2e-7 too
small in float32, where a few words have nearly all of the gradient. So is the factor, which is rounded once.

Proved by parity_tests/test_torch_clip.py.
"""

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.utils import get_total_norm

PIECE = 4096


def global_norm(gradients: list[Tensor]) -> Tensor:
    """[], float64 on the CPU; CUDA's own form adds up in a tree, in the gradients' dtype. Nothing waits for it."""
    if gradients[0].is_cuda:
        return get_total_norm(gradients)
    pieces = torch.cat([part for gradient in gradients for part in _norms_of_pieces(gradient.reshape(-1))])
    return vector_norm(pieces, dtype=torch.float64)


def clip_global_norm(gradients: list[Tensor], max_norm: float | Tensor) -> Tensor:
    """Scales the gradients in place. Returns their norm before that."""
    norm = global_norm(gradients)
    factor = (max_norm * (norm + 1e-6).reciprocal()).clamp(max=1.0)
    torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))
    return norm


def _norms_of_pieces(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [N]. Of whole pieces, and of what is left."""
    count = len(x) // PIECE
    border = count * PIECE
    return vector_norm(x[:border].view(count, PIECE), dim=1), vector_norm(x[border:])[None]

"""Keep masks by a Triton kernel: Philox-4x32-10 in 32-bit words, of which nothing reaches memory but the comparison.

A program makes BLOCK counters, and each counter four values of the mask: in planar layout value w*blocks + i is word w
of counter i, so that every store is of neighbours.

The only module that imports Triton, and itself imported on CUDA only.

Proved by parity_tests/test_torch_draws.py.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # counters a program


@triton.jit(do_not_specialize=["threshold", "stream", "key0", "key1"])
def _keep_mask(out, step, n, blocks, threshold, stream, key0, key1, BLOCK: tl.constexpr):
    """out: uint8 [n]; step: int64 []; the others are numbers, and 32-bit words where the names say so."""
    M0: tl.constexpr = 0xD2511F53
    M1: tl.constexpr = 0xCD9E8D57
    W0: tl.constexpr = 0x9E3779B9
    W1: tl.constexpr = 0xBB67AE85
    block = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    zero = tl.zeros([BLOCK], dtype=tl.uint32)
    c0, c1 = block.to(tl.uint32), zero
    c2, c3 = zero + tl.load(step).to(tl.uint32), zero + stream.to(tl.uint32)
    k0, k1 = zero + key0.to(tl.uint32), zero + key1.to(tl.uint32)
    m0, m1 = zero + M0, zero + M1
    for _ in tl.static_range(10):
        high0, low0 = tl.umulhi(c0, m0), c0 * m0
        high1, low1 = tl.umulhi(c2, m1), c2 * m1
        c0 = high1 ^ c1 ^ k0
        c1 = low1
        c2 = high0 ^ c3 ^ k1
        c3 = low0
        k0 = k0 + W0
        k1 = k1 + W1
    least = zero + threshold.to(tl.uint32)
    inside = block < blocks
    tl.store(out + block, ((c0 >> 8) >= least).to(tl.uint8), mask=inside & (block < n))
    tl.store(out + blocks + block, ((c1 >> 8) >= least).to(tl.uint8), mask=inside & (blocks + block < n))
    tl.store(out + 2 * blocks + block, ((c2 >> 8) >= least).to(tl.uint8), mask=inside & (2 * blocks + block < n))
    tl.store(out + 3 * blocks + block, ((c3 >> 8) >= least).to(tl.uint8), mask=inside & (3 * blocks + block < n))


def keep_mask(step: Tensor, n: int, threshold: int, stream: int, seed: int) -> Tensor:
    """bool [n], n < 2^31: where the word's top 24 bits reach the threshold. step: int64 [] on CUDA."""
    out = torch.empty(n, dtype=torch.uint8, device=step.device)
    blocks = -(-n // 4)
    grid = (-(-blocks // BLOCK),)
    _keep_mask[grid](out, step, n, blocks, threshold, stream, seed & 0xFFFFFFFF, seed >> 32, BLOCK=BLOCK)
    return out.view(torch.bool)

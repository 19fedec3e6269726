"""Matrix products of float32 sums and, where bf16 is asked for, factors rounded to bf16: what tensor cores and AMX
compute. torch's own product of bf16 arrays rounds the sums to bf16 as well.

CUDA takes bf16 arrays and the dtype of the sums. The CPU has no such product, but oneDNN rounds a float32 product's
factors itself where it may and the processor has AMX; elsewhere, AVX-512 with bf16 included, it stays with float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def as_factor(x: Tensor, bf16: bool) -> Tensor:
    """x as `add_product` takes it."""
    return x.bfloat16() if bf16 and x.is_cuda else x


def add_product(out: Tensor, a: Tensor, b: Tensor, *, bf16: bool, beta: int = 1) -> None:
    """out = beta out + a b. Where beta is 0, what stands in `out` does not count."""
    if a.dtype == out.dtype:
        with _rounded_by_onednn(bf16):
            torch.addmm(out, a, b, beta=beta, out=out)
    else:
        torch.addmm(out, a, b, out.dtype, beta=beta, out=out)


@contextmanager
def _rounded_by_onednn(bf16: bool) -> Iterator[None]:
    """The switch is global, so it is back before anything else is computed."""
    if not bf16:
        yield
        return
    switch = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = switch.fp32_precision
    switch.fp32_precision = "bf16"
    try:
        yield
    finally:
        switch.fp32_precision = before

"""What this device can do at most, measured: matrix products by precision, and copying. Floors are in these units.

On random numbers: products of zeros run faster. A copy of n bytes reads n and writes n.
"""

import torch
from torch import Tensor

from benchmarks.gpu.device import AUTOCAST, Device, Precision
from benchmarks.gpu.proof import Proof, prove, tolerance
from benchmarks.gpu.row import Contender, Row

COPY = "device copy"
PRECISIONS: tuple[Precision, ...] = ("bf16", "fp16", "tf32", "float32")


def product_name(precision: str) -> str:
    return f"GEMM {precision}"


class Product:
    """c = a b, [n,n] each."""

    CHECKED = 64  # rows of c

    def __init__(self, device: Device, seed: int, n: int, precision: Precision):
        if precision in ("fp16", "tf32"):
            device.require_cuda(precision)
        generator = torch.Generator(device.name).manual_seed(seed)
        self._device, self._precision = device, precision
        dtype = AUTOCAST.get(precision, torch.float32)
        self._a, self._b = (device.random(generator, n, n).to(dtype) for _ in "ab")
        self._c = torch.full_like(self._a, float("nan"))  # what is not written shows

    def run(self) -> None:
        self._device.set_precision(self._precision)
        torch.mm(self._a, self._b, out=self._c)

    def prove(self) -> Proof:
        self.run()
        part, n = slice(0, None, max(1, len(self._a) // self.CHECKED)), len(self._a)
        truth = self._a[part].double() @ self._b.double()
        return prove({"c": self._c[part]}, {"c": truth}, tolerance(self._precision, 1, n))


class Copy:
    def __init__(self, device: Device, seed: int, numbers: int):
        generator = torch.Generator(device.name).manual_seed(seed)
        self._from: Tensor = device.random(generator, numbers)
        self._to = torch.full_like(self._from, float("nan"))

    def run(self) -> None:
        self._to.copy_(self._from)

    def prove(self) -> Proof:
        self.run()
        return prove({"copy": self._to[:4096]}, {"copy": self._from[:4096].double()}, 0.0)


def row(device: Device, seed: int) -> Row:
    n, numbers = (8192, 1 << 30) if device.is_cuda else (96, 4096)
    contenders = {
        product_name(precision): Contender(
            build=lambda precision=precision: Product(device, seed, n, precision), precision=precision
        )
        for precision in PRECISIONS
    }
    contenders[COPY] = Contender(build=lambda: Copy(device, seed, numbers))
    return Row(
        id="ceilings",
        title=f"{n}x{n}x{n} products, and a copy of {4 * numbers / 1e9:.3g} GB",
        unit="call",
        contenders=contenders,
        baseline=product_name("float32"),
        goals="",
        flops=2.0 * n**3,
        bytes=8.0 * numbers,
    )

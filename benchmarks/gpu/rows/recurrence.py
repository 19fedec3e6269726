"""G2, the recurrence alone: one layer, B=16, T=1024, H=768, as FlashRNN's authors time it; forward, and forward with
all gradients.
"""

import torch
from torch import Tensor

from benchmarks.gpu import float64
from benchmarks.gpu.device import AUTOCAST, Device, Precision, captured
from benchmarks.gpu.floors import recurrence_bytes, recurrence_flops
from benchmarks.gpu.proof import Proof, prove, tolerance
from benchmarks.gpu.row import Contender, Row
from lstm_torch.recurrence import Recurrence, leave, lstm_layer

KNOWN = "Known, not of this run: cuDNN fp16 2.01 ms forward, 5.19 ms both; FlashRNN bf16 4.87, 13.61 ms on an H100."
DY_SIZE = 0.01  # of a gradient that fp16 holds without a scale


class Layer:
    """A Runner: what all have in common. Arrays in `dtype`; `_once` leaves y [T,B,H], h and c [B,H] in `_found` and,
    with backward, the gradients on `_x` and `_weights`."""

    def __init__(
        self,
        device: Device,
        seed: int,
        shape: tuple[int, int, int],
        precision: Precision,
        *,
        dtype: torch.dtype,
        backward: bool,
        graph: bool,
    ):
        if graph:
            device.require_cuda("a CUDA graph")
        if precision in ("tf32", "fp16"):
            device.require_cuda(precision)
        T, B, H = shape
        self._device, self._precision, self._backward = device, precision, backward
        generator = torch.Generator(device.name).manual_seed(seed)
        sizes = {"weight_ih": (4 * H, H), "weight_hh": (4 * H, H), "bias_ih": (4 * H,), "bias_hh": (4 * H,)}
        flat = torch.rand(sum(map(_product, sizes.values())), generator=generator, device=device.name)
        flat = ((2 * flat - 1) * H**-0.5).to(dtype)  # in one piece, as cuDNN takes them
        pieces = flat.split([_product(size) for size in sizes.values()])
        self._weights = {
            name: piece.view(size).detach().requires_grad_(backward)
            for piece, (name, size) in zip(pieces, sizes.items())
        }
        self._x = device.random(generator, T, B, H).to(dtype).requires_grad_(backward)
        self._h, self._c = (device.random(generator, B, H, scale=0.3).to(dtype) for _ in "hc")
        self._dy = device.random(generator, T, B, H, scale=DY_SIZE).to(dtype)
        self._found: dict[str, Tensor] = {}
        self._set_precision()
        self._turn = captured(self._once) if graph else self._once

    def _set_precision(self) -> None:
        self._device.set_precision(self._precision)

    def _once(self) -> None:
        for tensor in (self._x, *self._weights.values()):
            tensor.grad = None
        with torch.set_grad_enabled(self._backward):
            y, h, c = self._layer()
            if self._backward:
                y.backward(self._dy)
        self._found = {"y": y.detach(), "h": h.detach(), "c": c.detach()}

    def _layer(self) -> tuple[Tensor, Tensor, Tensor]:
        weights = list(self._weights.values())
        y, h, c = torch.lstm(self._x, (self._h[None], self._c[None]), weights, True, 1, 0.0, True, False, False)
        return y, h[0], c[0]

    def run(self) -> None:
        self._set_precision()
        self._turn()

    def prove(self) -> Proof:
        self.run()
        T, _, H = self._x.shape
        x, *weights = (tensor.detach().double().requires_grad_() for tensor in (self._x, *self._weights.values()))
        y, h, c = float64.lstm(x, self._h.double(), self._c.double(), tuple(weights))
        truth, arrived = {"y": y.detach(), "h": h.detach(), "c": c.detach()}, dict(self._found)
        if self._backward:
            y.backward(self._dy.double())
            names = ("dx", *(f"d{name}" for name in self._weights))
            truth |= dict(zip(names, (tensor.grad for tensor in (x, *weights))))
            arrived |= dict(zip(names, (tensor.grad for tensor in (self._x, *self._weights.values()))))
        return prove(arrived, truth, tolerance(self._precision, T, H))


class OurLayer(Layer):
    """lstm_torch's layer on float32 arrays: what it rounds, scales and joins is in its time."""

    def _set_precision(self) -> None:
        self._device.set_precision("float32")

    def _layer(self) -> tuple[Tensor, Tensor, Tensor]:
        kind = Recurrence(AUTOCAST[self._precision], padding=True)
        y, (h, c) = lstm_layer(self._x, (self._h, self._c), list(self._weights.values()), kind)
        return leave(y, torch.float32, kind), h, c


def _product(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


def _row(device: Device, seed: int, *, backward: bool) -> Row:
    shape = T, B, H = (1024, 16, 768) if device.is_cuda else (6, 2, 8)
    contenders = {}
    for kind, precisions in ((Layer, ("fp16", "bf16", "tf32", "float32")), (OurLayer, ("fp16", "bf16"))):
        for precision in precisions:
            for graph in (False, True):
                name = f"{'torch.lstm' if kind is Layer else 'ours'} {precision}{', graph' if graph else ''}"
                dtype = AUTOCAST.get(precision, torch.float32) if kind is Layer else torch.float32
                contenders[name] = Contender(
                    build=lambda k=kind, p=precision, d=dtype, g=graph: k(
                        device, seed, shape, p, dtype=d, backward=backward, graph=g
                    ),
                    precision=precision,
                    peer=kind is Layer,
                )
    return Row(
        id="G2-both" if backward else "G2-forward",
        title=f"recurrence B={B} T={T} H={H}, {'forward and all gradients' if backward else 'forward'}",
        unit="call",
        contenders=contenders,
        baseline="torch.lstm fp16",
        goals="must beat FlashRNN's 13.61 ms; goal 5.2 ms in bf16; moonshot 3.6 ms"
        if backward
        else "must beat FlashRNN's 4.87 ms; goal 2.0 ms in bf16; moonshot 1.4 ms",
        flops=float(recurrence_flops(T, B, H, H, backward)),
        bytes=float(recurrence_bytes(T, B, H, H, backward, size=2)),
        notes=KNOWN,
    )


def forward_row(device: Device, seed: int) -> Row:
    return _row(device, seed, backward=False)


def both_row(device: Device, seed: int) -> Row:
    return _row(device, seed, backward=True)

"""G6, decoder and cross-entropy with all gradients: N=5,600 rows of D=400, V=33,280 words, bf16 factors.

The logits are 373 MB in bf16 and 745 MB in float32, and autograd holds two to three of them; whoever never makes all
of them at a time needs the weight's gradient and little more. Four sets of inputs in turn: one would stay in the cache.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.device import AUTOCAST, Device, Unavailable, captured
from benchmarks.gpu.floors import softmax_bytes, softmax_flops
from benchmarks.gpu.proof import Proof, prove, tolerance
from benchmarks.gpu.row import Contender, Row
from lstm_torch.decoder_loss import linear_cross_entropy

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # x, weight, bias, targets -> [] nats
SETS = 4


def eager(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(x, weight, bias), targets)


def eager_in_float32(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """The logits rounded to x's dtype, then made float32: what autocast does."""
    return F.cross_entropy(F.linear(x, weight, bias).float(), targets)


def built_in(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    if not hasattr(F, "linear_cross_entropy"):
        raise Unavailable(f"torch {torch.__version__} has no F.linear_cross_entropy: it came with 2.13")
    return F.linear_cross_entropy(x, weight, targets, linear_bias=bias)


def ours(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """float32 arrays, factors rounded inside."""
    return linear_cross_entropy(x, weight, bias, targets, bf16=True)


class Softmax:
    """A Runner: loss and gradients of one set of inputs after the other."""

    def __init__(
        self, device: Device, seed: int, shape: tuple[int, int, int], loss: Loss, dtype: torch.dtype, *, graph: bool
    ):
        N, D, V = shape
        if graph:
            device.require_cuda("a CUDA graph")
        device.set_precision("float32")
        self._device, self._shape, self._loss, self._next = device, shape, loss, 0
        self._sets, self._found = [], []
        for n in range(SETS):
            generator = torch.Generator(device.name).manual_seed(seed + n)
            x, weight, bias = (
                device.random(generator, *size, scale=scale).to(dtype).requires_grad_()
                for size, scale in (((N, D), 0.5), ((V, D), 0.1), ((V,), 0.1))
            )
            targets = torch.randint(V, (N,), generator=generator, device=device.name)
            self._sets.append((x, weight, bias, targets))
            self._found.append(torch.full((), float("nan"), device=device.name))
        self._turns = [lambda n=n: self._turn(n) for n in range(SETS)]
        if graph:
            pool = torch.cuda.graph_pool_handle()
            self._turns = [captured(turn, pool) for turn in self._turns]

    def _turn(self, n: int) -> None:
        for inputs in self._sets:  # of the others too: a call's memory is of one set's gradients
            for tensor in inputs:
                tensor.grad = None
        *differentiated, targets = self._sets[n]
        loss = self._loss(*differentiated, targets)
        loss.backward()
        self._found[n].copy_(loss.detach())

    @property
    def spare_bytes(self) -> int:
        """Of the sets that are there only so that the cache does not keep them."""
        return (SETS - 1) * sum(tensor.nbytes for tensor in self._sets[0])

    def run(self) -> None:
        self._turns[self._next]()
        self._next = (self._next + 1) % SETS

    def prove(self) -> Proof:
        self._turns[-1]()
        *differentiated, targets = self._sets[-1]
        truth = [tensor.detach().double().requires_grad_() for tensor in differentiated]
        loss = eager(*truth, targets)
        loss.backward()
        names = ("dx", "dweight", "dbias")
        arrived = {name: tensor.grad for name, tensor in zip(names, differentiated)}
        expected = {name: tensor.grad for name, tensor in zip(names, truth)}
        _, D, _ = self._shape
        return prove(
            {"loss": self._found[-1], **arrived},
            {"loss": loss.detach(), **expected},
            tolerance("bf16", 1, D),
            f"arrays of {str(differentiated[0].dtype).removeprefix('torch.')}",
        )


def row(device: Device, seed: int) -> Row:
    shape = N, D, V = (5600, 400, 33_280) if device.is_cuda else (12, 6, 17)
    bf16 = AUTOCAST["bf16"]
    ways: dict[str, tuple[Loss, torch.dtype]] = {
        "F.cross_entropy": (eager, bf16),
        "F.cross_entropy, float32 logits": (eager_in_float32, bf16),
        "F.linear_cross_entropy": (built_in, bf16),
        "ours": (ours, torch.float32),
    }
    contenders = {}
    for name, (loss, dtype) in ways.items():
        for graph in (False, True):
            contenders[f"{name}, graph" if graph else name] = Contender(
                build=lambda loss=loss, dtype=dtype, graph=graph: Softmax(
                    device, seed, shape, loss, dtype, graph=graph
                ),
                precision="bf16",
                peer=name != "ours",
            )
    return Row(
        id="G6",
        title=f"linear + cross-entropy with gradients, N={N} D={D} V={V:,}",
        unit="call",
        contenders=contenders,
        baseline="F.cross_entropy",
        goals="must eager's time at a quarter of its memory; goal 1.0 ms; moonshot 0.8 ms in a graph",
        flops=float(softmax_flops(N, D, V)),
        bytes=float(softmax_bytes(N, D, V, size=2)),
        notes=f"{SETS} sets of inputs in turn; the peak is with one of them.",
    )

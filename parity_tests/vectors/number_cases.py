"""The questions about loss, clipping, optimizers, batches, evaluation and sampling."""

from collections.abc import Iterator

import numpy as np

from parity_tests.suite.question import Question
from parity_tests.vectors.grid import Case, Grid


def loss_cases() -> Iterator[Case]:
    def loss(logits, targets) -> Question:
        return Question("loss", {"logits": np.array(logits, np.float64), "targets": np.array(targets, np.int64)})

    yield Case("loss", "Three tokens, five symbols: the mean, in nats.", loss(8 * Grid(41)(3, 5), [4, 0, 2]))
    huge = [[1000, 1003, 998], [-1001, -1004, -999], [1500, -1500, 1498]]
    yield Case(
        "loss_huge_logits",
        "exp overflows without the shift by the maximum, and the last target's probability"
        " is no float: the loss is finite.",
        loss(huge, [2, 0, 1]),
    )
    yield Case("loss_one_token", "N = 1.", loss(8 * Grid(42)(1, 4), [1]))


def clip_cases() -> Iterator[Case]:
    def clip(seed: int, scale: float, max_norm: float) -> Question:
        grid = Grid(seed)
        arrays = {"weight_hh_l0": scale * grid(4, 3), "bias_hh_l0": scale * grid(4)}
        return Question("clip", arrays, {"max_norm": max_norm})

    yield Case("clip_above", "The norm of both together is above max_norm: both shrink alike.", clip(43, 1.0, 0.75))
    yield Case("clip_below", "The norm is below max_norm: nothing changes.", clip(44, 1.0, 5.0))
    yield Case("clip_tiny", "A norm near 1e-6, the constant in torch's factor.", clip(45, 2.0**-20, 2.0**-21))
    yield Case("clip_zero", "All gradients are zero, and stay so.", clip(46, 0.0, 0.75))


def optimizer_cases() -> Iterator[Case]:
    def updates(op: str, seed: int, zero: tuple[tuple[int, int], ...] = (), **settings: float) -> Question:
        grid = Grid(seed)
        p, g = grid(4), grid(3, 4)
        g[:, 3] *= 2.0**-24
        for k, n in zero:
            g[k, n] = 0
        return Question(op, {"p": p, "g": g, "lr": np.array([0.125, 0.0625, 0.25])}, settings)

    yield Case(
        "adam",
        "Three updates, lr changes; the last gradient is as small as eps, which stands outside the root.",
        updates("adam", 47, beta1=0.9, beta2=0.999, eps=1e-8),
    )
    zero = ((0, 0), (1, 0), (2, 0), (0, 1), (2, 2))
    yield Case(
        "adam_zero_gradient",
        "Always zero: p stays. Zero first: bias correction still counts from the first"
        " update. Zero last: p moves on by its momentum.",
        updates("adam", 48, zero, beta1=0.875, beta2=0.96875, eps=2.0**-10),
    )
    yield Case("sgd", "Three updates, lr changes.", updates("sgd", 49))


def text_cases() -> Iterator[Case]:
    def batches(tokens: int, batch_size: int, seq_length: int) -> Question:
        return Question("batches", {"ids": np.arange(tokens)}, {"batch_size": batch_size, "seq_length": seq_length})

    yield Case(
        "batches_26",
        "Two rows of twelve, three windows of four; the last targets are 12 and 24: a wrap to the"
        " row's start gives 0 and 12.",
        batches(26, 2, 4),
    )
    yield Case("batches_23", "Four rows of five, one window; ids 21 and 22 are in no input.", batches(23, 4, 5))
    arrays = {"nll": 8 * np.abs(Grid(50)(9)), "tokens": np.array([4, 4, 1])}
    yield Case(
        "evaluate",
        "Windows of 4, 4 and 1 tokens: every token counts once, not every window.",
        Question("evaluate", arrays),
    )


def sampling_cases() -> Iterator[Case]:
    def sample(logits: list[float], u: float, temperature: float = 1.0, top_k=None, top_p=None) -> Question:
        settings = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        return Question("sample", {"logits": np.array(logits), "u": np.array(u)}, settings)

    equal = [0.75] * 4
    yield Case("sample_u_zero", "u = 0 is the likeliest id, not id 0.", sample([0.5, 2.0, -1.0, 1.5], 0.0))
    yield Case(
        "sample_on_border",
        "Four equal logits, u = 1/4 is exactly on the border, and belongs to id 1.",
        sample(equal, 0.25),
    )
    yield Case("sample_u_last", "u just below 1 is the last id.", sample(equal, 1 - 2.0**-53))
    yield Case(
        "sample_ties",
        "Three equal logits and top_k = 2: exactly two are kept, the smaller ids.",
        sample([1.0, 2.5, 2.5, 0.5, 2.5], 0.75, top_k=2),
    )
    yield Case(
        "sample_top_k_1", "top_k = 1 is the likeliest id, whatever u.", sample([0.5, -1.0, 2.0, 1.5], 0.875, top_k=1)
    )
    yield Case(
        "sample_top_p",
        "Temperature comes before top_p: three ids are kept, not two.",
        sample([0.0, 2.0, -1.0, 1.0], 0.875, temperature=2.0, top_p=0.8125),
    )
    yield Case(
        "sample_top_k_top_p",
        "top_p is of what top_k left: two ids are kept, not three.",
        sample([0.0, 2.0, -1.0, 1.0], 0.9375, top_k=3, top_p=0.8984375),
    )

"""Speed of the kernels beside their plain NumPy forms: what / shape / implementation.

In a normal test run (`--benchmark-disable`) each runs once; `pytest benchmarks/test_kernels.py --benchmark-enable`
times them. Either way the two forms agree first.
"""

from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from lstm_ref.core.config import OptimizerConfig
from lstm_ref.core.draws import Draws, fill_words, stream_number, words_plain
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.kernels.adam import adam, adam_plain
from lstm_ref.kernels.clip import clip_global_norm_plain, global_norm
from lstm_ref.kernels.dropout import dropout, dropout_plain
from lstm_ref.kernels.embedding import gather, gather_plain, scatter_add, scatter_add_plain
from lstm_ref.kernels.regularizers import temporal, temporal_backward_plain
from lstm_ref.kernels.sampling import sample_token, sample_token_plain
from lstm_ref.kernels.sgd import sgd, sgd_plain
from lstm_ref.kernels.softmax_loss import softmax_loss_backward, softmax_loss_backward_plain

Call = Callable[[], np.ndarray]
TOLERANCE = 1e-5  # float32 against float32 of another order


def numbers(name: str, *shape: int) -> np.ndarray:
    return Draws(5).uniform(f"benchmark/{name}", shape, np.float32)


def of_adam() -> tuple[str, Call, Call]:
    p, g, m, v = (numbers(name, 512, 256) for name in "pgmv")
    config, own = OptimizerConfig(), (p.copy(), m.copy(), v.copy())

    def fast() -> np.ndarray:
        for array, start in zip(own, (p, m, v)):  # in place, so from the same start every time
            array[...] = start
        adam(own[0], g, own[1], own[2], 2, 0.01, config)
        return own[0]

    return "adam, 512x256", fast, lambda: adam_plain(p, g, m, v, 2, 0.01, config)[0]


def of_sgd() -> tuple[str, Call, Call]:
    p, g, own = numbers("p", 512, 256), numbers("g", 512, 256), np.empty((512, 256), np.float32)
    config = OptimizerConfig(optimizer="sgd", weight_decay=0.1)

    def fast() -> np.ndarray:
        own[...] = p
        sgd(own, g, 0.01, config)
        return own

    return "sgd, 512x256", fast, lambda: sgd_plain(p, g, 0.01, config)


def of_norm() -> tuple[str, Call, Call]:
    grads = {"g": numbers("g", 512, 256)}
    plain = lambda: np.array(clip_global_norm_plain(grads, 5.0)[0])  # noqa: E731
    return "global norm, 512x256", lambda: np.array(global_norm(grads)), plain


def of_dropout() -> tuple[str, Call, Call]:
    x, mask, out = numbers("x", 70, 20 * 128), numbers("mask", 20 * 128) > 0.4, np.empty((70, 20 * 128), np.float32)

    def fast() -> np.ndarray:
        dropout(x, mask, np.float32(1 / 0.6), out)
        return out

    return "dropout, locked, T=70 B=20 H=128", fast, lambda: dropout_plain(x, mask, 0.4)


def of_gather() -> tuple[str, Call, Call]:
    weight, ids = numbers("weight", 1000, 128), (1000 * numbers("ids", 1400)).astype(np.int64)
    out = np.empty((1400, 128), np.float32)

    def fast() -> np.ndarray:
        gather(weight, ids, out)
        return out

    return "gather, V=1000 E=128 N=1400", fast, lambda: gather_plain(weight, ids)


def of_scatter() -> tuple[str, Call, Call]:
    dy, ids = numbers("dy", 1400, 128), (1000 * numbers("ids", 1400)).astype(np.int64)

    def with_kernel(kernel: Callable[..., None]) -> Call:
        dweight = np.empty((1000, 128), np.float32)

        def run() -> np.ndarray:
            dweight[...] = 0
            kernel(dweight, ids, dy)
            return dweight

        return run

    return "scatter add, V=1000 E=128 N=1400", with_kernel(scatter_add), with_kernel(scatter_add_plain)


def of_softmax() -> tuple[str, Call, Call]:
    z, bias, own = 8 * numbers("z", 128, 1000), numbers("bias", 1000), np.empty((128, 1000), np.float32)
    targets, db = np.arange(128), np.zeros(1000)

    def fast() -> np.ndarray:
        own[...] = z  # which the kernel uses up
        softmax_loss_backward(own, bias, targets, 128, db)
        return own

    return "softmax loss and gradient, N=128 V=1000", fast, lambda: softmax_loss_backward_plain(z + bias, targets)


def of_temporal() -> tuple[str, Call, Call]:
    h, dh = numbers("h", 70, 20, 128), np.empty((70, 20, 128), np.float32)

    def fast() -> np.ndarray:
        dh[...] = 0
        temporal(h, 1.0, dh)
        return dh

    return "TAR gradient, T=70 B=20 H=128", fast, lambda: temporal_backward_plain(h, 1.0)


def of_words() -> tuple[str, Call, Call]:
    out = np.empty((4, 1 << 12), np.uint32)

    def fast() -> np.ndarray:
        fill_words(out, *(np.uint64(word) for word in (3, stream_number("benchmark"), 7, 0)))
        return out.reshape(-1)

    return "random words, 16384", fast, lambda: words_plain(7, 3, stream_number("benchmark"), 1 << 14)


def of_choice() -> tuple[str, Call, Call]:
    logits, policy = 8 * numbers("logits", 83), SamplingPolicy(top_k=5, temperature=0.8)
    plain = lambda: np.array(sample_token_plain(logits, policy, 0.7))  # noqa: E731
    return "choice of a token, V=83 top-5", lambda: np.array(sample_token(logits, policy, 0.7)), plain


KERNELS = [of_adam, of_sgd, of_norm, of_dropout, of_gather, of_scatter, of_softmax, of_temporal, of_words, of_choice]


@pytest.mark.parametrize("implementation", ["numba", "numpy"])
@pytest.mark.parametrize("make", KERNELS, ids=lambda make: make.__name__.removeprefix("of_"))
def test_kernel(benchmark: BenchmarkFixture, make: Callable[[], tuple[str, Call, Call]], implementation: str) -> None:
    group, fast, plain = make()
    np.testing.assert_allclose(fast(), plain(), rtol=TOLERANCE, atol=TOLERANCE)  # which compiles it as well
    benchmark.group = group
    benchmark(fast if implementation == "numba" else plain)

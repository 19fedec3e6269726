"""No kernel and no step has become much slower than it was, beside NumPy's own work of a known size. See gate.py.

That the gate can fail is proved with slowdowns of the kinds that it is for.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmarks import gate
from benchmarks.cases import SampleCase, StepCase, characters
from benchmarks.contenders import contenders
from benchmarks.gate import cost_within
from benchmarks.products import products
from benchmarks.small import AWD
from lstm_ref.core.config import OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.environment import processor
from lstm_ref.core.jit import FASTMATH
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.kernels import cell, sequence
from lstm_ref.kernels.adam import _adam_flat, adam
from lstm_ref.kernels.clip import global_norm
from lstm_ref.kernels.dropout import dropout
from lstm_ref.kernels.embedding import scatter_add
from lstm_ref.kernels.product import empty_panels, pack, product, whole_panels
from lstm_ref.kernels.sampling import sample_token
from lstm_ref.kernels.softmax_loss import softmax_loss_backward

MAKER = next((maker for maker in ("Intel", "AMD") if maker in processor()), "")
pytestmark = [
    pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled"),
    pytest.mark.skipif(not MAKER, reason=f"no costs were measured on {processor()}"),
]

N = 1 << 16  # numbers: 256 KiB of float32, so that an array stays in the caches
CHARACTERS = StepCase(config=characters(40, 48, 48), batch_size=16, seq_length=12)
WORDS = replace(AWD, batch_size=16, seq_length=12)
SAMPLE = SampleCase(config=characters(40, 48, 48), length=20)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return Draws(1).uniform("benchmark/numbers", shape, dtype)


# ---- yardsticks: NumPy's own compiled loops and OpenBLAS -------------------------------------------------------------


def elementwise(passes: int, size: int = N) -> gate.Call:
    """`passes` times over `size` float32: a product, a sum, a quotient, a root."""
    a, b, out = numbers(size), 1 + numbers(size), np.empty(size, np.float32)

    def run() -> None:
        for _ in range(passes):
            np.multiply(a, b, out=out)
            np.add(out, a, out=out)
            np.divide(out, b, out=out)
            np.sqrt(out, out=out)

    return run


def of_step(case: StepCase | SampleCase) -> gate.Call:
    """The products of the case, and twenty passes over the gates of its layers, one by one as a step takes them."""
    arrays = [(numbers(p.M, p.K), numbers(p.K, p.N), np.empty((p.M, p.N), np.float32), p.count) for p in products(case)]
    B, T = (case.batch_size, case.seq_length) if isinstance(case, StepCase) else (1, 1)
    passes = [elementwise(5, B * 4 * H) for H in case.config.hidden_sizes]

    def run() -> None:
        for a, b, out, count in arrays:
            for _ in range(count):
                np.dot(a, b, out=out)
        for run_pass in passes:
            for _ in range(T):
                run_pass()

    return run


# ---- what is measured ------------------------------------------------------------------------------------------------


def of_adam() -> gate.Call:
    p, g, m, v = (numbers(N) for _ in range(4))
    return lambda: adam(p, g, m, v, 3, 0.001, OptimizerConfig(), 0.5)


def of_norm() -> gate.Call:
    grads = {"g": numbers(N)}
    return lambda: global_norm(grads)


def of_dropout() -> gate.Call:
    x, mask, out = numbers(16, N // 16), numbers(N // 16) > 0.5, np.empty((16, N // 16), np.float32)
    return lambda: dropout(x, mask, np.float32(2), out)


def of_scatter() -> gate.Call:
    weight, dy = np.zeros((50, 256), np.float32), numbers(N // 256, 256)
    ids = (50 * Draws(2).uniform("benchmark/ids", (N // 256,))).astype(np.int64)
    return lambda: scatter_add(weight, ids, dy)


def of_mask() -> gate.Call:
    draws = Draws(3)
    return lambda: draws.keep_mask("benchmark/mask", (N,), 0.5)


def of_softmax() -> gate.Call:
    z, bias, db = numbers(16, N // 16), numbers(N // 16), np.zeros(N // 16)
    targets, logits = np.arange(16), np.empty_like(z)

    def run() -> None:
        logits[...] = z  # which the kernel uses up
        softmax_loss_backward(logits, bias, targets, 16, db)

    return run


ROWS, K = 32, 256


def of_product() -> gate.Call:
    x, panels = numbers(ROWS, K), empty_panels(K, 4 * K, np.float32)
    out = np.empty((ROWS, whole_panels(4 * K, np.float32)), np.float32)
    pack(numbers(K, 4 * K), panels)
    return lambda: product(x, panels, out)


def of_blas() -> gate.Call:
    x, weight, out = numbers(ROWS, K), numbers(K, 4 * K), np.empty((ROWS, 4 * K), np.float32)
    return lambda: np.dot(x, weight, out=out)


def of_choice() -> gate.Call:
    logits, policy = numbers(83), SamplingPolicy(top_k=5)
    return lambda: [sample_token(logits, policy, 0.3) for _ in range(10)]


def training(name: str, case: StepCase) -> Callable[[], gate.Call]:
    def make() -> gate.Call:
        trainer, windows = contenders(case)[name].build(case), itertools.cycle(case.windows(4))
        return lambda: trainer.step(next(windows))

    return make


def sampling(name: str) -> Callable[[], gate.Call]:
    def make() -> gate.Call:
        sampler = contenders(SAMPLE)[name].build(SAMPLE)
        return lambda: sampler.text(" ", SAMPLE.length - 1, 5, 0)

    return make


ONE_PASS = elementwise(1)
# What is measured, its yardstick, and the most that it may cost: twice what was seen on a processor of that maker (both
# with AVX-512). They differ because the yardsticks do: in a pass there are a quotient and a root for each number.
MEASURED: dict[str, tuple[Callable[[], gate.Call], gate.Call, dict[str, float]]] = {
    "adam": (of_adam, ONE_PASS, {"Intel": 2.0, "AMD": 1.5}),
    "global norm": (of_norm, ONE_PASS, {"Intel": 0.9, "AMD": 1.0}),
    "dropout": (of_dropout, ONE_PASS, {"Intel": 0.35, "AMD": 0.35}),
    "scatter add": (of_scatter, ONE_PASS, {"Intel": 0.3, "AMD": 0.3}),
    "mask": (of_mask, ONE_PASS, {"Intel": 1.3, "AMD": 1.3}),
    "softmax and its gradient": (of_softmax, ONE_PASS, {"Intel": 3.0, "AMD": 2.5}),
    "product of 32 rows": (of_product, of_blas(), {"Intel": 1.5, "AMD": 1.1}),
    "ten choices": (of_choice, ONE_PASS, {"Intel": 0.6, "AMD": 0.7}),
    "NumpyLM, characters": (training("NumpyLM", CHARACTERS), of_step(CHARACTERS), {"Intel": 3.7, "AMD": 2.1}),
    "NumpyLM, words": (training("NumpyLM", WORDS), of_step(WORDS), {"Intel": 3.9, "AMD": 2.4}),
    "NumpyLM, 21 characters": (sampling("NumpyLM"), of_step(SAMPLE), {"Intel": 50.0, "AMD": 52.0}),
    "TorchLM, characters": (training("TorchLM", CHARACTERS), of_step(CHARACTERS), {"Intel": 9.0, "AMD": 5.4}),
    "TorchLM, words": (training("TorchLM", WORDS), of_step(WORDS), {"Intel": 15.0, "AMD": 11.0}),
}


@pytest.mark.parametrize("name", MEASURED)
def test_it_costs_no_more_than_it_should(name: str) -> None:
    make, yardstick, bounds = MEASURED[name]
    bound = bounds[MAKER]
    assert cost_within(bound, make(), yardstick) <= bound


# ---- the gate itself -------------------------------------------------------------------------------------------------


def cost_of_slower(name: str, slower: gate.Call, rounds: int = gate.ROUNDS) -> tuple[float, float]:
    """What it costs, and the bound."""
    _, yardstick, bounds = MEASURED[name]
    slower(), yardstick()
    return gate.Cost(slower, yardstick).measure(rounds), bounds[MAKER]


def test_arithmetic_in_float64_by_accident_is_caught() -> None:
    """Scalars that were not brought into the precision of the arrays."""
    p, g, m, v = (numbers(N) for _ in range(4))
    scalars = [np.float64(x) for x in (0.5, 0, 1, 0.001, 0.9, 0.1, 0.999, 0.001, 1, 1e-8)]
    found, bound = cost_of_slower("adam", lambda: _adam_flat(p, g, m, v, *scalars))
    assert found > bound


def test_a_loop_that_is_not_vectorised_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "LOOP_VECTORIZE", 0)
    monkeypatch.setattr(numba.config, "SLP_VECTORIZE", 0)
    slow = numba.njit(dropout.py_func, fastmath=FASTMATH, error_model="numpy")
    x, mask, out = numbers(16, N // 16), numbers(N // 16) > 0.5, np.empty((16, N // 16), np.float32)
    found, bound = cost_of_slower("dropout", lambda: slow(x, mask, np.float32(2), out))
    assert found > bound


def test_a_plain_python_path_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "steps_forward", sequence.steps_forward.py_func)
    monkeypatch.setattr(sequence, "gates_forward", cell.gates_forward.py_func)
    found, bound = cost_of_slower("NumpyLM, characters", training("NumpyLM", CHARACTERS)(), rounds=2)
    assert found > 10 * bound


def test_a_step_that_does_its_work_twice_over_is_caught() -> None:
    once = training("NumpyLM", CHARACTERS)()

    def thrice() -> None:
        once(), once(), once()

    found, bound = cost_of_slower("NumpyLM, characters", thrice)
    assert found > bound


class _Clock:
    """CPU time of a thread in which calls take what a list says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now = 0.0
        monkeypatch.setattr(gate.time, "thread_time", lambda: self.now)

    def call(self, seconds: Iterator[float]) -> gate.Call:
        def run() -> None:
            self.now += next(seconds)

        return run


def test_one_quiet_round_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock(monkeypatch)
    noisy = itertools.chain([9.0] * 20, [1.0], itertools.repeat(9.0))
    found = cost_within(1.5, clock.call(noisy), clock.call(itertools.repeat(1.0)))
    assert found == pytest.approx(1)


def test_a_noisy_first_attempt_is_repeated_and_what_stays_slow_is_not_believed_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = _Clock(monkeypatch)
    late = itertools.chain([9.0] * (3 * gate.ROUNDS), itertools.repeat(1.0))
    assert cost_within(1.5, clock.call(late), clock.call(itertools.repeat(1.0))) == pytest.approx(1)
    slow = cost_within(1.5, clock.call(itertools.repeat(2.0)), clock.call(itertools.repeat(1.0)))
    assert slow == pytest.approx(2)

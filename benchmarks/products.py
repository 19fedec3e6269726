r"""The matrix products of a case, and so its FLOP: [M,K] x [K,N] has M K N multiplications and as many additions.

A training step, for a layer of I inputs over T steps of B rows (kernels/sequence.py):

    a_t += h_t-1 W_hh^T        [B,H]  x [H,4H]     T times, each after the one before
    dh_t = da_t+1 W_hh         [B,4H] x [4H,H]     T times
    dW_hh = da^T h             [4H,TB] x [TB,H]
    a = x W_ih^T               [TB,I]  x [I,4H]
    dx = da W_ih               [TB,4H] x [4H,I]
    dW_ih = da^T x             [4H,TB] x [TB,I]

and the decoder's three alike. Each weight costs 6 FLOP a token: 2 forward, 4 backward. The last three of a layer of
one-hot input are no products, but rows picked and added up, and are not counted: whoever multiplies by zeros gains
nothing by it. A sampled character costs 2 FLOP a weight, as products of one row.

Elementwise work (gates, softmax, update) is not counted: a step cannot be faster than its products, and the time of
these at the rate that this machine reaches with each shape is the limit that a report compares with.

In hand-counted figures: the character step of 2x512 units, 83 symbols and 12,800 tokens has 244.9 GFLOP, and AWD-LSTM
201 MFLOP a token.
"""

from dataclasses import dataclass

from benchmarks.cases import SampleCase, StepCase


@dataclass(frozen=True, slots=True)
class Product:
    """[M,K] x [K,N], `count` times."""

    M: int
    K: int
    N: int
    count: int = 1

    @property
    def flops(self) -> int:
        """Of all `count`."""
        return 2 * self.M * self.K * self.N * self.count

    def __str__(self) -> str:
        return f"{self.M}x{self.K}x{self.N}"


def products(case: StepCase | SampleCase) -> list[Product]:
    return _of_step(case) if isinstance(case, StepCase) else _of_sample(case)


def flops(case: StepCase | SampleCase) -> int:
    """Of a unit: a step, a character."""
    return sum(product.flops for product in products(case))


def _of_step(case: StepCase) -> list[Product]:
    found: list[Product] = []
    T, B, N = case.seq_length, case.batch_size, case.tokens
    for I, H in _layers(case):
        found += [Product(B, H, 4 * H, T), Product(B, 4 * H, H, T), Product(4 * H, N, H)]
        if I:
            found += _linear(N, I, 4 * H)
    return found + _linear(N, case.config.hidden_sizes[-1], case.config.vocab_size)


def _linear(N: int, I: int, O: int) -> list[Product]:
    """Output, gradient of the input and of the weights [O,I], for N rows."""
    return [Product(N, I, O), Product(N, O, I), Product(O, N, I)]


def _of_sample(case: SampleCase) -> list[Product]:
    found = []
    for I, H in _layers(case):
        found += [Product(1, H, 4 * H)] + ([Product(1, I, 4 * H)] if I else [])
    return [*found, Product(1, case.config.hidden_sizes[-1], case.config.vocab_size)]


def _layers(case: StepCase | SampleCase) -> list[tuple[int, int]]:
    """(I, H) of each; I = 0 for one-hot input."""
    config = case.config
    return list(zip((config.embedding_size, *config.hidden_sizes[:-1]), config.hidden_sizes))

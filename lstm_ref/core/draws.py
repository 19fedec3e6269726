r"""Every random number: Philox-4x32-10 [Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", Sec. 3].

A counter-based generator is a function, not a state: words = philox(counter, key). Here

    key     = seed                                  two 32-bit words, low first
    counter = (block, 0, step, stream)              four 32-bit words

so nothing has to be saved to resume but the step number, and both twins see the same masks and samples, bit by bit.
The step and the stream have counter words of their own: were the step added to the block, neighbouring steps would
overlap. A stream's number is the first 32 bits of its name's SHA-256.

Layout is planar, so that the loop over blocks vectorises: of n words in nb = ceil(n/4) blocks, word i is word i // nb
of block i % nb. Uniform numbers lie in [0, 1): float32 from the top 24 bits of a word, float64 from 53 bits of two.

Philox is the one kernel in `core`: it makes the inputs that both twins share. Numba takes 0.4 ns a word on one thread;
the plain NumPy form below takes 15.
"""

import functools
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lstm_ref.core.jit import jit, jit_inline

ROUNDS = 10
M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)  # multipliers
W0, W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # what the key grows by: golden ratio, sqrt(3) - 1
LOW = np.uint64(0xFFFFFFFF)  # the low 32 bits
_8, _32 = np.uint64(8), np.uint64(32)


def philox_plain(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """counter: uint32 [..., 4]; key: two 32-bit words. Returns uint32 [..., 4]. The definition, in NumPy."""
    c0, c1, c2, c3 = (counter[..., word].astype(np.uint64) for word in range(4))
    k0, k1 = key
    for _ in range(ROUNDS):
        product0, product1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (
            (product1 >> _32) ^ c1 ^ np.uint64(k0),
            product1 & LOW,
            (product0 >> _32) ^ c3 ^ np.uint64(k1),
            product0 & LOW,
        )
        k0, k1 = (k0 + int(W0)) & 0xFFFFFFFF, (k1 + int(W1)) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def words_plain(seed: int, step: int, stream: int, n: int) -> np.ndarray:
    """n words in planar layout, uint32 [n], from the definition."""
    blocks = -(-n // 4)
    counter = np.zeros((blocks, 4), np.uint32)
    counter[:, 0], counter[:, 2], counter[:, 3] = np.arange(blocks, dtype=np.uint32), step, stream
    return philox_plain(counter, (seed & 0xFFFFFFFF, seed >> 32)).T.reshape(-1)[:n].copy()


@jit_inline
def philox_block(block, step, stream, key0, key1):
    """philox_plain for counter (block, 0, step, stream), on scalars: five and four uint64 that hold 32-bit words."""
    c0, c1, c2, c3 = block, np.uint64(0), step, stream
    for _ in range(ROUNDS):
        product0, product1 = M0 * (c0 & LOW), M1 * (c2 & LOW)
        c0, c1, c2, c3 = (product1 >> _32) ^ c1 ^ key0, product1 & LOW, (product0 >> _32) ^ c3 ^ key1, product0 & LOW
        key0, key1 = (key0 + W0) & LOW, (key1 + W1) & LOW
    return c0, c1, c2, c3


@jit
def fill_words(out, step, stream, key0, key1):
    """out: uint32 [4, blocks]. Its rows are 1-D arrays, or the loop does not vectorise."""
    out0, out1, out2, out3 = out[0], out[1], out[2], out[3]
    for block in range(out0.size):
        c0, c1, c2, c3 = philox_block(np.uint64(block), step, stream, key0, key1)
        out0[block] = c0
        out1[block] = c1
        out2[block] = c2
        out3[block] = c3


@jit
def fill_mask(out, threshold, step, stream, key0, key1):
    """out: uint8 [4, blocks]; 1 where the word's top 24 bits reach the threshold. The words are never stored."""
    out0, out1, out2, out3 = out[0], out[1], out[2], out[3]
    for block in range(out0.size):
        c0, c1, c2, c3 = philox_block(np.uint64(block), step, stream, key0, key1)
        out0[block] = (c0 >> _8) >= threshold
        out1[block] = (c1 >> _8) >= threshold
        out2[block] = (c2 >> _8) >= threshold
        out3[block] = (c3 >> _8) >= threshold


def _float64(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """53 bits of two words, in [0, 1)."""
    return ((high >> np.uint32(5)) * 2.0**26 + (low >> np.uint32(6))) * 2.0**-53


@functools.cache
def stream_number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


@dataclass(frozen=True, slots=True)
class Draws:
    """All random numbers of one step of one run. seed: 64 bits; step: 32 bits. Streams are named by the caller:
    `init/<parameter>`, `dropout/<where>`, `article_order`, `window_length`, `sample`."""

    seed: int
    step: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.seed < 1 << 64 and 0 <= self.step < 1 << 32):
            raise ValueError(f"Draws(seed={self.seed}, step={self.step}): seed has 64 bits, step 32, neither a sign")

    def at(self, step: int) -> "Draws":
        return Draws(self.seed, step)

    def _counter(self, stream: str) -> tuple[np.uint64, ...]:
        words = self.step, stream_number(stream), self.seed & 0xFFFFFFFF, self.seed >> 32
        return tuple(np.uint64(word) for word in words)

    def words(self, stream: str, n: int) -> np.ndarray:
        """uint32 [n]."""
        out = np.empty((4, -(-n // 4)), np.uint32)
        fill_words(out, *self._counter(stream))
        return out.reshape(-1)[:n]

    def uniform(self, stream: str, shape: tuple[int, ...], dtype: np.typing.DTypeLike = np.float64) -> np.ndarray:
        """Uniform in [0, 1). A float64 takes two words: number i has word i for its high bits, n + i for its low."""
        n = math.prod(shape)
        if np.dtype(dtype) == np.float32:
            return ((self.words(stream, n) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)).reshape(shape)
        words = self.words(stream, 2 * n)
        return _float64(words[:n], words[n:]).reshape(shape)

    def normal(self, stream: str, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normal, float64: sqrt(-2 ln u) cos(2 pi v) of two uniform numbers [Box & Muller 1958, Eq. 1]."""
        u, v = self.uniform(stream, (2, *shape))
        return np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)  # 1 - u: in (0, 1]

    def one_each_step(self, stream: str) -> Iterator[float]:
        """at(step).uniform(stream, (1,)) of this step and every later one, made 256 at a time: one by one costs a
        sampler a tenth of its time."""
        step = self.step
        while True:
            self.at(step)  # raises where the steps end
            steps = np.arange(step, min(step + 256, 1 << 32), dtype=np.uint32)
            counter = np.zeros((len(steps), 4), np.uint32)
            counter[:, 2], counter[:, 3] = steps, stream_number(stream)
            words = philox_plain(counter, (self.seed & 0xFFFFFFFF, self.seed >> 32))
            yield from _float64(words[:, 0], words[:, 1]).tolist()
            step += len(steps)

    def keep_mask(self, stream: str, shape: tuple[int, ...], drop_probability: float) -> np.ndarray:
        """bool: True where a value is kept, that is where the float32 u >= drop_probability.

        Compared in integers, so a mask is the same whatever the model's precision."""
        n = math.prod(shape)
        out = np.empty((4, -(-n // 4)), np.uint8)
        fill_mask(out, np.uint64(math.ceil(drop_probability * 2**24)), *self._counter(stream))
        return out.reshape(-1)[:n].view(np.bool_).reshape(shape)

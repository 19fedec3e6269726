"""torch's quickest way to sample: an nn.LSTMCell a layer under inference_mode. nn.LSTM sets up so much at each call
that a step of it takes three times as long."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmarks.cases import SampleCase
from benchmarks.contenders.drawing import drawn


class CellSampler:
    def __init__(self, threads: int, case: SampleCase):
        self._threads, self._case = threads, case
        self._vocabulary, config, dtype = case.vocabulary, case.config, getattr(torch, case.dtype)
        params = {name: torch.from_numpy(value).to(dtype) for name, value in case.parameters().items()}
        self._cells = []
        for k, (I, H) in enumerate(zip(config.input_sizes, config.hidden_sizes)):
            cell = nn.LSTMCell(I, H, dtype=dtype)
            cell.load_state_dict({name: params[f"lstm.{name}_l{k}"] for name in cell.state_dict()})
            self._cells.append(cell)
        self._decoder = nn.Linear(config.hidden_sizes[-1], config.vocab_size, dtype=dtype)
        self._decoder.load_state_dict({name: params[f"decoder.{name}"] for name in ("weight", "bias")})
        self._x = torch.zeros(1, config.vocab_size, dtype=dtype)  # one-hot

    @torch.inference_mode()
    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        generator, ids = random.Random(seed), self._vocabulary.encode(prime).tolist()
        state = [(self._x.new_zeros(1, H),) * 2 for H in self._case.config.hidden_sizes]
        with _threads(self._threads):
            for token in ids[:-1]:
                self._step(token, state)
            for _ in range(size + 1):
                logits = self._decoder(self._step(ids[-1], state))
                ids.append(drawn(logits[0].numpy(), top_k, generator))
        return self._vocabulary.decode(ids)

    def _step(self, token: int, state: list[tuple[Tensor, Tensor]]) -> Tensor:
        """h of the last layer [1,H]; the state moves on."""
        self._x.zero_()[0, token] = 1
        x = self._x
        for k, cell in enumerate(self._cells):
            state[k] = cell(x, state[k])
            x = state[k][0]
        return x


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

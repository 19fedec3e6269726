"""Sampling without a round trip to the host at every token: the chosen id goes back into the network on the device, and
ids reach the host in blocks of 1, 2, 4, ... LONGEST tokens, so that the first does not wait for many.

A token's step reads and writes arrays that stay where they are: the token, the state, the place in the block. It is the
one function that a CUDA graph repeats. The uniforms of a block are made at once, before it.

Ids are those of the loop over the host: the same network, the same policy, the same draws.

Proved by parity_tests/test_torch_sampling.py.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import SamplingPolicy
from lstm_torch.draws import uniform_of_steps
from lstm_torch.graph import Graphs
from lstm_torch.sampling import sample_token

State = list[tuple[Tensor, Tensor]]
Network = Callable[[Tensor, State], tuple[Tensor, State]]  # int64 [1], state -> logits [1,V], state

LONGEST = 64  # tokens a block


class DeviceSampler:
    """Goes on from `token`, given the state before it. graphs: None, and every token is an ordinary run."""

    def __init__(self, network: Network, state: State, token: int, policy: SamplingPolicy, graphs: Graphs | None):
        self.network, self.policy, self.graphs = network, policy, graphs
        device = state[0][0].device
        self.state = [(h.clone(), c.clone()) for h, c in state]
        self.token = torch.tensor([token], device=device)
        self.place = torch.zeros(1, dtype=torch.int64, device=device)
        self.uniforms = torch.zeros(LONGEST, dtype=torch.float64, device=device)
        self.ids = torch.zeros(LONGEST, dtype=torch.int64, device=device)

    def sample(self, length: int, draws: Draws) -> Iterator[int]:
        """Yields `length` ids; id n takes the draw of step draws.step + n."""
        n = 1
        while length > 0:
            n = min(n, length, (1 << 32) - draws.step)
            yield from self._block(n, draws)
            length -= n
            if length:
                draws = draws.at(draws.step + n)  # raises where the steps end
            n = min(2 * n, LONGEST)

    def _block(self, n: int, draws: Draws) -> list[int]:
        steps = torch.arange(draws.step, draws.step + n, device=self.place.device)
        self.uniforms[:n] = uniform_of_steps(draws.seed, "sample", steps)
        self.place.zero_()
        for _ in range(n):
            if self.graphs is None:
                self._step()
            else:
                self.graphs.run("token", self._step)
        return self.ids[:n].tolist()

    def _step(self) -> Tensor:
        logits, state = self.network(self.token, self.state)
        token = sample_token(logits[0], self.policy, self.uniforms.gather(0, self.place)[0])[None]
        self.token.copy_(token)
        self.ids.index_copy_(0, self.place, token)
        self.place += 1
        mine = [array for pair in self.state for array in pair]
        torch._foreach_copy_(mine, [array for pair in state for array in pair])
        return token

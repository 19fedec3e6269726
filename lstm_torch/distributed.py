"""TorchLM on rows that are shared by several processes: the same numbers as in one, to rounding.

    rank   0      1                  B = 4 rows, 2 ranks: b = 2 rows each
    rows  [0 1]  [2 3]

Every rank has all parameters. In training, DistributedDataParallel takes the mean over ranks of every gradient, while
the backward pass still goes on, so all ranks clip by the same norm and make the same update. That mean is the gradient
of the whole window because each part of the objective is a mean over equally many numbers on every rank: the loss over
T b targets, AR over T b H outputs, TAR over (T-1) b H differences. Hence the equal shares.

Masks are drawn for the whole window, and a rank takes its rows of them. The state stays where its rows are; a
checkpoint has all of it. Evaluation is shared too: it is a sum over rows, so the shares need not be equal.

Proved by parity_tests/test_distributed.py.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from lstm_ref.core.batching import Window
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ShapeError
from lstm_ref.core.language_model import (
    Evaluation,
    LossAndGradients,
    SamplingPolicy,
    State,
    StepResult,
    StepSettings,
)
from lstm_ref.core.masks import dropout_masks, masks_of_rows
from lstm_torch.model import TorchLM
from lstm_torch.network import TorchState
from lstm_torch.process_group import ProcessGroup


class DistributedLM:
    """A `LanguageModel`. What goes in and out is of all rows, but for the `State`, which is of this rank's.

    All ranks make one together, and call together what computes something of a window, and `state_arrays`."""

    def __init__(self, group: ProcessGroup, local: TorchLM):
        self.config = local.config
        self._group = group
        self._local = local
        # Gradients lie in the buffers that travel: no copy there and back, and no second array of each.
        with group.lost_peers_told():
            self._objective = DistributedDataParallel(local.objective, gradient_as_bucket_view=True)

    # ---- of all ranks alike -------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, np.ndarray]:
        return self._local.parameters()

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        self._local.load_parameters(params)

    def optimizer_state(self) -> dict[str, np.ndarray]:
        return self._local.optimizer_state()

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        self._local.load_optimizer_state(state)

    def start_averaging(self) -> None:
        self._local.start_averaging()

    def exchange_average(self) -> None:
        self._local.exchange_average()

    def choose(self, logits: np.ndarray, policy: SamplingPolicy, u: float) -> int:
        return self._local.choose(logits, policy, u)

    def sample(
        self, prime: Sequence[int], length: int, policy: SamplingPolicy, draws: Draws, first_draw: int = 0
    ) -> Iterator[int]:
        """One row, which every rank that is asked computes by itself."""
        return self._local.sample(prime, length, policy, draws, first_draw)

    # ---- of this rank's rows ------------------------------------------------------------------------------------

    def zero_state(self, batch_size: int) -> State:
        rows = self._group.rows(batch_size)
        return self._local.zero_state(rows.stop - rows.start)

    def state_arrays(self, state: State) -> dict[str, np.ndarray]:
        own = self._local.state_arrays(state)
        borders = np.cumsum([array.shape[1] for array in own.values()])
        joined = self._group.joined(np.concatenate(list(own.values()), axis=1))
        return {name: part.copy() for name, part in zip(own, np.split(joined, borders[:-1], axis=1), strict=True)}

    def state_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> State:
        return self._local.state_from_arrays(
            {name: array[self._group.rows(len(array))] for name, array in arrays.items()}
        )

    def logits(self, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        T, B = inputs.shape
        rows = self._group.rows(B)
        own = np.empty((T, 0, self.config.vocab_size), self.parameters()["decoder.bias"].dtype)
        if rows.stop > rows.start:
            own, state = self._local.logits(inputs[:, rows], state)
        return self._group.joined(own.swapaxes(0, 1)).swapaxes(0, 1), state

    def loss_and_gradients(self, window: Window, state: State, draws: Draws | None) -> LossAndGradients:
        loss, added, next_state = self._backward(window, state, draws)
        return LossAndGradients(float(loss), self._local.take_gradients(), next_state, float(added))

    def train_step(self, window: Window, state: State, draws: Draws, settings: StepSettings) -> StepResult:
        loss, _, next_state = self._backward(window, state, draws)
        with self._local.computing():
            return StepResult(loss, self._local.update(loss, settings.lr, settings.clip), next_state)

    def evaluate(self, window: Window, state: State) -> Evaluation:
        own, total = self._own(window), 0.0
        if own.tokens:
            evaluation = self._local.evaluate(own, state)
            total, state = evaluation.total, evaluation.state
        return Evaluation(self._group.total(total), window.tokens, state)

    def _backward(self, window: Window, state: State, draws: Draws | None) -> tuple[Tensor, Tensor, TorchState]:
        """Of all rows: loss, penalty and the gradients on the parameters."""
        T, B = window.inputs.shape
        if B % self._group.ranks.size:
            raise ShapeError(f"a window of {B} rows cannot be shared equally by {self._group.ranks.size} processes")
        masks = masks_of_rows(dropout_masks(self.config, draws, T, B), self._group.rows(B))
        own, tensor = self._own(window), self._local.tensor
        arrays = tensor(own.inputs), tensor(own.targets), state, {where: tensor(mask) for where, mask in masks.items()}
        with self._local.computing(), self._group.lost_peers_told():
            loss, added, next_state = self._local.backward(*arrays, self._objective)
        loss, added = self._group.mean(torch.stack([loss, added]))
        return loss, added, next_state

    def _own(self, window: Window) -> Window:
        return window.part(self._group.rows(window.inputs.shape[1]))

"""TorchLM: the network with its optimizer, behind the `LanguageModel` protocol.

Precisions: float64 and float32 throughout; bf16 computes the network under autocast and the decoder's products from
bf16 factors, with float32 parameters, loss, penalty and optimizer. On CUDA, float32 means float32: TF32, which cuDNN's
LSTM takes by default, is switched off.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError
from lstm_ref.core.group import Group
from lstm_ref.core.language_model import (
    Evaluation,
    LossAndGradients,
    SamplingPolicy,
    State,
    StepResult,
    StepSettings,
)
from lstm_ref.core.masks import dropout_masks
from lstm_ref.core.params import check_optimizer_state, check_parameters
from lstm_torch.allocator import keep_freed_memory
from lstm_torch.decoder_loss import summed_cross_entropy
from lstm_torch.network import LSTMNetwork, TorchState
from lstm_torch.objective import Objective
from lstm_torch.optimizer import Optimizer
from lstm_torch.sampling import sample_token

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bf16": torch.float32}  # of the parameters


class Backend:
    """The entry point of the `torch` backend: a `Build`, and it `Joins`."""

    def __call__(
        self,
        config: LanguageModelConfig,
        *,
        optimizer: OptimizerConfig,
        device: str = "cpu",
        precision: str = "float32",
    ) -> "TorchLM":
        if device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("device='cuda': torch sees no CUDA device here; take --device cpu")
        if precision not in DTYPES:
            raise ConfigError(f"precision={precision!r}: expected one of {', '.join(DTYPES)}")
        if device == "cpu":
            keep_freed_memory()
        return TorchLM(config, optimizer=optimizer, device=device, precision=precision)

    def join(self, device: str) -> Group:
        """torch.distributed is imported where it is wanted."""
        from lstm_torch.process_group import join

        return join(device)


build = Backend()


class TorchLM:
    """A `LanguageModel`."""

    def __init__(
        self,
        config: LanguageModelConfig,
        *,
        optimizer: OptimizerConfig | None = None,
        device: str = "cpu",
        precision: str = "float32",
    ):
        self.config = config
        self.device = torch.device(device)
        if self.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.network = LSTMNetwork(config, DTYPES[precision]).to(self.device)
        self.objective = Objective(self.network, bf16=precision == "bf16")
        self._params = self.network.shared_parameters()
        self.optimizer = Optimizer(optimizer or OptimizerConfig(), self._params)

    # ---- state of the model -------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: _to_numpy(p) for name, p in self._params.items()}

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        check_parameters(self.config, params)
        with torch.no_grad():
            for name, p in self._params.items():
                p.copy_(torch.from_numpy(np.ascontiguousarray(params[name])))

    def optimizer_state(self) -> dict[str, np.ndarray]:
        return self.optimizer.state()

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        check_optimizer_state(self.config, self.optimizer.config, state)
        self.optimizer.load(state)

    def start_averaging(self) -> None:
        self.optimizer.start_averaging()

    def exchange_average(self) -> None:
        self.optimizer.exchange_average()

    def zero_state(self, batch_size: int) -> State:
        sizes = self.config.hidden_sizes
        return [tuple(self.network.decoder.weight.new_zeros(batch_size, H) for _ in "hc") for H in sizes]

    def state_arrays(self, state: State) -> dict[str, np.ndarray]:
        return {f"{name}_l{k}": _to_numpy(tensor) for k, pair in enumerate(state) for name, tensor in zip("hc", pair)}

    def state_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> State:
        return [
            tuple(torch.from_numpy(arrays[f"{name}_l{k}"]).to(self.network.decoder.weight) for name in "hc")
            for k in range(len(self.config.hidden_sizes))
        ]

    # ---- forward and backward -----------------------------------------------------------------------------------

    def _tensor(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type == "cuda":  # only from pinned memory does a copy not wait for what the device still does
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    def backward(
        self, window: Window, state: State, masks: Mapping[str, np.ndarray], objective: nn.Module | None = None
    ) -> tuple[Tensor, Tensor, TorchState]:
        """Loss, penalty and the next state; leaves the gradients on the parameters.

        masks: of lstm_ref.core.masks. objective: this model's own, or what wraps it."""
        self.network.zero_grad()  # before the forward pass, which needs the memory
        inputs, targets = self._tensor(window.inputs), self._tensor(window.targets)
        masks_on_device = {where: self._tensor(mask) for where, mask in masks.items()}
        loss, added, next_state = (objective or self.objective)(inputs, targets, state, masks_on_device)
        (loss + added).backward()
        return loss.detach(), added.detach(), next_state

    def gradients(self) -> dict[str, np.ndarray]:
        return {name: _to_numpy(p.grad) for name, p in self._params.items() if p.grad is not None}

    def update(self, loss: Tensor, settings: StepSettings) -> Tensor:
        """Clips the gradients, and updates where they and the loss are finite. Returns their norm before clipping."""
        norm = get_total_norm([p.grad for p in self._params.values() if p.grad is not None])
        clip_grads_with_norm_(self._params.values(), settings.clip, norm)
        self.optimizer.step(settings.lr, torch.isfinite(loss) & torch.isfinite(norm))
        return norm

    # ---- what the trainer calls ---------------------------------------------------------------------------------

    @torch.no_grad()
    def logits(self, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        _, x, next_state = self.objective.activations(self._tensor(inputs), state, {})
        with self.objective.autocast():
            logits = self.network.decoder(x)
        return _to_numpy(logits.to(x.dtype)), next_state

    def loss_and_gradients(self, window: Window, state: State, draws: Draws | None) -> LossAndGradients:
        loss, added, next_state = self.backward(window, state, dropout_masks(self.config, draws, *window.inputs.shape))
        return LossAndGradients(float(loss), self.gradients(), next_state, float(added))

    def train_step(self, window: Window, state: State, draws: Draws, settings: StepSettings) -> StepResult:
        loss, _, next_state = self.backward(window, state, dropout_masks(self.config, draws, *window.inputs.shape))
        return StepResult(loss, self.update(loss, settings), next_state)

    @torch.no_grad()
    def evaluate(self, window: Window, state: State) -> Evaluation:
        _, x, next_state = self.objective.activations(self._tensor(window.inputs), state, {})
        decoded = self.objective.decoded(x, self._tensor(window.targets))
        total = summed_cross_entropy(*decoded, bf16=self.objective.bf16)
        return Evaluation(float(total), window.tokens, next_state)

    def choose(self, logits: np.ndarray, policy: SamplingPolicy, u: float) -> int:
        return int(sample_token(self._tensor(logits), policy, u))

    @torch.inference_mode()
    def sample(
        self, prime: Sequence[int], length: int, policy: SamplingPolicy, draws: Draws, first_draw: int = 0
    ) -> Iterator[int]:
        policy.check_vocabulary(self.config.vocab_size)
        state = self.zero_state(1)
        for token in prime[:-1]:
            _, state = self._step(token, state)
        token, uniforms = prime[-1], draws.at(first_draw).one_each_step("sample")
        for _ in range(length):
            logits, state = self._step(token, state)
            token = int(sample_token(logits[0], policy, next(uniforms)))
            yield token

    def _step(self, token: int, state: TorchState) -> tuple[Tensor, TorchState]:
        with self.objective.autocast():
            logits, next_state = self.network.step(torch.tensor([token], device=self.device), state)
        dtype = self.network.decoder.weight.dtype
        return logits, [(h.to(dtype), c.to(dtype)) for h, c in next_state]


def _to_numpy(tensor: Tensor) -> np.ndarray:
    """A copy on the CPU."""
    return tensor.detach().cpu().numpy().copy()

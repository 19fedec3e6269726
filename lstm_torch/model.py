"""TorchLM: the network with its optimizer, behind the `LanguageModel` protocol.

Precisions: float64 and float32 throughout; bf16 computes the network under autocast, with float32 parameters, loss and
optimizer. On CUDA, float32 means float32: TF32, which cuDNN's LSTM takes by default, is switched off.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError
from lstm_ref.core.language_model import (
    Evaluation,
    LossAndGradients,
    SamplingPolicy,
    State,
    StepResult,
    StepSettings,
)
from lstm_ref.core.masks import dropout_masks
from lstm_ref.core.params import check_parameters
from lstm_torch.network import LSTMNetwork, TorchState
from lstm_torch.sampling import sample_token

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bf16": torch.float32}  # of the parameters


def build(config: LanguageModelConfig, *, optimizer: OptimizerConfig, device: str = "cpu", precision: str = "float32"):
    """The entry point of the `torch` backend."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device='cuda': torch sees no CUDA device here; take --device cpu")
    if precision not in DTYPES:
        raise ConfigError(f"precision={precision!r}: expected one of {', '.join(DTYPES)}")
    return TorchLM(config, optimizer=optimizer, device=device, precision=precision)


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
        self.precision = precision
        adam = optimizer or OptimizerConfig()
        if self.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self.network = LSTMNetwork(config, DTYPES[precision]).to(self.device)
        self._params = self.network.shared_parameters()
        self.optimizer = torch.optim.Adam(
            self._params.values(), betas=(adam.beta1, adam.beta2), eps=adam.eps, fused=True
        )

    # ---- state of the model -------------------------------------------------------------------------------------

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: _to_numpy(p) for name, p in self._params.items()}

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        check_parameters(self.config, params)
        with torch.no_grad():
            for name, p in self._params.items():
                p.copy_(torch.from_numpy(np.ascontiguousarray(params[name])))

    def optimizer_state(self) -> dict[str, np.ndarray]:
        moments = {name: self.optimizer.state.get(p) for name, p in self._params.items()}
        updates = next((int(moment["step"]) for moment in moments.values() if moment), 0)
        state = {"step": np.array(updates, np.int64)}
        for key in ("exp_avg", "exp_avg_sq"):
            for name, p in self._params.items():
                moment = moments[name]
                state[f"{key}.{name}"] = _to_numpy(moment[key] if moment else torch.zeros_like(p))
        return state

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        for key in ("exp_avg", "exp_avg_sq"):
            prefix = f"{key}."
            arrived = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
            check_parameters(self.config, arrived)
            for name, p in self._params.items():
                moment = torch.from_numpy(np.ascontiguousarray(arrived[name])).to(p)
                self.optimizer.state[p][key] = moment.clone()
        for p in self._params.values():
            self.optimizer.state[p]["step"] = torch.tensor(float(state["step"]), device=p.device)

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

    def _autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _network(self, inputs: np.ndarray, state: State, masks: Mapping[str, np.ndarray]) -> tuple[Tensor, TorchState]:
        """Logits [T,B,V] and the next state, both in the parameters' dtype; the state is detached."""
        masks_on_device = {where: self._tensor(mask) for where, mask in masks.items()}
        with self._autocast():
            logits, next_state = self.network(self._tensor(inputs), state, masks_on_device)
        dtype = self.network.decoder.weight.dtype
        return logits.to(dtype), [(h.detach().to(dtype), c.detach().to(dtype)) for h, c in next_state]

    def _loss_with_gradients(self, window: Window, state: State, draws: Draws | None) -> tuple[Tensor, TorchState]:
        """Leaves the gradients on the parameters."""
        masks = dropout_masks(self.config, draws, *window.inputs.shape)
        logits, next_state = self._network(window.inputs, state, masks)
        loss = F.cross_entropy(logits.flatten(0, 1), self._tensor(window.targets).flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return loss.detach(), next_state

    # ---- what the trainer calls ---------------------------------------------------------------------------------

    @torch.no_grad()
    def logits(self, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        logits, next_state = self._network(inputs, state, {})
        return _to_numpy(logits), next_state

    def loss_and_gradients(self, window: Window, state: State, draws: Draws | None) -> LossAndGradients:
        loss, next_state = self._loss_with_gradients(window, state, draws)
        gradients = {name: _to_numpy(p.grad) for name, p in self._params.items() if p.grad is not None}
        return LossAndGradients(float(loss), gradients, next_state)

    def train_step(self, window: Window, state: State, draws: Draws, settings: StepSettings) -> StepResult:
        loss, next_state = self._loss_with_gradients(window, state, draws)
        norm = get_total_norm([p.grad for p in self._params.values() if p.grad is not None])
        clip_grads_with_norm_(self._params.values(), settings.clip, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.lr
        # The fused update looks at this flag on the device and updates nothing where it is 1: no wait for a verdict.
        not_finite = ~(torch.isfinite(loss) & torch.isfinite(norm))
        setattr(self.optimizer, "found_inf", not_finite.float())  # noqa: B010  as torch.amp.GradScaler hands it over
        self.optimizer.step()
        return StepResult(loss, norm, next_state)

    @torch.no_grad()
    def evaluate(self, window: Window, state: State) -> Evaluation:
        logits, next_state = self._network(window.inputs, state, {})
        targets = self._tensor(window.targets).flatten()
        each = F.cross_entropy(logits.flatten(0, 1), targets, reduction="none")
        return Evaluation(float(each.double().sum()), window.tokens, next_state)

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
        with self._autocast():
            logits, next_state = self.network.step(torch.tensor([token], device=self.device), state)
        dtype = self.network.decoder.weight.dtype
        return logits, [(h.to(dtype), c.to(dtype)) for h, c in next_state]


def _to_numpy(tensor: Tensor) -> np.ndarray:
    """A copy on the CPU."""
    return tensor.detach().cpu().numpy().copy()

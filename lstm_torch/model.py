"""TorchLM: the network with its optimizer, behind the `LanguageModel` protocol.

Precisions: float64 and float32 throughout; bf16 computes the network under autocast and the decoder's products from
bf16 factors, with float32 parameters, loss, penalty and optimizer. On CUDA, float32 means float32, unless an option
says TF32 for the recurrence. How the fast path differs: lstm_torch/options.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

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
from lstm_torch.clip import clip_global_norm
from lstm_torch.decoder_loss import summed_cross_entropy
from lstm_torch.device_sampling import LONGEST, DeviceSampler
from lstm_torch.draws import DeviceDraws, device_masks
from lstm_torch.graph import Graphs
from lstm_torch.network import LSTMNetwork, TorchState
from lstm_torch.objective import Objective
from lstm_torch.optimizer import Optimizer
from lstm_torch.options import Options
from lstm_torch.precision import describe, float32_precision, recurrence_of
from lstm_torch.sampling import sample_token
from lstm_torch.step_inputs import StepInputs

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bf16": torch.float32}  # of the parameters
VOCABULARY_MULTIPLE = 64  # of V in the decoder's loss, where sizes are padded


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
        options = Options.production(device, precision)
        return TorchLM(config, optimizer=optimizer, device=device, precision=precision, options=options)

    def join(self, device: str) -> Group:
        """torch.distributed is imported where it is wanted."""
        from lstm_torch.process_group import join

        return join(device)


build = Backend()


class TorchLM:
    """A `LanguageModel`. options=None: none of the fast path."""

    def __init__(
        self,
        config: LanguageModelConfig,
        *,
        optimizer: OptimizerConfig | None = None,
        device: str = "cpu",
        precision: str = "float32",
        options: Options | None = None,
    ):
        self.config = config
        self.device = torch.device(device)
        self.precision = precision
        self.options = options or Options()
        self.options.check(self.device.type, precision)
        recurrence = recurrence_of(self.options, precision)
        self.network = LSTMNetwork(config, DTYPES[precision], recurrence).to(self.device)
        multiple = VOCABULARY_MULTIPLE if self.options.padding else 1
        self.objective = Objective(self.network, bf16=precision == "bf16", multiple=multiple)
        self._params = self.network.shared_parameters()
        self.optimizer = Optimizer(optimizer or OptimizerConfig(), self._params)
        self._graphs = Graphs() if self.options.graph else None
        self._step_inputs: dict[tuple[int, int], StepInputs] = {}

    def numerics(self, batch_size: int) -> dict[str, str]:
        """What it computes with, in words, for a log or a result file."""
        return describe(self.config, self.options, self.device.type, self.precision, batch_size)

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
        self._forget_graphs()

    def start_averaging(self) -> None:
        self.optimizer.start_averaging()
        self._forget_graphs()

    def _forget_graphs(self) -> None:
        """The optimizer keeps other arrays now. Parameters are loaded and exchanged by value."""
        if self._graphs is not None:
            self._graphs.clear()

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

    def computing(self) -> AbstractContextManager:
        """Around everything that computes: float32's precision on CUDA."""
        if self.device.type != "cuda":
            return nullcontext()
        return float32_precision("tf32" if self.options.recurrence == "tf32" else "ieee", "ieee")

    def tensor(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type == "cuda":  # only from pinned memory does a copy not wait for what the device still does
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    def _masks(self, draws: Draws | None, T: int, B: int) -> dict[str, Tensor]:
        if draws is not None and self.options.device_draws:
            step = self.tensor(np.array([draws.step], np.int64))[0]
            return device_masks(self.config, DeviceDraws(draws.seed, step), T, B)
        return {where: self.tensor(mask) for where, mask in dropout_masks(self.config, draws, T, B).items()}

    def backward(
        self,
        inputs: Tensor,
        targets: Tensor,
        state: State,
        masks: Mapping[str, Tensor],
        objective: nn.Module | None = None,
    ) -> tuple[Tensor, Tensor, TorchState]:
        """Loss, penalty and the next state; leaves the gradients on the parameters, which have none before.

        objective: this model's own, or what wraps it."""
        loss, added, next_state = (objective or self.objective)(inputs, targets, state, masks)
        (loss + added).backward()
        return loss.detach(), added.detach(), next_state

    def take_gradients(self) -> dict[str, np.ndarray]:
        """Copies; the parameters have none after it."""
        gradients = {name: _to_numpy(p.grad) for name, p in self._params.items() if p.grad is not None}
        self.network.zero_grad()
        return gradients

    def update(self, loss: Tensor, lr: float | Tensor, clip: float | Tensor) -> Tensor:
        """Clips the gradients, updates where they and the loss are finite, and takes them off the parameters, because
        the next forward pass needs the memory. Returns their norm before clipping. Nothing waits for the device."""
        norm = clip_global_norm([p.grad for p in self._params.values() if p.grad is not None], clip)
        self.optimizer.step(lr, torch.isfinite(loss) & torch.isfinite(norm))
        self.network.zero_grad()
        return norm

    # ---- what the trainer calls ---------------------------------------------------------------------------------

    @torch.no_grad()
    def logits(self, inputs: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        with self.computing():
            _, x, next_state = self.objective.activations(self.tensor(inputs), state, {})
            with self.objective.autocast():
                logits = self.network.decoder(x)
        return _to_numpy(logits.to(x.dtype)), next_state

    def loss_and_gradients(self, window: Window, state: State, draws: Draws | None) -> LossAndGradients:
        with self.computing():
            masks = self._masks(draws, *window.inputs.shape)
            inputs, targets = self.tensor(window.inputs), self.tensor(window.targets)
            loss, added, next_state = self.backward(inputs, targets, state, masks)
        return LossAndGradients(float(loss), self.take_gradients(), next_state, float(added))

    def train_step(self, window: Window, state: State, draws: Draws, settings: StepSettings) -> StepResult:
        self.optimizer.require_own_parameters()  # a graph would not ask
        with self.computing():
            if self.options.resident:
                return self._resident_step(window, state, draws, settings)
            masks = self._masks(draws, *window.inputs.shape)
            inputs, targets = self.tensor(window.inputs), self.tensor(window.targets)
            loss, _, next_state = self.backward(inputs, targets, state, masks)
            return StepResult(loss, self.update(loss, settings.lr, settings.clip), next_state)

    def _resident_step(self, window: Window, state: State, draws: Draws, settings: StepSettings) -> StepResult:
        """The same from arrays that stay, in a graph where that is asked for."""
        T, B = window.inputs.shape
        if (T, B) not in self._step_inputs:
            shared = next((other.state for (_, rows), other in self._step_inputs.items() if rows == B), None)
            self._step_inputs[T, B] = StepInputs(T, B, shared or self.zero_state(B))
        given = self._step_inputs[T, B]
        given.send(window, state, draws.step, settings)
        if self.options.device_draws:
            update = partial(self._update_from, given, draws.seed)
        else:
            masks = self._masks(draws, T, B)
            update = partial(self._update_from, given, draws.seed, masks)
        results = update() if self._graphs is None else self._graphs.run((T, B, draws.seed), update)
        loss, norm, *flat = results.split([1, 1, *(array.numel() for pair in given.state for array in pair)])
        arrays = iter(flat)
        next_state = [(next(arrays).view(h.shape), next(arrays).view(c.shape)) for h, c in given.state]
        return StepResult(loss[0], norm[0], next_state)

    def _update_from(self, given: StepInputs, seed: int, masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """A step as one array, so that one copy saves all of it from the next run: loss, norm, h and c of each
        layer. masks=None: made here, from the step."""
        if masks is None:
            masks = device_masks(self.config, DeviceDraws(seed, given.step), *given.inputs.shape)
        dtype = self.network.decoder.weight.dtype
        lr, clip = given.lr.float(), given.clip.to(dtype)
        loss, _, state = self.backward(given.inputs, given.targets, given.state, masks)
        norm = self.update(loss, lr, clip)
        return torch.cat([loss[None], norm[None], *(array.flatten() for pair in state for array in pair)])

    @torch.no_grad()
    def evaluate(self, window: Window, state: State) -> Evaluation:
        with self.computing():
            _, x, next_state = self.objective.activations(self.tensor(window.inputs), state, {})
            total = self.objective.decoder_loss(summed_cross_entropy, x, self.tensor(window.targets))
        return Evaluation(float(total), window.tokens, next_state)

    def choose(self, logits: np.ndarray, policy: SamplingPolicy, u: float) -> int:
        return int(sample_token(self.tensor(logits), policy, u))

    @torch.inference_mode()
    def sample(
        self, prime: Sequence[int], length: int, policy: SamplingPolicy, draws: Draws, first_draw: int = 0
    ) -> Iterator[int]:
        policy.check_vocabulary(self.config.vocab_size)
        state = self.zero_state(1)
        for token in prime[:-1]:
            _, state = self._step(self._token(token), state)
        if self.options.device_sampling:
            graphs = Graphs() if self.options.graph and length > LONGEST else None
            sampler = DeviceSampler(self._step, state, prime[-1], policy, graphs)
            yield from sampler.sample(length, draws.at(first_draw))
            return
        token, uniforms = prime[-1], draws.at(first_draw).one_each_step("sample")
        for _ in range(length):
            logits, state = self._step(self._token(token), state)
            token = int(sample_token(logits[0], policy, next(uniforms)))
            yield token

    def _token(self, token: int) -> Tensor:
        return torch.tensor([token], device=self.device)

    def _step(self, token: Tensor, state: TorchState) -> tuple[Tensor, TorchState]:
        """token: int64 [1]."""
        with self.computing(), self.objective.autocast():
            logits, next_state = self.network.step(token, state)
        dtype = self.network.decoder.weight.dtype
        return logits, [(h.to(dtype), c.to(dtype)) for h, c in next_state]


def _to_numpy(tensor: Tensor) -> np.ndarray:
    """A copy on the CPU."""
    return tensor.detach().cpu().numpy().copy()

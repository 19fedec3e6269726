"""PyTorch's own way to take a training step, at its best: nn.LSTM, F.cross_entropy, clip_grad_norm_, a fused update.

Data lies on the device, gradients are set to None, nothing waits for a loss. What is varied:
- precision: float32, TF32, or autocast to fp16 or bf16. PyTorch's autocast hands cuDNN's LSTM fp16 whichever of the two
  it is asked for, so both scale the loss.
- multiple: the input padded to a multiple of it (83 to 96 or 128). The weights of the padding get no gradient.
- apart: one layer a call, which is what lets cuDNN keep its weights on the chip; always, where sizes differ.
- graph: the whole step as a CUDA graph, one for each window length.

Dropout is PyTorch's own draws; locked masks, dropped words and dropped weights are made as lstm_torch's are applied.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.gpu.device import AUTOCAST, Precision, captured
from benchmarks.gpu.proof import Proof
from benchmarks.gpu.steps import StepTask, without_dropout
from lstm_ref.core.config import LanguageModelConfig

# Of the loss where products have fp16 factors: at N tokens and V words a logit's gradient is 1/(N V), 5e-9 for
# AWD-LSTM's window and 1e-6 for the character model's; fp16 ends at 6e-5 before it loses digits, and at 65,504.
LOSS_SCALE = 2.0**14


class PeerNetwork(nn.Module):
    """The layers of a LanguageModelConfig. Input width padded to a multiple."""

    def __init__(self, config: LanguageModelConfig, *, multiple: int, apart: bool):
        super().__init__()
        self.config = config
        self.input_size = -(-config.input_sizes[0] // multiple) * multiple
        sizes = (self.input_size, *config.hidden_sizes)
        alike = len(set(config.hidden_sizes)) == 1 and not config.dropout_locked and not config.weight_drop
        self.apart = apart or not alike
        if config.embedding_size:
            self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        if self.apart:
            self.lstm: nn.Module = nn.ModuleList(nn.LSTM(I, H) for I, H in pairwise(sizes))
        else:
            layers = len(config.hidden_sizes)
            dropout = config.dropout_between if layers > 1 else 0.0
            self.lstm = nn.LSTM(self.input_size, config.hidden_sizes[0], layers, dropout=dropout)
        self.decoder = nn.Linear(config.hidden_sizes[-1], config.vocab_size)
        if config.tied:
            self.decoder.weight = self.embedding.weight

    def by_name(self) -> dict[str, nn.Parameter]:
        """By the names of core.params."""
        named = {}
        for name, p in self.named_parameters():
            first, _, rest = name.partition(".")
            if first == "lstm" and self.apart:
                layer, _, weight = rest.partition(".")
                name = f"lstm.{weight.removesuffix('_l0')}_l{layer}"
            named[name] = p
        return named

    def forward(self, inputs: Tensor, state: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, list]:
        """inputs int64 [T,B] -> y and x [T,B,H] of the last layer, before and after dropout, and the next state."""
        x = self._input(inputs)
        if not self.apart:
            h, c = (torch.stack(part) for part in zip(*state))
            y, (h, c) = self.lstm(x, (h, c))
            return y, F.dropout(y, self.config.dropout_output), list(zip(h.unbind(), c.unbind()))
        next_state, last = [], len(state) - 1
        for k, pair in enumerate(state):
            y, next_pair = self._layer(self.lstm[k], x, pair)
            next_state.append(next_pair)
            x = self._drop(y, self.config.dropout_output if k == last else self.config.dropout_between)
        return y, x, next_state

    def _input(self, inputs: Tensor) -> Tensor:
        config = self.config
        if not config.embedding_size:
            x = torch.zeros(*inputs.shape, self.input_size, device=inputs.device)
            return x.scatter_(2, inputs[..., None], 1)
        x = self.embedding(inputs)
        if config.dropout_embedding:
            kept = F.dropout(x.new_ones(config.vocab_size), config.dropout_embedding)
            x = x * kept[inputs][..., None]
        return self._drop(x, config.dropout_input)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        if not self.config.dropout_locked:
            return F.dropout(x, rate)
        return x * F.dropout(x.new_ones(1, *x.shape[1:]), rate)

    def _layer(self, layer: nn.LSTM, x: Tensor, pair: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, c = (part[None] for part in pair)
        if not self.config.weight_drop:
            y, (h, c) = layer(x, (h, c))
            return y, (h[0], c[0])
        weights = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0]
        weights[1] = F.dropout(weights[1], self.config.weight_drop)
        flat = torch.cat([weight.flatten() for weight in weights])  # in one piece, or cuDNN copies them with a warning
        pieces = flat.split([weight.numel() for weight in weights])
        weights = [piece.view_as(weight) for piece, weight in zip(pieces, weights)]
        y, h, c = torch.lstm(x, (h, c), weights, True, 1, 0.0, True, False, False)
        return y, (h[0], c[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerOptions:
    """As the module docstring has them."""

    precision: Precision
    multiple: int = 1
    apart: bool = False
    graph: bool = False
    dropout: bool = True


class PeerSteps:
    """A Runner. per_run: windows that one call of `run` takes, in turn over the task's."""

    def __init__(self, task: StepTask, options: PeerOptions, per_run: int = 1):
        device = task.device
        if options.graph:
            device.require_cuda("a CUDA graph")
        if options.precision in ("tf32", "fp16"):
            device.require_cuda(options.precision)
        self._task, self._options, self._per_run, self._next = task, options, per_run, 0
        config = task.config if options.dropout else without_dropout(task.config)
        self._network = PeerNetwork(config, multiple=options.multiple, apart=options.apart).to(device.name).train()
        self._parameters = self._network.by_name()
        self._load()
        self._optimizer = self._fused()
        self._state = [
            tuple(task.on_device(task.state[f"{n}_l{k}"]) for n in "hc") for k in range(len(config.hidden_sizes))
        ]
        self._resident = [(task.on_device(window.inputs), task.on_device(window.targets)) for window in task.windows]
        self._window = {len(inputs): (inputs.clone(), targets.clone()) for inputs, targets in self._resident}
        self._loss = torch.zeros((), device=device.name)
        self._step_of = {T: partial(self._step, T) for T in self._window}
        device.set_precision(options.precision)
        if options.graph:
            pool = torch.cuda.graph_pool_handle()
            self._step_of = {T: captured(step, pool) for T, step in self._step_of.items()}

    def _fused(self) -> torch.optim.Optimizer:
        task, parameters = self._task, list(self._parameters.values())
        if task.optimizer.optimizer == "adam":  # capturable: it counts its steps on the device
            return torch.optim.Adam(parameters, lr=task.lr, fused=True, capturable=task.device.is_cuda)
        return torch.optim.SGD(parameters, lr=task.lr, weight_decay=task.optimizer.weight_decay, fused=True)

    @torch.no_grad()
    def _load(self) -> None:
        """The task's parameters; zeros where the input is padded."""
        for name, p in self._parameters.items():
            value = self._task.on_device(self._task.parameters[name])
            if value.shape != p.shape:
                value = F.pad(value, (0, p.shape[1] - value.shape[1]))
            p.copy_(value)

    def run(self) -> None:
        self._task.device.set_precision(self._options.precision)
        for _ in range(self._per_run):
            self._take(self._next)
            self._next = (self._next + 1) % len(self._resident)

    def _take(self, k: int) -> None:
        inputs, targets = self._resident[k]
        T = len(inputs)
        for place, value in zip(self._window[T], (inputs, targets)):
            place.copy_(value)
        self._step_of[T]()

    def _step(self, T: int) -> None:
        inputs, targets = self._window[T]
        scale = LOSS_SCALE if self._options.precision in AUTOCAST else 1.0
        self._optimizer.zero_grad(set_to_none=True)
        with self._task.device.autocast(self._options.precision):
            y, x, next_state = self._network(inputs, self._state)
            logits = self._network.decoder(x.flatten(0, 1))
            loss = F.cross_entropy(logits, targets.flatten())
        ((loss + self._penalty(x, y)) * scale).backward()
        gradients = [p.grad for p in self._parameters.values()]
        if scale != 1:
            torch._foreach_mul_(gradients, 1 / scale)
        nn.utils.clip_grad_norm_(self._parameters.values(), self._task.clip)
        self._optimizer.step()
        self._loss.copy_(loss.detach())
        for pair, next_pair in zip(self._state, next_state):
            for place, value in zip(pair, next_pair):
                place.copy_(value.detach())

    def _penalty(self, x: Tensor, y: Tensor) -> Tensor | float:
        config, penalty = self._network.config, 0.0
        if config.ar_alpha:
            penalty = config.ar_alpha * x.float().square().mean()
        if config.tar_beta and len(y) > 1:
            penalty = penalty + config.tar_beta * y.float().diff(dim=0).square().mean()
        return penalty

    def prove(self) -> Proof:
        """Without dropout: by a runner that differs from this one in its rates alone."""
        if self._options.dropout:
            return PeerSteps(self._task, replace(self._options, dropout=False), self._per_run).prove()
        task = self._task
        self._task.device.set_precision(self._options.precision)
        self._take(0)  # the optimizer allocates
        self._load()
        with torch.no_grad():
            for k, pair in enumerate(self._state):
                for n, place in zip("hc", pair):
                    place.copy_(task.on_device(task.state[f"{n}_l{k}"]))
        before = self._arrays()
        self._take(0)
        gradients = task.gradients_of_update(before, self._arrays())
        V = task.config.input_sizes[0]
        gradients["lstm.weight_ih_l0"] = gradients["lstm.weight_ih_l0"][:, :V]
        after = {f"{n}_l{k}": value for k, pair in enumerate(self._state) for n, value in zip("hc", pair)}
        return task.prove({"loss": self._loss, **gradients, **after}, self._options.precision, dropout=False)

    def _arrays(self) -> dict[str, np.ndarray]:
        """Copies of the parameters and their moments."""
        tensors: dict[str, Tensor] = dict(self._parameters)
        if self._task.has_moments:
            moments = {name: self._optimizer.state[p]["exp_avg"] for name, p in self._parameters.items()}
            tensors |= {f"exp_avg.{name}": m for name, m in moments.items()}
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}

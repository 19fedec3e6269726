"""G7, sampling one stream: 2x512 units, 83 characters, top-5. The host is in the loop, so its clock is the one.

Proved with the tokens that came out, read once more by the float64 form: of a greedy text every token must be the most
likely one after what stands before it, and of the timed text one of the five likeliest, as far as rounding cannot tell.
Initial weights would write one character for ever, so these are eight times as large.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gpu import float64
from benchmarks.gpu.device import Device
from benchmarks.gpu.floors import forward_flops_a_token
from benchmarks.gpu.ours import OF_SAMPLING, Options, build, full_options, rounding_of, variants
from benchmarks.gpu.proof import Proof, tolerance
from benchmarks.gpu.row import LEAST_ROUNDS, Contender, Row
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConformanceError
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.core.params import initial_parameters, parameter_count

TOP_K, WEIGHT_SCALE = 5, 8.0


@dataclass(frozen=True, eq=False)
class SampleTask:
    config: LanguageModelConfig
    length: int  # tokens of one call
    device: Device
    seed: int
    prime: int = 1

    @functools.cached_property
    def parameters(self) -> dict[str, np.ndarray]:
        initial = initial_parameters(self.config, self.seed)
        return {name: (WEIGHT_SCALE * value).astype(np.float32).astype(np.float64) for name, value in initial.items()}

    def logits(self, tokens: Sequence[int]) -> Tensor:
        """What the float64 form expects after each of them: [T,V]."""
        params = {name: torch.from_numpy(p).to(self.device.name) for name, p in self.parameters.items()}
        ids = torch.tensor([tokens], device=self.device.name).T
        x = nn.functional.one_hot(ids, self.config.vocab_size).double()
        for k, H in enumerate(self.config.hidden_sizes):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            zero = x.new_zeros(1, H)
            x, _, _ = float64.lstm(x, zero, zero, tuple(params[f"lstm.{name}_l{k}"] for name in names))
        return (x @ params["decoder.weight"].T + params["decoder.bias"])[:, 0]

    def prove(self, greedy: Sequence[int], drawn: Sequence[int], precision: str) -> Proof:
        """Both begin with the prime. Raises ConformanceError for a token that is not among the likeliest."""
        if len(drawn) != self.length + 1 or greedy[0] != self.prime or drawn[0] != self.prime:
            raise ConformanceError(
                f"{len(drawn)} tokens that begin with {drawn[0]}, expected the prime and {self.length}"
            )
        allowed = tolerance(precision, 1, max(self.config.hidden_sizes))
        worst = 0.0
        for name, tokens, k in (("greedy", greedy, 1), ("drawn", drawn, TOP_K)):
            logits = self.logits(tokens[:-1])
            least = logits.topk(k).values[:, -1]
            chosen = logits.gather(1, torch.tensor([tokens[1:]], device=logits.device).T)[:, 0]
            size = logits.square().mean(1).sqrt()
            below = (least - chosen) / (2 * size)  # each of the two logits may be off
            n = int(below.argmax())
            if not float(below[n]) <= allowed:
                raise ConformanceError(
                    f"{name} token {n + 1} is {float(below[n]):.3g} of the logits' size below the {k} likeliest, "
                    f"allowed {allowed:.3g}"
                )
            worst = max(worst, float(below[n]))
            if k == 1:
                top = logits.topk(2).values
                decided = ((top[:, 0] - top[:, 1]) / (2 * size) > allowed).double().mean()
                if not decided > 0.5:
                    raise ValueError("most greedy tokens are decided by rounding, which proves nothing: other weights")
        return Proof(worst, allowed)


class OurSampler:
    """A Runner."""

    def __init__(self, task: SampleTask, precision: str, options: Options):
        self._task, self._rounding = task, rounding_of(options, precision)
        self._model = build(task.config, task.device, precision, options, task.parameters)
        self._seed = task.seed
        self.run()

    def _tokens(self, top_k: int) -> list[int]:
        policy, draws = SamplingPolicy(top_k=top_k), Draws(self._seed)
        return [self._task.prime, *self._model.sample([self._task.prime], self._task.length, policy, draws)]

    def run(self) -> None:
        self._seed += 1
        self._tokens(TOP_K)

    def prove(self) -> Proof:
        return self._task.prove(self._tokens(1), self._tokens(TOP_K), self._rounding)


class PeerSampler:
    """The original notebook's loop on the device: softmax and top-k there, the draw by NumPy on the host. cell:
    nn.LSTMCell in place of a call of nn.LSTM."""

    def __init__(self, task: SampleTask, *, cell: bool):
        self._task, self._cell = task, cell
        config, device = task.config, task.device.name
        sizes = (config.vocab_size, *config.hidden_sizes)
        kind = nn.LSTMCell if cell else nn.LSTM
        self._layers = nn.ModuleList(kind(I, H) for I, H in pairwise(sizes)).to(device)
        self._decoder = nn.Linear(sizes[-1], config.vocab_size).to(device)
        with torch.no_grad():
            for k, layer in enumerate(self._layers):
                for name, p in layer.named_parameters():
                    p.copy_(torch.from_numpy(task.parameters[f"lstm.{name.removesuffix('_l0')}_l{k}"]))
            for name, p in self._decoder.named_parameters():
                p.copy_(torch.from_numpy(task.parameters[f"decoder.{name}"]))
        self._one_hot = torch.eye(config.vocab_size, device=device)
        self._uniforms = Draws(task.seed).one_each_step("sample")
        self.run()

    @torch.inference_mode()
    def _tokens(self, top_k: int) -> list[int]:
        tokens, shape = [self._task.prime], (1,) if self._cell else (1, 1)
        state = [tuple(self._one_hot.new_zeros(*shape, H) for _ in "hc") for H in self._task.config.hidden_sizes]
        for _ in range(self._task.length):
            x = self._one_hot[tokens[-1]].view(*shape, -1)
            for k, layer in enumerate(self._layers):
                if self._cell:
                    state[k] = layer(x, state[k])
                    x = state[k][0]
                else:
                    x, state[k] = layer(x, state[k])
            p, ids = torch.softmax(self._decoder(x).flatten(), 0).topk(top_k)
            cumulative = p.cpu().numpy().astype(np.float64).cumsum()
            chosen = np.searchsorted(cumulative, next(self._uniforms) * cumulative[-1], side="right")
            tokens.append(int(ids.cpu()[min(int(chosen), top_k - 1)]))
        return tokens

    def run(self) -> None:
        self._task.device.set_precision("float32")
        self._tokens(TOP_K)

    def prove(self) -> Proof:
        self._task.device.set_precision("float32")
        return self._task.prove(self._tokens(1), self._tokens(TOP_K), "float32")


def row(device: Device, seed: int) -> Row:
    V, H, length = (83, 512, 2000) if device.is_cuda else (11, 8, 12)
    task = SampleTask(LanguageModelConfig(vocab_size=V, hidden_sizes=(H, H)), length, device, seed)
    contenders = {
        "nn.LSTM": Contender(build=lambda: PeerSampler(task, cell=False)),
        "nn.LSTMCell": Contender(build=lambda: PeerSampler(task, cell=True)),
    }
    ours = {("float32", name): options for name, options in variants(device, "float32", OF_SAMPLING).items()}
    ours["bf16", "ours"] = full_options(device, "bf16")
    for (precision, name), options in ours.items():
        contenders[f"{name}, {precision}"] = Contender(
            build=lambda o=options, p=precision: OurSampler(task, p, o),
            precision=rounding_of(options, precision),
            peer=False,
        )
    return Row(
        id="G7",
        title=f"sampling one stream, V={V} H={H}x{H} top-{TOP_K}, {length} characters a call",
        unit="character",
        contenders=contenders,
        baseline="nn.LSTM",
        goals="must 3x eager; goal 25 µs (40k characters/s); moonshot 10 µs (100k)",
        flops=float(forward_flops_a_token(task.config)),
        bytes=4.0 * parameter_count(task.config),
        units=float(length),
        rounds=LEAST_ROUNDS,
        on_host=True,
        notes="The floor's bytes are at memory's speed; these weights fit the cache, which is faster.",
    )

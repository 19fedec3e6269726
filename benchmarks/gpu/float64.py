"""The truth of every row: the model's equations in float64 on the device, differentiated by autograd, with nothing of
cuDNN, autocast or `lstm_torch` in it.

    a_t = x_t W_ih^T + b_ih + h W_hh^T + b_hh,   i,f,g,o = a                (1)
    c = sigmoid(f) c + sigmoid(i) tanh(g);   h = sigmoid(o) tanh(c)         (2)

and around it the whole of lstm_ref.plain_model, in torch so that the shapes of the table take seconds. Proved by
benchmarks/gpu/test_float64.py against that file.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.masks import dropout_rates

TruthState = list[tuple[Tensor, Tensor]]


def lstm(x: Tensor, h: Tensor, c: Tensor, weights: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """x [T,B,I]; h, c [B,H]; weights as nn.LSTM has them. Returns y [T,B,H] and the last h, c."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    y = []
    for a in x @ weight_ih.T + (bias_ih + bias_hh):
        i, f, g, o = (a + h @ weight_hh.T).chunk(4, dim=1)  # (1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)  # (2)
        h = torch.sigmoid(o) * torch.tanh(c)
        y.append(h)
    return torch.stack(y), h, c


def language_model(
    config: LanguageModelConfig,
    params: Mapping[str, Tensor],
    inputs: Tensor,
    targets: Tensor,
    state: TruthState,
    masks: Mapping[str, Tensor],
) -> tuple[Tensor, dict[str, Tensor], TruthState]:
    """Loss in nats without penalty, the gradient of loss + penalty by every parameter, and the next state.

    params, state: float64; inputs, targets: int64 [T,B]; masks: of lstm_ref.core.masks, bool, on the device.
    """
    rates, params = dropout_rates(config), {name: p.detach().requires_grad_() for name, p in params.items()}

    def drop(value: Tensor, where: str) -> Tensor:
        return value * masks[where] / (1 - rates[where]) if where in masks else value

    if config.embedding_size:
        rows = params["embedding.weight"]
        if "embedding" in masks:
            rows = rows * masks["embedding"][:, None] / (1 - rates["embedding"])
        x = drop(rows[inputs], "input")
    else:
        x = F.one_hot(inputs, config.vocab_size).double()
    next_state = []
    for k, (h, c) in enumerate(state):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weight_ih, weight_hh, *biases = (params[f"lstm.{name}_l{k}"] for name in names)
        y, h, c = lstm(x, h, c, (weight_ih, drop(weight_hh, f"weight_hh_l{k}"), *biases))
        next_state.append((h.detach(), c.detach()))
        x = drop(y, f"l{k}")
    decoder = params["embedding.weight" if config.tied else "decoder.weight"]
    loss = F.cross_entropy(x.flatten(0, 1) @ decoder.T + params["decoder.bias"], targets.flatten())
    penalty = config.ar_alpha * x.square().mean()
    if config.tar_beta and len(y) > 1:
        penalty = penalty + config.tar_beta * y.diff(dim=0).square().mean()
    (loss + penalty).backward()
    gradients = {name: p.grad for name, p in params.items() if p.grad is not None}
    return loss.detach(), gradients, next_state


def clipped(gradients: Mapping[str, Tensor], clip: float) -> dict[str, Tensor]:
    """As torch.nn.utils.clip_grad_norm_. Raises ValueError unless the clip acts: else it is not proved."""
    norm = float(torch.stack([g.square().sum() for g in gradients.values()]).sum().sqrt())
    if not norm > 2 * clip:
        raise ValueError(f"clip={clip} does not act on a gradient of norm {norm:.3g}: lower it")
    return {name: g * (clip / (norm + 1e-6)) for name, g in gradients.items()}

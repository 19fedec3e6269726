"""The PyTorch twin under test, through what lstm_torch itself calls: nn.LSTM, cross_entropy, Adam, TorchLM."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.language_model import LanguageModel
from lstm_torch.model import TorchLM
from lstm_torch.sampling import sample_token
from parity_tests.suite.adapters.torch_lstm import TorchModule
from parity_tests.suite.adapters.twin_base import Twin, policy_of
from parity_tests.suite.question import Answer, Question


class TorchTwin(Twin):
    """On the CPU, with the kernels that PyTorch chooses."""

    name = "torch"

    def __init__(self) -> None:
        super().__init__()
        self.layers = TorchModule(nn.LSTM(1, 1))

    def language_model(self, config: LanguageModelConfig, dtype: np.dtype) -> LanguageModel:
        return TorchLM(config, precision=dtype.name)

    def forward(self, question: Question) -> Answer:
        return self.layers.answer(question)

    def backward(self, question: Question) -> Answer:
        return self.layers.answer(question)

    def loss(self, question: Question) -> Answer:
        logits = torch.from_numpy(question.arrays["logits"].copy()).requires_grad_()
        loss = F.cross_entropy(logits, torch.from_numpy(question.arrays["targets"]))
        (dlogits,) = torch.autograd.grad(loss, [logits])
        return {"loss": loss.detach().numpy(), "dlogits": dlogits.numpy()}

    def clip(self, question: Question) -> Answer:
        parameters = {name: nn.Parameter(torch.from_numpy(g.copy())) for name, g in question.arrays.items()}
        for parameter in parameters.values():
            parameter.grad = parameter.detach().clone()
        norm = get_total_norm([p.grad for p in parameters.values() if p.grad is not None])
        clip_grads_with_norm_(parameters.values(), question.settings["max_norm"], norm)
        clipped = {name: p.grad.numpy() for name, p in parameters.items() if p.grad is not None}
        return {"norm": norm.numpy(), **clipped}

    def adam(self, question: Question) -> Answer:
        p, after = nn.Parameter(torch.from_numpy(question.arrays["p"].copy())), []
        betas = question.settings["beta1"], question.settings["beta2"]
        optimizer = torch.optim.Adam([p], betas=betas, eps=question.settings["eps"], fused=True)
        for g, lr in zip(question.arrays["g"], question.arrays["lr"].tolist()):
            p.grad = torch.from_numpy(g.copy())
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()
            after.append(p.detach().numpy().copy())
        return {"p": np.stack(after)}

    def sample(self, question: Question) -> Answer:
        logits = torch.from_numpy(question.arrays["logits"].copy())
        return {"id": sample_token(logits, policy_of(question), float(question.arrays["u"])).numpy()}


torch_twin = TorchTwin()

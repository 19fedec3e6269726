"""The PyTorch twin under test, through what lstm_torch itself calls: nn.LSTM, its loss and optimizer,
TorchLM."""

import numpy as np
import torch
from torch import nn

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.language_model import LanguageModel
from lstm_torch.clip import clip_global_norm
from lstm_torch.decoder_loss import linear_cross_entropy
from lstm_torch.model import TorchLM
from lstm_torch.optimizer import Optimizer
from lstm_torch.sampling import sample_token
from parity_tests.suite.adapters.torch_lstm import TorchModule
from parity_tests.suite.adapters.twin_base import SGD, Twin, policy_of
from parity_tests.suite.question import Answer, Question


class TorchTwin(Twin):
    """On the CPU, with the kernels that PyTorch chooses."""

    name = "torch"

    def __init__(self) -> None:
        super().__init__()
        self.layers = TorchModule(nn.LSTM(1, 1))

    def language_model(self, config: LanguageModelConfig, dtype: np.dtype, optimizer: OptimizerConfig) -> LanguageModel:
        return TorchLM(config, precision=dtype.name, optimizer=optimizer)

    def forward(self, question: Question) -> Answer:
        return self.layers.answer(question)

    def backward(self, question: Question) -> Answer:
        return self.layers.answer(question)

    def loss(self, question: Question) -> Answer:
        """Of a decoder that changes nothing: the identity, without bias."""
        logits = torch.from_numpy(question.arrays["logits"].copy()).requires_grad_()
        weight, bias = torch.eye(logits.shape[1], dtype=logits.dtype), logits.new_zeros(logits.shape[1])
        loss = linear_cross_entropy(logits, weight, bias, torch.from_numpy(question.arrays["targets"]))
        (dlogits,) = torch.autograd.grad(loss, [logits])
        return {"loss": loss.detach().numpy(), "dlogits": dlogits.numpy()}

    def clip(self, question: Question) -> Answer:
        gradients = {name: torch.from_numpy(g.copy()) for name, g in question.arrays.items()}
        norm = clip_global_norm(list(gradients.values()), question.settings["max_norm"])
        return {"norm": norm.numpy(), **{name: gradient.numpy() for name, gradient in gradients.items()}}

    def adam(self, question: Question) -> Answer:
        return self._updates(question, OptimizerConfig(**question.settings))

    def sgd(self, question: Question) -> Answer:
        return self._updates(question, SGD)

    def _updates(self, question: Question, config: OptimizerConfig) -> Answer:
        p, after = nn.Parameter(torch.from_numpy(question.arrays["p"].copy())), []
        optimizer = Optimizer(config, {"p": p})
        for g, lr in zip(question.arrays["g"], question.arrays["lr"].tolist()):
            p.grad = torch.from_numpy(g.copy())
            optimizer.step(lr, torch.tensor(True))
            after.append(p.detach().numpy().copy())
        return {"p": np.stack(after)}

    def sample(self, question: Question) -> Answer:
        logits = torch.from_numpy(question.arrays["logits"].copy())
        return {"id": sample_token(logits, policy_of(question), float(question.arrays["u"])).numpy()}


torch_twin = TorchTwin()

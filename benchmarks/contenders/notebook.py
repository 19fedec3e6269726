"""The original notebook's way to train and to sample, written anew: what it computes and how, not its text.

Kept because they cost time: the dense one-hot input made in NumPy, `batch_first`, nn.LSTM's own dropout and nn.Dropout,
`zero_grad`, Adam and `clip_grad_norm_` as they come; in sampling one call of the whole module a character with autograd
on, softmax, topk and `np.random.choice`. Its faults that cost none are left out: top_k=1 works.

The masks are torch's own, so it is proved at dropout 0. Its output layer is `fc`, ours `decoder`.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cases import SampleCase, StepCase
from lstm_ref.core.batching import Window


class CharacterNet(nn.Module):
    """Logits [B*T,V], batch first, of one-hot input [B,T,V]."""

    def __init__(self, case: StepCase | SampleCase):
        super().__init__()
        config = case.config
        V, H, layers = config.vocab_size, config.hidden_sizes[0], len(config.hidden_sizes)
        between = config.dropout_between if layers > 1 else 0.0
        self.lstm = nn.LSTM(V, H, layers, dropout=between, batch_first=True)
        self.dropout = nn.Dropout(config.dropout_output)
        self.fc = nn.Linear(H, V)
        self.to(getattr(torch, case.dtype))
        self.load_parameters(case.parameters())

    def forward(self, x: Tensor, hidden: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, hidden = self.lstm(x, hidden)
        rows = self.dropout(y).contiguous().view(-1, self.lstm.hidden_size)
        return self.fc(rows), hidden

    def zero_hidden(self, batch_size: int) -> tuple[Tensor, Tensor]:
        h = self.fc.weight.new_zeros(self.lstm.num_layers, batch_size, self.lstm.hidden_size)
        return h, h.clone()

    def named(self) -> dict[str, nn.Parameter]:
        return {name.replace("fc.", "decoder."): p for name, p in self.named_parameters()}

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        with torch.no_grad():
            for name, p in self.named().items():
                p.copy_(torch.from_numpy(params[name]))


def one_hot_rows(ids: np.ndarray, V: int, dtype: str) -> np.ndarray:
    """[B,T] -> [B,T,V], a one at every id."""
    rows = np.zeros((ids.size, V), dtype)
    rows[np.arange(ids.size), ids.flatten()] = 1
    return rows.reshape(*ids.shape, V)


class NotebookTrainer:
    def __init__(self, case: StepCase):
        self._case, self._net = case, CharacterNet(case)
        self._net.train()
        self._optimizer = torch.optim.Adam(self._net.parameters(), lr=case.lr)
        self._criterion = nn.CrossEntropyLoss()
        self._hidden = self._net.zero_hidden(case.batch_size)

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        self._net.load_parameters(params)

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: p.detach().numpy().copy() for name, p in self._net.named().items()}

    def optimizer_state(self) -> dict[str, np.ndarray]:
        return moments(self._optimizer, self._net.named())

    def step(self, window: Window) -> float:
        inputs = torch.from_numpy(one_hot_rows(window.inputs.T, self._case.config.vocab_size, self._case.dtype))
        targets = torch.from_numpy(np.ascontiguousarray(window.targets.T))
        h, c = self._hidden
        self._net.zero_grad()
        logits, self._hidden = self._net(inputs, (h.detach(), c.detach()))
        loss = self._criterion(logits, targets.view(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(self._net.parameters(), self._case.clip)
        self._optimizer.step()
        return loss.item()


def moments(optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter]) -> dict[str, np.ndarray]:
    """Adam's, as `exp_avg.<name>` and `exp_avg_sq.<name>`."""
    keys = "exp_avg", "exp_avg_sq"
    return {f"{key}.{name}": optimizer.state[p][key].numpy().copy() for key in keys for name, p in named.items()}


class NotebookSampler:
    def __init__(self, case: SampleCase):
        self._case, self._net = case, CharacterNet(case)
        self._char_of = dict(enumerate(case.vocabulary.tokens))
        self._id_of = {char: id_ for id_, char in self._char_of.items()}

    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        np.random.seed(seed)  # noqa: NPY002  the notebook draws from NumPy's global generator
        self._net.eval()
        hidden, chars = self._net.zero_hidden(1), list(prime)
        for char in prime:  # a character is drawn, and thrown away, at every character of the prime but the last
            following, hidden = self._predict(char, hidden, top_k)
        chars.append(following)
        for _ in range(size):
            following, hidden = self._predict(chars[-1], hidden, top_k)
            chars.append(following)
        return "".join(chars)

    def _predict(self, char: str, hidden: tuple[Tensor, Tensor], top_k: int) -> tuple[str, tuple[Tensor, Tensor]]:
        ids = np.array([[self._id_of[char]]])
        x = torch.from_numpy(one_hot_rows(ids, self._case.config.vocab_size, self._case.dtype))
        h, c = hidden
        logits, hidden = self._net(x, (h.detach(), c.detach()))
        p, candidates = F.softmax(logits, dim=1).detach().topk(top_k)
        weights = p.numpy().reshape(-1)
        drawn = np.random.choice(candidates.numpy().reshape(-1), p=weights / weights.sum())  # noqa: NPY002
        return self._char_of[int(drawn)], hidden

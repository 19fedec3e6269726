"""NumPy alone: the equations of lstm_ref.plain_model as they are read, in the case's precision. What the kernels are
for is the distance to this."""

from collections.abc import Mapping

import numpy as np

from benchmarks.cases import SampleCase, StepCase
from lstm_ref.core.batching import Window
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.core.masks import dropout_masks
from lstm_ref.kernels.adam import adam_plain
from lstm_ref.kernels.cell import cell_forward_plain
from lstm_ref.kernels.clip import clip_global_norm_plain
from lstm_ref.kernels.embedding import one_hot_encode
from lstm_ref.kernels.sampling import sample_token_plain
from lstm_ref.kernels.sgd import sgd_plain
from lstm_ref.plain_model import layer_params, loss_and_gradients_plain


def _in_precision(case: StepCase | SampleCase) -> dict[str, np.ndarray]:
    return {name: value.astype(case.dtype) for name, value in case.parameters().items()}


class PlainTrainer:
    def __init__(self, case: StepCase):
        self._case, self._params, self._steps = case, _in_precision(case), 0
        self._m, self._v = ({name: np.zeros_like(p) for name, p in self._params.items()} for _ in "mv")
        sizes, B = case.config.hidden_sizes, case.batch_size
        self._state = [(np.zeros((B, H), case.dtype), np.zeros((B, H), case.dtype)) for H in sizes]

    def load_parameters(self, params: Mapping[str, np.ndarray]) -> None:
        self._params = {name: params[name].astype(self._case.dtype) for name in self._params}

    def parameters(self) -> dict[str, np.ndarray]:
        return self._params

    def optimizer_state(self) -> dict[str, np.ndarray]:
        moments = {"exp_avg": self._m, "exp_avg_sq": self._v}
        return {f"{key}.{name}": value for key, arrays in moments.items() for name, value in arrays.items()}

    def step(self, window: Window) -> float:
        case = self._case
        masks = dropout_masks(case.config, Draws(case.seed, self._steps), *window.inputs.shape)
        run, grads = loss_and_gradients_plain(case.config, self._params, window, self._state, masks)
        self._state, self._steps = run.state, self._steps + 1
        _, grads = clip_global_norm_plain(grads, case.clip)
        for name, g in grads.items():
            self._update(name, g)
        return float(run.loss)

    def _update(self, name: str, g: np.ndarray) -> None:
        case, p = self._case, self._params[name]
        if case.optimizer.optimizer == "sgd":
            self._params[name] = sgd_plain(p, g, case.lr, case.optimizer)
        else:
            moments = self._m[name], self._v[name]
            updated = adam_plain(p, g, *moments, self._steps, case.lr, case.optimizer)
            self._params[name], self._m[name], self._v[name] = updated


class PlainSampler:
    def __init__(self, case: SampleCase):
        self._case, self._params = case, _in_precision(case)
        self._layers = [layer_params(self._params, k) for k in range(len(case.config.hidden_sizes))]

    def text(self, prime: str, size: int, top_k: int, seed: int) -> str:
        vocabulary, policy = self._case.vocabulary, SamplingPolicy(top_k=top_k)
        uniforms, ids = Draws(seed).one_each_step("sample"), vocabulary.encode(prime).tolist()
        sizes = self._case.config.hidden_sizes
        state = [(np.zeros((1, H), self._case.dtype), np.zeros((1, H), self._case.dtype)) for H in sizes]
        for token in ids[:-1]:
            _, state = self._logits(token, state)
        for _ in range(size + 1):
            logits, state = self._logits(ids[-1], state)
            ids.append(sample_token_plain(logits, policy, next(uniforms)))
        return vocabulary.decode(ids)

    def _logits(self, token: int, state: list) -> tuple[np.ndarray, list]:
        x = one_hot_encode(np.array([token]), self._case.config.vocab_size, self._case.dtype)
        next_state = []
        for params, (h, c) in zip(self._layers, state):
            x, c, _ = cell_forward_plain(x, h, c, params)
            next_state.append((x, c))
        return (x @ self._params["decoder.weight"].T + self._params["decoder.bias"])[0], next_state

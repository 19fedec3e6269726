"""What the suite asks and what it is told: named arrays with a few settings, in the same form for every way in.

A question is an operation with its inputs, an answer is its outputs. Parameters carry PyTorch's names and layouts
(gate order i, f, g, o). T steps, B rows, I inputs, H units, L layers, D directions, V vocabulary, N tokens, K steps of
training. Real arrays all have the question's dtype; ids, lengths and targets are int64; masks are bool, True = kept.

    operation  inputs -> outputs
    forward    <weights>, x [T,B,I], h0, c0 [L*D,B,H] (, lengths [B]) -> y [T,B,D*H], h_n, c_n [L*D,B,H]
    backward   forward's, and dy, dh_n, dc_n -> dx, dh0, dc0, d<weight> for each weight
    loss       logits [N,V], targets [N] -> loss [], dlogits [N,V]: mean over tokens, nats
    clip       <gradients> -> norm [], <gradients>; setting max_norm
    adam       p [N], g [K,N], lr [K] -> p [K,N] after each update; settings beta1, beta2, eps
    sgd        p [N], g [K,N], lr [K] -> p [K,N]
    batches    ids [N] -> inputs, targets [windows,T,B]; settings batch_size, seq_length
    evaluate   nll [N], tokens [windows] (their sum is N) -> loss [], perplexity []
    model      <model parameters>, inputs, targets [T,B], h0_l<k>, c0_l<k> [B,H_k] (, mask.<where>)
               -> loss [], h_l<k>, c_l<k>, d<parameter>; settings rates {where: p}, tied
    train      model's with a leading K on inputs, targets and masks, and lr [K]; setting clip (SGD)
               -> loss [K], <parameters after the last update>
    sample     logits [V], u [] -> id []; settings temperature, top_k, top_p. By convention, in the order (-logit, id)
               the first whose cumulative sum exceeds u times the total. To add up by id draws as well, but other ids
    generate   <model parameters>, prime [P], u [K] -> ids [K]; settings as sample

Weights of layer k are weight_ih_l<k> [4H,I], weight_hh_l<k> [4H,H], bias_ih_l<k>, bias_hh_l<k> [4H], with the suffix
_reverse for the second direction; weight_hr_l<k> [P,H] where there are projections (then h has P units), and
peephole_l<k> [3H] in the order i, f, o where there are peepholes. Model parameters are those of a language model:
embedding.weight [V,E] (absent: one-hot input), lstm.<weight>, decoder.weight [V,H] (absent when tied), decoder.bias.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Answer = dict[str, np.ndarray]

ON_LAYERS = ("forward", "backward")
ON_NUMBERS = ("loss", "clip", "adam", "sgd", "batches", "evaluate", "sample")
ON_MODELS = ("model", "train", "generate")
OPERATIONS = (*ON_LAYERS, *ON_NUMBERS, *ON_MODELS)


@dataclass(frozen=True, eq=False)
class Question:
    """`arrays` in the order in which they travel; `settings` are JSON values. Equal and hashed by its digest."""

    op: str
    arrays: Mapping[str, np.ndarray]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype:
        """Of the real arrays; float64 where there is none."""
        return next((a.dtype for a in self.arrays.values() if a.dtype.kind == "f"), np.dtype(np.float64))

    def weights(self) -> dict[str, np.ndarray]:
        """The parameters among the arrays."""
        starts = ("weight_", "bias_", "peephole_", "embedding.", "lstm.", "decoder.")
        return {name: array for name, array in self.arrays.items() if name.startswith(starts)}

    def masks(self) -> dict[str, np.ndarray]:
        return {name[len("mask.") :]: array for name, array in self.arrays.items() if name.startswith("mask.")}

    def astype(self, dtype: np.typing.DTypeLike) -> "Question":
        """Real arrays rounded to `dtype`, copies all."""
        arrays = {n: a.astype(dtype) if a.dtype.kind in "fc" else a.copy() for n, a in self.arrays.items()}
        return replace(self, arrays=arrays)

    def with_arrays(self, **arrays: np.ndarray) -> "Question":
        return replace(self, arrays={**self.arrays, **arrays})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Question) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """Equal for equal questions, bit by bit."""
        digest = hashlib.sha256(json.dumps([self.op, dict(self.settings)], sort_keys=True).encode())
        for name, array in self.arrays.items():
            digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def layer_names(weights: Mapping[str, np.ndarray]) -> list[str]:
    """The suffixes of all (layer, direction) pairs, in the order of h0's first axis: _l0, _l0_reverse, _l1, ..."""
    layers = [name.removeprefix("weight_hh") for name in weights if name.startswith("weight_hh_l")]
    return sorted(layers, key=lambda s: (int(s.removeprefix("_l").split("_")[0]), s.endswith("_reverse")))

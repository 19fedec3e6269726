"""One token from logits and one uniform u: the policy of lstm_ref.core.language_model.SamplingPolicy, in torch.

Written apart from the NumPy form on purpose: the two are tested to return the same id for the same logits and u.
Nothing waits for the device: an index that is an array is gathered, because x[index] would bring it to the host.
"""

import torch
from torch import Tensor

from lstm_ref.core.language_model import SamplingPolicy


def sample_token(logits: Tensor, policy: SamplingPolicy, u: float | Tensor) -> Tensor:
    """logits [V], any float dtype and device; u in [0, 1), a number or float64 [] on that device. Returns int64 [],
    there too."""
    z, order = torch.sort(logits.double() / policy.temperature, descending=True, stable=True)
    cumulative = torch.exp(z[: policy.top_k] - z[0]).cumsum(0)
    total = cumulative[-1]
    if policy.top_p is not None:  # all that follows the prefix is above its sum, so the search below ends inside it
        total = cumulative.take(torch.searchsorted(cumulative, policy.top_p * total))
    return order.take(torch.searchsorted(cumulative, u * total, right=True))

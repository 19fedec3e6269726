"""One token from logits and one uniform u: the policy of lstm_ref.core.language_model.SamplingPolicy, in torch.

Written apart from the NumPy form on purpose: the two are tested to return the same id for the same logits and u.
"""

import torch
from torch import Tensor

from lstm_ref.core.language_model import SamplingPolicy


def sample_token(logits: Tensor, policy: SamplingPolicy, u: float) -> Tensor:
    """logits [V], any float dtype and device; u in [0, 1). Returns int64 [], on the logits' device."""
    z, order = torch.sort(logits.double() / policy.temperature, descending=True, stable=True)
    cumulative = torch.exp(z[: policy.top_k] - z[0]).cumsum(0)
    if policy.top_p is not None:
        kept = 1 + torch.searchsorted(cumulative, policy.top_p * cumulative[-1])
        cumulative = cumulative[:kept]
    return order[torch.searchsorted(cumulative, u * cumulative[-1], right=True)]

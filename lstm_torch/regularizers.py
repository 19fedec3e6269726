"""What the config adds to the training loss [Merity et al. 2017, arXiv:1708.01009], differentiated by autograd.

    AR  = alpha * mean over t,b,j of x_tbj^2                            (1)
    TAR = beta * mean over t<T,b,j of (y_t+1,bj - y_tbj)^2              (2)  0 where T = 1

y: the last layer's output, [T,B,H]; x: y after dropout.
"""

from torch import Tensor

from lstm_ref.core.config import LanguageModelConfig


def penalty(config: LanguageModelConfig, x: Tensor, y: Tensor) -> Tensor:
    """(1) + (2), in x's dtype. What has the weight 0 is not computed."""
    total = x.new_zeros(())
    if config.ar_alpha:
        total = total + config.ar_alpha * x.square().mean()
    if config.tar_beta and len(y) > 1:
        total = total + config.tar_beta * y.to(x.dtype).diff(dim=0).square().mean()
    return total

"""Normalising that torch has no module for."""

from torch import Tensor, nn


def lrn_within_channel(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """x / (1 + alpha * the mean of the squares in the size x size window about it) **
    beta.
    """
    mean = nn.functional.avg_pool2d(x * x, size, stride=1, padding=(size - 1) // 2)
    normed: Tensor = x * (1 + alpha * mean) ** -beta
    return normed


def mean_variance_normalize(
    x: Tensor, across_channels: bool, normalize_variance: bool, eps: float
) -> Tensor:
    """Each plane, or each sample, less its mean, by its deviation + eps: to (N, C, H,
    W).
    """
    images = x.reshape(*x.shape, *(1,) * (4 - x.dim()))
    axes = (1, 2, 3) if across_channels else (2, 3)
    images = images - images.mean(axes, keepdim=True)
    if not normalize_variance:
        return images
    return images / ((images * images).mean(axes, keepdim=True).sqrt() + eps)

"""Stochastic pooling, which Caffe has in its GPU code alone (pooling_layer.cu)."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def stochastic_pool(
    x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], out: tuple[int, int], training: bool
) -> Tensor:
    """TRAIN: one pixel of each window, chosen with a probability in proportion to its value; TEST: the
    sum of squares over the sum. Values are meant to be at least 0.

    The choice comes from torch's default generator. (N, C, H, W) to (N, C, H', W'); a window that
    reaches past the image ends there.
    """
    reach = [(out[i] - 1) * stride[i] + kernel[i] - x.shape[2 + i] for i in (0, 1)]
    padded = F.pad(x, [0, max(reach[1], 0), 0, max(reach[0], 0)])
    windows = padded.unfold(2, kernel[0], stride[0]).unfold(3, kernel[1], stride[1]).flatten(4)
    if training:
        return _drawn(windows)
    tiny = torch.finfo(x.dtype).tiny
    return (windows * windows).sum(-1) / (windows.sum(-1) + tiny)


def _drawn(windows: Tensor) -> Tensor:
    """The first value of each window at which the running sum reaches a random share of the whole."""
    sums = windows.detach().cumsum(-1)
    threshold = torch.rand_like(sums[..., -1:]) * sums[..., -1:]
    chosen = (sums >= threshold).to(torch.uint8).argmax(-1, keepdim=True)
    return windows.gather(-1, chosen).squeeze(-1)

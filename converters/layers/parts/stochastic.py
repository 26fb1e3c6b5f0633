"""Stochastic pooling, which Caffe has in its GPU code alone (pooling_layer.cu)."""

import torch
from torch import Tensor

from converters.layers.parts.windows import Windows


def stochastic_pool(x: Tensor, windows: Windows, training: bool) -> Tensor:
    """TRAIN: one pixel of each window, chosen with a probability in proportion to its value; TEST: the
    sum of squares over the sum. Values are meant to be at least 0.

    The choice comes from torch's default generator. (N, C, H, W) to (N, C, H', W'); a window that
    reaches past the image ends there.
    """
    padded, windows = windows.padded(x, 0.0)
    kernel, stride = windows.kernel, windows.stride
    pixels = padded.unfold(2, kernel[0], stride[0]).unfold(3, kernel[1], stride[1]).flatten(4)
    if training:
        return _drawn(pixels)
    tiny = torch.finfo(x.dtype).tiny
    return (pixels * pixels).sum(-1) / (pixels.sum(-1) + tiny)


def _drawn(pixels: Tensor) -> Tensor:
    """The first value of each window at which the running sum reaches a random share of the whole."""
    sums = pixels.detach().cumsum(-1)
    threshold = torch.rand_like(sums[..., -1:]) * sums[..., -1:]
    chosen = (sums >= threshold).to(torch.uint8).argmax(-1, keepdim=True)
    return pixels.gather(-1, chosen).squeeze(-1)

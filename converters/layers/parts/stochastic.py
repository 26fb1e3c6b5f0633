"""Stochastic pooling, which Caffe has in its GPU code alone (pooling_layer.cu)."""

import torch
from torch import Tensor

from converters.layers.parts.windows import Windows


def stochastic_pool(x: Tensor, windows: Windows, training: bool) -> Tensor:
    """TRAIN: one pixel of each window, chosen with a probability in proportion to its value; TEST: the
    sum of squares over the sum, 0 where that is not above 0. Values are meant to be at least 0: of others the
    sum may be what is left of numbers far greater, so that it is taken in float64, or no two programs would
    agree in it (in float32 they were 7e-4 of the largest value apart).

    The choice comes from torch's default generator. (N, C, H, W) to (N, C, H', W'); a window that
    reaches past the image ends there.
    """
    padded, windows = windows.padded(x, 0.0)
    kernel, stride = windows.kernel, windows.stride
    pixels = padded.unfold(2, kernel[0], stride[0]).unfold(3, kernel[1], stride[1]).flatten(4)
    if training:
        return _drawn(pixels)
    exact = pixels.double()
    sums = exact.sum(-1)
    counts = sums > 0
    shares = exact.square().sum(-1) / torch.where(counts, sums, 1.0)
    return torch.where(counts, shares, 0.0).to(x.dtype)


def _drawn(pixels: Tensor) -> Tensor:
    """The first value of each window at which the running sum reaches a random share of the whole."""
    sums = pixels.detach().cumsum(-1)
    threshold = torch.rand_like(sums[..., -1:]) * sums[..., -1:]
    chosen = (sums >= threshold).to(torch.uint8).argmax(-1, keepdim=True)
    return pixels.gather(-1, chosen).squeeze(-1)

"""The pixels under a kernel as channels."""

from torch import Tensor, nn


def im2col(
    x: Tensor,
    axis: int,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> Tensor:
    """The values under each place of the kernel as channels, of any number of axes
    behind ``axis``: (..., C, sizes) to (..., C * kernel, places).
    """
    first, axes = axis + 1, len(kernel)
    windows = (
        nn.functional.pad(x, [p for pad in reversed(padding) for p in (pad, pad)])
        if axes
        else x
    )
    for at in range(axes):
        extent = dilation[at] * (kernel[at] - 1) + 1
        windows = windows.unfold(first + at, extent, stride[at])[..., :: dilation[at]]
    places, inner = range(first, first + axes), range(first + axes, first + 2 * axes)
    return windows.permute(*range(first), *inner, *places).flatten(axis, axis + axes)

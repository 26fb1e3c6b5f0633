"""Layers that have weights, or take pixels, at places of their own."""

import torch
from torch import Tensor, nn


class LocalConv2d(nn.Module):
    """A convolution that has other weights at each place."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        size: tuple[int, int],
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        """``size``: how many places there are, down and across."""
        super().__init__()
        self.size, self.kernel_size = size, kernel_size
        self.stride, self.padding = stride, padding
        taps, places = channels * kernel_size**2, size[0] * size[1]
        self.weight = nn.Parameter(torch.zeros(outputs, taps, places))
        self.bias = nn.Parameter(torch.zeros(outputs, places)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, outputs, *size)."""
        columns = nn.functional.unfold(
            x, self.kernel_size, padding=self.padding, stride=self.stride
        )
        y = torch.einsum("ocp,ncp->nop", self.weight, columns)
        y = y if self.bias is None else y + self.bias
        return y.reshape(*y.shape[:2], *self.size)


def spatial_transform(
    image: Tensor,
    theta: Tensor,
    size: tuple[int, int],
    matrix: tuple[float | None, ...] = (None,) * 6,
) -> Tensor:
    """(N, C, H, W) at the places that a matrix of 2 by 3 makes of an even grid of
    ``size``, bilinear, 0 beyond the image. ``theta`` (N, ...) has the numbers that
    ``matrix`` leaves open, rows first. Both axes go from -1 to 1, of which the last
    pixel stands one pixel short.
    """
    numbers = iter(theta.flatten(1).unbind(1))
    rows = [
        next(numbers) if n is None else theta.new_full(theta.shape[:1], n)
        for n in matrix
    ]
    down, across = (torch.arange(n, dtype=torch.float64) / n * 2 - 1 for n in size)
    y, x = torch.meshgrid(down, across, indexing="ij")
    grid = torch.stack([y, x, torch.ones_like(y)]).flatten(1).to(theta)
    places = torch.stack(rows, 1).reshape(-1, 2, 3) @ grid
    sides = places.new_tensor(image.shape[2:])[:, None]
    pixels = (places + 1) / 2 * sides
    points = ((2 * pixels.double() + 1) / sides - 1).flip(1).mT.reshape(-1, *size, 2)
    top = nn.functional.grid_sample(image.double(), points, align_corners=False)
    return top.to(image.dtype)

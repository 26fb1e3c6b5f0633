"""Products of the channels of two blobs."""

import torch
from torch import Tensor, nn


def channel_products(x: Tensor, y: Tensor) -> Tensor:
    """The product of each channel of one with each of the other, summed over pixels:
    (N, C, H, W) and (N, D, H, W) to (N, C, D).
    """
    return x.flatten(2) @ y.flatten(2).mT


class CompactBilinear(nn.Module):
    """The products of every pair of channels, each with a sign of its own added to one
    of ``outputs`` numbers, and all times ``outputs``.
    """

    x_place: Tensor
    x_sign: Tensor
    y_place: Tensor
    y_sign: Tensor

    def __init__(
        self, x_channels: int, y_channels: int, outputs: int, sum_pool: bool = True
    ) -> None:
        """Without ``sum_pool`` each pixel keeps its own."""
        super().__init__()
        self.outputs, self.sum_pool = outputs, sum_pool
        for name, channels in (("x", x_channels), ("y", y_channels)):
            place = torch.zeros(channels, dtype=torch.long)
            self.register_buffer(f"{name}_place", place)
            self.register_buffer(f"{name}_sign", torch.ones(channels))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, H, W) and (N, D, H, W) to (N, outputs, 1, 1) or (N, outputs, H, W)."""
        x, y = x * self.x_sign[:, None, None], y * self.y_sign[:, None, None]
        if not self.sum_pool:
            return self.by_pixel(x, y)
        pairs = channel_products(x, y).flatten(1)
        place = (self.x_place[:, None] + self.y_place).flatten() % self.outputs
        sums = pairs.new_zeros(len(x), self.outputs).index_add(1, place, pairs)
        return self.outputs * sums[..., None, None]

    def by_pixel(self, x: Tensor, y: Tensor) -> Tensor:
        """A product of sums in frequencies is the sum of products of places."""
        waves = []
        for part, place in ((x, self.x_place), (y, self.y_place)):
            sums = part.new_zeros(len(part), self.outputs, *part.shape[2:])
            sums = sums.index_add(1, place, part)
            waves.append(torch.fft.rfft(sums.float(), dim=1))
        product = waves[0] * waves[1]
        top: Tensor = torch.fft.irfft(product, self.outputs, dim=1, norm="forward")
        return top.to(x.dtype)

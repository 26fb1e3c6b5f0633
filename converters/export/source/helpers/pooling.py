"""Caffe's pooling where torch's rule is another."""

import torch
from torch import Tensor, nn


def pool_borders(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> list[int]:
    """How far Caffe's windows reach beyond an image (height, width): left, right, top
    and bottom. Their number is rounded up, and with padding none begins beyond the
    image and its padding.
    """
    borders: list[int] = []
    for n, k, s, p in zip(size, kernel, stride, padding, strict=True):
        count = (n + 2 * p - k + s - 1) // s + 1
        if any(padding):
            count = min(count, (n + p - 1) // s + 1)
        borders = [p, max((count - 1) * s + k - n - p, 0), *borders]
    return borders


def max_pool(
    x: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """The greatest value under each window: (N, C, H, W) to (N, C, H', W')."""
    size = (x.shape[2], x.shape[3])
    padded = nn.functional.pad(
        x, pool_borders(size, kernel, stride, padding), value=torch.finfo(x.dtype).min
    )
    pooled: Tensor = nn.functional.max_pool2d(padded, kernel, stride)
    return pooled


def average_pool(
    x: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """The sum under each of Caffe's windows by its area in the padded image: (N, C, H,
    W) to (N, C, H', W').
    """
    size = (x.shape[2], x.shape[3])
    padded = nn.functional.pad(x, pool_borders(size, kernel, stride, padding))
    total = nn.functional.avg_pool2d(padded, kernel, stride, divisor_override=1)
    areas = []
    for at, (n, k, s, p) in enumerate(
        zip(size, kernel, stride, padding, strict=True), 2
    ):
        start = torch.arange(total.shape[at], device=x.device) * s - p
        areas.append(((start + k).clamp(max=n + p) - start).to(x.dtype))
    return total / torch.outer(areas[0], areas[1])


class MaxPoolWithMask(nn.MaxPool2d):
    """Max pooling, and the place of each maximum in its plane as a number of the
    input's type.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to (N, C, H', W') twice."""
        top, places = nn.functional.max_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            ceil_mode=self.ceil_mode,
            return_indices=True,
        )
        return top, places.to(x.dtype)


class StochasticPool(nn.Module):
    """In training one value of each window, drawn with its share of their sum as its
    probability; else their mean, weighted so, 0 where their sum is not above 0.
    """

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        """Of windows of (height, width), so many apart."""
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        size = (x.shape[2], x.shape[3])
        padded = nn.functional.pad(
            x, pool_borders(size, self.kernel, self.stride, (0, 0))
        )
        windows = padded.unfold(2, self.kernel[0], self.stride[0]).unfold(
            3, self.kernel[1], self.stride[1]
        )
        values = windows.flatten(4)
        if not self.training:
            exact = values.double()
            total = exact.sum(-1)
            mean = exact.square().sum(-1) / torch.where(total > 0, total, 1.0)
            return torch.where(total > 0, mean, 0.0).to(x.dtype)
        sums = values.detach().cumsum(-1)
        least = torch.rand_like(sums[..., -1:]) * sums[..., -1:]
        return values.gather(
            -1, (sums >= least).to(torch.uint8).argmax(-1, keepdim=True)
        ).squeeze(-1)


def spatial_pyramid(x: Tensor, height: int, average: bool) -> Tensor:
    """Poolings of 1, 2, 4, ... bins a side, ``height`` of them, flattened and joined:
    (N, C, H, W) to (N, features).
    """
    pooled = []
    for level in range(height):
        bins = 2**level
        rows, columns = (x.shape[2] + bins - 1) // bins, (x.shape[3] + bins - 1) // bins
        padding = (
            (rows * bins - x.shape[2] + 1) // 2,
            (columns * bins - x.shape[3] + 1) // 2,
        )
        pool = average_pool if average else max_pool
        pooled.append(pool(x, (rows, columns), (rows, columns), padding))
    return (
        pooled[0] if height == 1 else torch.cat([each.flatten(1) for each in pooled], 1)
    )

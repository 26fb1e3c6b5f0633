"""What layers of Caffe's forks compute that torch has no module for."""

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Each pixel's channels, or each item, at length 1, times a learned scale."""

    def __init__(self, *shape: int, across_spatial: bool, eps: float) -> None:
        """``shape``: the scale's. ``eps`` is added to the square of the length."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape))
        self.across_spatial, self.eps = across_spatial, eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        axes = list(range(1, x.dim())) if self.across_spatial else [1]
        length = (x.square().sum(axes, keepdim=True) + self.eps).sqrt()
        return x / length * self.weight


def unit_length(x: Tensor, power: int, eps: float) -> tuple[Tensor, Tensor]:
    """Each pixel's channels over their length, the root of the sum of their squares
    plus ``eps``, or (``power`` 1) their absolute sum plus that; and the length.
    """
    x = x.reshape(*x.shape, *(1,) * (4 - x.dim()))
    if power == 1:
        length = x.abs().sum(1, keepdim=True) + eps
    else:
        length = (x.square().sum(1, keepdim=True) + eps).sqrt()
    return x / length, length


class UnitLinear(nn.Linear):
    """A linear layer whose rows of weights count at length 1."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        length = (self.weight.square().sum(1, keepdim=True) + 1e-6).sqrt()
        return nn.functional.linear(x, self.weight / length, self.bias)


def interp(
    x: Tensor,
    size: tuple[int, int] | None = None,
    shrink: int = 1,
    zoom: int = 1,
    full_zoom: int = 1,
    crop: tuple[int, int] = (0, 0),
) -> Tensor:
    """(N, C, H, W), cropped by so many pixels before and behind, to another size:
    bilinear, with corner pixels on corner pixels.
    """
    begin, end = crop
    x = x[:, :, begin : x.shape[2] - end, begin : x.shape[3] - end]
    if size is None:
        shrunk = [(side - 1) // shrink + 1 for side in x.shape[2:]]
        height, width = ((n + (n - 1) * (zoom - 1)) * full_zoom for n in shrunk)
        size = (height, width)
    return nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=True)


def unpool(
    x: Tensor,
    mask: Tensor,
    scale: tuple[int, int],
    less: tuple[int, int] = (0, 0),
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Every value at the place of its plane that the mask of a pooling names, zeros
    elsewhere; of several at one place the last. The plane is ``scale`` times as large,
    less some rows and columns, or of a size that is given.
    """
    height, width = size or (
        x.shape[2] * scale[0] - less[0],
        x.shape[3] * scale[1] - less[1],
    )
    place, values = mask.detach().long().flatten(2), x.flatten(2)
    order = torch.arange(values.shape[2], device=x.device).expand_as(place)
    empty = x.new_zeros(*x.shape[:2], height * width)
    last = torch.full_like(empty, -1, dtype=torch.long)
    last = last.scatter_reduce(2, place, order, "amax")
    top = torch.where(last < 0, empty, values.gather(2, last.clamp(min=0)))
    return top.reshape(*x.shape[:2], height, width)


def reorg(x: Tensor, stride: int) -> Tensor:
    """Darknet's: (N, C, H, W) to (N, C * s * s, H / s, W / s), of the memory as if it
    held s * s fewer channels. It is no space-to-depth.
    """
    count, channels, height, width = x.shape
    few, s = channels // stride**2, stride
    squares = x.reshape(count, few, height, s, width, s).permute(0, 3, 5, 1, 2, 4)
    return squares.reshape(count, channels * s**2, height // s, width // s)


def reverse_reorg(x: Tensor, stride: int) -> Tensor:
    """(N, C, H, W) to (N, C / (s * s), H * s, W * s)."""
    count, channels, height, width = x.shape
    few, s = channels // stride**2, stride
    squares = x.reshape(count, s, s, few, height, width).permute(0, 3, 4, 1, 5, 2)
    return squares.reshape(count, few, height * s, width * s)


class DividingRReLU(nn.Module):
    """x above 0, else x over a divisor: in training one drawn for each element."""

    def __init__(self, lower: float, upper: float, slope: float) -> None:
        """What divisors lie between, and the slope below 0 in evaluation."""
        super().__init__()
        self.lower, self.upper, self.slope = lower, upper, slope

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        if not self.training:
            return nn.functional.leaky_relu(x, self.slope)
        return torch.where(
            x > 0, x, x / torch.empty_like(x).uniform_(self.lower, self.upper)
        )


def squared_distances(x: Tensor, vectors: Tensor) -> Tensor:
    """The squared distance of each item from each vector: (..., K), (R, K) to
    (..., R).
    """
    return (x.unsqueeze(-2) - vectors).square().sum(-1)


def absolute_distances(x: Tensor, vectors: Tensor) -> Tensor:
    """The sum of absolute differences of each item and each vector."""
    return (x.unsqueeze(-2) - vectors).abs().sum(-1)


class APL(nn.Module):
    """max(x, 0) and sums of slope * max(offset - x, 0), learned for every value."""

    def __init__(self, sums: int, values: int) -> None:
        """How many hinges each of the values of a sample has."""
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(values, sums))
        self.offset = nn.Parameter(torch.zeros(values, sums))

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) to the same shape."""
        values = x.flatten(1).unsqueeze(2)
        hinges = ((self.offset - values).relu() * self.slope).sum(2)
        return x.relu() + hinges.reshape(x.shape)


def last_group_over(x: Tensor, size: int, places: list[int]) -> Tensor:
    """(N, C, ...), of whose channels the last ``size`` stay, to the same shape:
    ``places`` has for each of its channels which of them it is, or ``size`` for 0.
    """
    last = x[:, -size:]
    return torch.cat([last, torch.zeros_like(last[:, :1])], 1)[:, places]

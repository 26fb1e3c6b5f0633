"""Pooling windows by Caffe's rules, and the greatest value or mean under each.

Sizes are plain integers or the symbolic ones of torch.export, so nothing here asks which of two sizes is
greater where the answer could differ at another size.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.checks import checked_size, positive
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Pair = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Windows:
    """What slides over (height, width): ``is_floor`` rounds the number of windows down, else up."""

    kernel: Pair
    stride: Pair
    pad: Pair
    is_floor: bool = False

    def check(self, message: LayerParameter, shape: torch.Size) -> None:
        """Raise InputError for what PoolingLayer refuses over (N, C, H, W)."""
        positive(message, kernel_size=min(self.kernel), stride=min(self.stride))
        if any(p and p >= k for p, k in zip(self.pad, self.kernel, strict=True)):
            raise InputError(f"pad {self.pad} must be smaller than the kernel {self.kernel}", message.name)
        size = (shape[2], shape[3])
        if min(self.out(size)) < 1:
            raise InputError(f"kernel {self.kernel} is larger than {size} + 2·{self.pad} pad", message.name)
        if not self.is_native(size):
            padded = [n + 2 * p for n, p in zip(size, self.pad, strict=True)]
            checked_size(message, "padded bottom", [*shape[:2], *padded])

    def out(self, size: Pair) -> Pair:
        """Windows along each axis: without a last one that starts beyond the image and its padding, which
        Caffe checks only where either axis has padding (pooling_layer.cpp, Reshape).
        """
        return self._along(0, size[0]), self._along(1, size[1])

    def _along(self, axis: int, size: int) -> int:
        stride, pad = self.stride[axis], self.pad[axis]
        room = size + 2 * pad - self.kernel[axis] + (0 if self.is_floor else stride - 1)
        count = room // stride + 1
        if not any(self.pad) or self.is_floor or stride == 1:  # with these, none starts beyond
            return count
        least: int = torch.sym_min(count, (size + pad - 1) // stride + 1)  # type: ignore[no-untyped-call]
        return least

    def reach(self, size: Pair) -> Pair:
        """How far the last windows reach past the padded image, below 0 where they end before."""
        sides = zip(self.out(size), self.stride, self.kernel, size, self.pad, strict=True)
        height, width = ((out - 1) * s + k - (n + 2 * p) for out, s, k, n, p in sides)
        return height, width

    def may_reach_past(self, size: Pair) -> bool:
        """Whether a window is cut off at this size, at any size if this one is symbolic."""
        if is_symbolic(size):
            return not self.is_floor and self.stride != (1, 1)
        return any(reach > 0 for reach in self.reach(size))

    def is_native(self, size: Pair) -> bool:
        """Whether torch's own rule is Caffe's: it takes pads up to half the kernel and always drops a
        window that starts outside. Its rule for rounding up compares sizes, so it takes no symbolic ones.
        """
        if any(2 * p > k for p, k in zip(self.pad, self.kernel, strict=True)):
            return False
        if is_symbolic(size):
            return not self.may_reach_past(size)
        return not self.starts_outside(size)

    def starts_outside(self, size: Pair) -> bool:
        """Whether the last window along an axis starts beyond the image and its padding."""
        sides = zip(self.out(size), self.stride, size, self.pad, strict=True)
        return any((out - 1) * s >= n + p for out, s, n, p in sides)

    def padded(self, x: Tensor, value: float) -> "tuple[Tensor, Windows]":
        """``x`` with its padding, as far as the last windows reach, and windows that see the same in it."""
        size = (x.shape[2], x.shape[3])
        if is_symbolic(size):  # whatever the size, the formula is one: what is too much is cut off
            return F.pad(x, self._reaching(size), value=value), self
        border, same = self.borders(size)
        return (F.pad(x, border, value=value) if any(border) else x), same

    def borders(self, size: Pair) -> "tuple[list[int], Windows]":
        """The padding (left, right, top, down) of an image of this size as far as the last windows reach, and
        the windows that see the same in it: a stride that leaves the image at once is cut to what does so,
        too.
        """
        sides = zip(self.stride, size, self.pad, self.kernel, strict=True)
        height, width = (min(s, max(n + 2 * p, k)) for s, n, p, k in sides)
        same = replace(self, stride=(height, width))
        return [max(side, 0) for side in same._reaching(size)], same

    def _reaching(self, size: Pair) -> list[int]:
        top, left = self.pad
        down, right = (p + reach for p, reach in zip(self.pad, self.reach(size), strict=True))
        return [left, right, top, down]

    def extents(self, axis: int, size: Pair) -> list[int]:
        """The lengths of the windows along an axis, cut off at the image plus its padding."""
        stride, pad, kernel = self.stride[axis], self.pad[axis], self.kernel[axis]
        starts = (at * stride - pad for at in range(self.out(size)[axis]))
        return [min(start + kernel, size[axis] + pad) - start for start in starts]


def is_symbolic(size: Pair) -> bool:
    """Whether a size stands for any, as while torch.export makes it dynamic."""
    return any(isinstance(n, torch.SymInt) for n in size)


def max_pool(x: Tensor, windows: Windows) -> Tensor:
    """The greatest value of each window: (N, C, H, W) to (N, C, H', W')."""
    size = (x.shape[2], x.shape[3])
    if windows.is_native(size):
        ceil = windows.may_reach_past(size)
        return F.max_pool2d(x, windows.kernel, windows.stride, windows.pad, ceil_mode=ceil)
    padded, windows = _padded_for_max(x, windows)
    return F.max_pool2d(padded, windows.kernel, windows.stride)


def max_pool_with_mask(x: Tensor, windows: Windows) -> tuple[Tensor, Tensor]:
    """The same, and the place of each in its plane; -1 where a window has no pixel."""
    size = (x.shape[2], x.shape[3])
    if windows.is_native(size):
        ceil = windows.may_reach_past(size)
        top, mask = F.max_pool2d(
            x, windows.kernel, windows.stride, windows.pad, ceil_mode=ceil, return_indices=True
        )
        return top, mask.to(x.dtype)
    padded, windows = _padded_for_max(x, windows)
    top, index = F.max_pool2d(padded, windows.kernel, windows.stride, return_indices=True)
    return top, _unpad(index, padded.shape[3], windows.pad, x)


def _padded_for_max(x: Tensor, windows: Windows) -> tuple[Tensor, Windows]:
    """Caffe's -FLT_MAX is what a window without a pixel gives."""
    return windows.padded(x, torch.finfo(x.dtype).min)


def _unpad(index: Tensor, width: int, pad: Pair, x: Tensor) -> Tensor:
    """Indices of the padded plane as indices of the image's."""
    row, column = index // width - pad[0], index % width - pad[1]
    inside = (row >= 0) & (row < x.shape[2]) & (column >= 0) & (column < x.shape[3])
    return torch.where(inside, row * x.shape[3] + column, -1).to(x.dtype)


def average_pool(x: Tensor, windows: Windows) -> Tensor:
    """Sum over each window's pixels by its area inside the padded image: (N, C, H, W) to (N, C, H', W')."""
    size = (x.shape[2], x.shape[3])
    if torch.compiler.is_exporting() or is_symbolic(size):
        return _plain_average(x, windows)
    if windows.is_native(size):
        ceil = windows.may_reach_past(size)
        return F.avg_pool2d(x, windows.kernel, windows.stride, windows.pad, ceil_mode=ceil)
    padded, same = windows.padded(x, 0.0)
    total = F.avg_pool2d(padded, same.kernel, same.stride, divisor_override=1)
    return total / _areas(x, windows, total)


def _plain_average(x: Tensor, windows: Windows) -> Tensor:
    """The same for files: readers of ONNX disagree on what padding counts and how a last window ends, so
    there is neither.
    """
    padded, same = windows.padded(x, 0.0)
    mean = F.avg_pool2d(padded, same.kernel, same.stride)
    if not windows.may_reach_past((x.shape[2], x.shape[3])):
        return mean
    return mean * (windows.kernel[0] * windows.kernel[1] / _areas(x, windows, mean))


def _areas(x: Tensor, windows: Windows, pooled: Tensor) -> Tensor:
    """The windows' areas, cut off at the image plus its padding: (H', W')."""
    return torch.outer(_extents(x, windows, pooled, 0), _extents(x, windows, pooled, 1))


def _extents(x: Tensor, windows: Windows, pooled: Tensor, axis: int) -> Tensor:
    """Window lengths along one axis (one can be 0 or less)."""
    stride, pad = windows.stride[axis], windows.pad[axis]
    start = torch.arange(pooled.shape[2 + axis], device=x.device) * stride - pad
    end = (start + windows.kernel[axis]).clamp(max=x.shape[2 + axis] + pad)
    return (end - start).to(x.dtype)

"""Pooling with Caffe's output size and window rules, and the pyramid made of it."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.registry import Layer, Shapes, checked_size, layer, positive
from converters.layers.stochastic import stochastic_pool
from prototxt.caffe_pb2 import LayerParameter, PoolingParameter
from prototxt.errors import InputError


def _pair(message: LayerParameter, name: str, default: int) -> tuple[int, int]:
    """``<name>`` (or kernel_size), or both of ``<name>_h`` and ``<name>_w`` (pooling_layer.cpp)."""
    param = message.pooling_param
    square = "kernel_size" if name == "kernel" else name
    sides = (f"{name}_h", f"{name}_w")
    if not any(param.HasField(side) for side in sides):
        value = getattr(param, square) if param.HasField(square) else default
        return value, value
    if param.HasField(square) or not all(param.HasField(side) for side in sides):
        raise InputError(f"takes {square}, or both {sides[0]} and {sides[1]}", message.name)
    return getattr(param, sides[0]), getattr(param, sides[1])


def pooled_size(size: int, kernel: int, stride: int, pad: int, floor: bool, padded: bool) -> int:
    """Output size along one axis: rounded up, then without a last window that starts beyond the image
    and its padding, which Caffe checks only where either axis has padding (pooling_layer.cpp, Reshape).
    """
    steps = (size + 2 * pad - kernel) / stride
    out = (math.floor(steps) if floor else math.ceil(steps)) + 1
    return out - 1 if padded and (out - 1) * stride >= size + pad else out


@layer("Pooling", tops=(1, 2))
class Pooling(Layer):
    """MAX (optionally with a second top, each maximum's index in its plane), AVE or STOCHASTIC over
    (N, C, H, W). Of equal maxima the first in the window counts, forward and backward.

    A kernel larger than the padded image is taken, as in Caffe, where rounding up still leaves one
    window. STOCHASTIC is Caffe's GPU rule; Caffe's CPU build has none, and no recording holds it here.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.pooling_param
        if len(bottoms[0]) != 4:
            raise InputError(f"pools (N, C, H, W), not {len(bottoms[0])} axes", message.name)
        self.method = param.pool
        self.has_mask = len(message.top) > 1
        if self.has_mask and self.method != PoolingParameter.MAX:
            raise InputError("only MAX pooling has a second top", message.name)
        self.is_global = param.global_pooling
        self._set_windows(message, bottoms[0])

    def _set_windows(self, message: LayerParameter, shape: torch.Size) -> None:
        self.kernel, self.stride, self.pad = (
            _pair(message, name, default) for name, default in (("kernel", 0), ("stride", 1), ("pad", 0))
        )
        size = (shape[2], shape[3])
        if self.is_global:
            self._check_global(message)
            self.kernel = size
        self._check(message)
        floor = message.pooling_param.round_mode == PoolingParameter.FLOOR
        height, width = (
            pooled_size(size[i], self.kernel[i], self.stride[i], self.pad[i], floor, any(self.pad))
            for i in (0, 1)
        )
        if min(height, width) < 1:
            raise InputError(f"kernel {self.kernel} is larger than {size} + 2·{self.pad} pad", message.name)
        self.out = (height, width)
        sums = zip(self.out, self.stride, self.kernel, size, self.pad, strict=True)
        # How far the last window reaches past the padded image: 0 where torch's own rule gives the same.
        self.reach = [(out - 1) * s + k - (n + 2 * p) for out, s, k, n, p in sums]
        starts_outside = any((self.out[i] - 1) * self.stride[i] >= size[i] + self.pad[i] for i in (0, 1))
        self.is_native = not starts_outside and all(
            2 * p <= k for p, k in zip(self.pad, self.kernel, strict=True)
        )
        if not self.is_native:
            padded = [n + 2 * p for n, p in zip(size, self.pad, strict=True)]
            checked_size(message, "padded bottom", [*shape[:2], *padded])

    def _check(self, message: LayerParameter) -> None:
        positive(message, kernel_size=min(self.kernel), stride=min(self.stride))
        if any(p and p >= k for p, k in zip(self.pad, self.kernel, strict=True)):
            raise InputError(f"pad {self.pad} must be smaller than the kernel {self.kernel}", message.name)
        if any(self.pad) and self.method == PoolingParameter.STOCHASTIC:
            raise InputError("STOCHASTIC pooling takes no padding", message.name)

    def _check_global(self, message: LayerParameter) -> None:
        if self.kernel != (0, 0) or self.stride != (1, 1) or self.pad != (0, 0):
            raise InputError("global_pooling goes with no kernel, stride 1 and pad 0", message.name)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(N, C, H, W) to (N, C, H', W'), twice that with a mask top."""
        if self.method == PoolingParameter.STOCHASTIC:
            kernel = (x.shape[2], x.shape[3]) if self.is_global else self.kernel
            return stochastic_pool(x, kernel, self.stride, self.out, self.training)
        if self.is_global:
            return self._global(x)
        return self._max(x) if self.method == PoolingParameter.MAX else self._average(x)

    def _global(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.method == PoolingParameter.AVE:
            return F.adaptive_avg_pool2d(x, 1)
        top, mask = F.max_pool2d(x, x.shape[2:], return_indices=True)
        return (top, mask.to(x.dtype)) if self.has_mask else top

    def _max(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.is_native:
            ceil = max(self.reach) > 0
            if not self.has_mask:
                return F.max_pool2d(x, self.kernel, self.stride, self.pad, ceil_mode=ceil)
            top, mask = F.max_pool2d(
                x, self.kernel, self.stride, self.pad, ceil_mode=ceil, return_indices=True
            )
            return top, mask.to(x.dtype)
        # Caffe's -FLT_MAX is what a window without a pixel gives.
        padded = F.pad(x, self._border(), value=torch.finfo(x.dtype).min)
        top, index = F.max_pool2d(padded, self.kernel, self.stride, return_indices=True)
        return (top, self._unpad(index, padded.shape[3], x)) if self.has_mask else top

    def _border(self) -> list[int]:
        (top, left), (down, right) = self.pad, self.reach
        return [left, max(left + right, 0), top, max(top + down, 0)]

    def _unpad(self, index: Tensor, width: int, x: Tensor) -> Tensor:
        """Indices of the padded plane as indices of the image's; -1 where a window has no pixel."""
        row, column = index // width - self.pad[0], index % width - self.pad[1]
        inside = (row >= 0) & (row < x.shape[2]) & (column >= 0) & (column < x.shape[3])
        return torch.where(inside, row * x.shape[3] + column, -1).to(x.dtype)

    def _average(self, x: Tensor) -> Tensor:
        """Sum over the window's pixels, divided by its area inside the padded image."""
        if self.is_native:
            return F.avg_pool2d(x, self.kernel, self.stride, self.pad, ceil_mode=max(self.reach) > 0)
        padded = F.pad(x, self._border())
        total = F.avg_pool2d(padded, self.kernel, self.stride, divisor_override=1)
        return total / torch.outer(self._extents(x, 0), self._extents(x, 1))

    def _extents(self, x: Tensor, axis: int) -> Tensor:
        """Window lengths along one axis, cut off at the image plus its padding (it can be 0 or less)."""
        start = torch.arange(self.out[axis], device=x.device) * self.stride[axis] - self.pad[axis]
        end = (start + self.kernel[axis]).clamp(max=x.shape[2 + axis] + self.pad[axis])
        return (end - start).to(x.dtype)

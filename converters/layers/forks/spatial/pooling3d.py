"""Pooling of C3D over (N, C, time, height, width)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import checked_size
from converters.layers.forks.spatial.c3d import Three, check_axes, param_of, sides_of
from converters.layers.parts.gradient import asks_gradient
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class Pooling3DSpec(Spec):
    """Of Pooling3D: time, height, width; ``pad`` is that of height and width."""

    pool: str
    kernel: Three
    stride: Three = (1, 1, 1)
    pad: int = 0


@layer(
    "Pooling3D",
    source="facebook/C3D: pooling3d_layer.cpp",
    macs=free,
    fields=("pooling3d_param", "pooling_param.kernel_depth", "pooling_param.temporal_stride"),
)
class Pooling3D(Layer):
    """MAX or AVE over windows, as many as begin before the last could end (rounded up), and a last one that
    begins outside is not dropped: MAX gives -FLT_MAX there. Only AVE pads, and never in time. Of equal
    maxima each gets the whole gradient.
    """

    spec: Pooling3DSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = param_of(message, "pooling")
        self.spec = Pooling3DSpec(type(param).PoolMethod.Name(param.pool), *sides_of(message, "pooling"))
        check_axes(message, bottoms[0])
        if self.spec.pool == "STOCHASTIC" or (self.spec.pad and self.spec.pool != "AVE"):
            raise InputError("pools MAX without padding, or AVE", message.name)
        if min(self._out(bottoms[0][2:])) < 1:
            raise InputError(
                f"kernel {self.spec.kernel} is larger than {tuple(bottoms[0][2:])}", message.name
            )
        past = self._past(bottoms[0][2:])
        padded = [n + p + end for n, p, end in zip(bottoms[0][2:], self._pads, past, strict=True)]
        checked_size(message, "padded bottom", [*bottoms[0][:2], *padded])

    @property
    def _pads(self) -> Three:
        return 0, self.spec.pad, self.spec.pad

    def _out(self, sizes: Sequence[int]) -> list[int]:
        sides = zip(sizes, self.spec.kernel, self.spec.stride, self._pads, strict=True)
        return [(n + 2 * p - k + s - 1) // s + 1 for n, k, s, p in sides]

    def _strides(self, sizes: Sequence[int]) -> Three:
        """Cut where they leave the image at once, which would reach as far."""
        sides = zip(self.spec.stride, sizes, self._pads, self.spec.kernel, strict=True)
        time, height, width = (min(s, max(n + 2 * p, k)) for s, n, p, k in sides)
        return time, height, width

    def _past(self, sizes: Sequence[int]) -> list[int]:
        """How far the last windows reach past the image, below 0 where they end before."""
        sides = zip(self._out(sizes), self.spec.kernel, self._strides(sizes), self._pads, sizes, strict=True)
        return [(out - 1) * s + k - p - n for out, k, s, p, n in sides]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, C, T', H', W')."""
        kernel, stride = self.spec.kernel, self._strides(x.shape[2:])
        if self.spec.pool == "AVE":
            mean = _average(self._padded(x, 0.0), kernel, stride)
            return mean * (prod(kernel) / self._volumes(x, mean))
        padded = self._padded(x, torch.finfo(x.dtype).min)
        y = F.max_pool3d(padded, kernel, stride)
        return _with_all_ties(padded, y, kernel, stride) if asks_gradient(x) else y

    def _padded(self, x: Tensor, value: float) -> Tensor:
        past = self._past(x.shape[2:])
        border = [side for p, end in zip(self._pads, past, strict=True) for side in (end, p)]
        return F.pad(x, border[::-1], value=value) if any(border) else x

    def _volumes(self, x: Tensor, pooled: Tensor) -> Tensor:
        """How many pixels of the padded image each window has: (T', H', W')."""
        lengths = []
        for axis, (k, s, p) in enumerate(zip(self.spec.kernel, self.spec.stride, self._pads, strict=True), 2):
            start = torch.arange(pooled.shape[axis], device=x.device) * s - p
            lengths.append(((start + k).clamp(max=x.shape[axis] + p) - start).to(x.dtype))
        time, height, width = lengths
        return time[:, None, None] * height[:, None] * width


def _average(x: Tensor, kernel: Three, stride: Three) -> Tensor:
    """The mean of each window, of planes and then of times: torch's own has no bfloat16."""
    planes = F.avg_pool2d(x.flatten(1, 2), kernel[1:], stride[1:])
    lines = planes.reshape(*x.shape[:3], -1)
    means = F.avg_pool2d(lines, (kernel[0], 1), (stride[0], 1))
    return means.reshape(*means.shape[:3], *planes.shape[2:])


def _with_all_ties(x: Tensor, y: Tensor, kernel: Three, stride: Three) -> Tensor:
    """``y``, the greatest of each window of ``x``, with a gradient to every element that equals it."""
    windows = x
    for axis in range(3):
        windows = windows.unfold(2 + axis, kernel[axis], stride[axis])
    greatest = y.detach()[..., None, None, None]
    ties = (windows == greatest) & (greatest > torch.finfo(x.dtype).min)
    chosen = torch.where(ties, windows, 0).sum((-3, -2, -1))
    return y.detach() + (chosen - chosen.detach())

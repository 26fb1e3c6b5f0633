"""Layers of C3D over (N, C, time, height, width)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import checked_size, positive
from converters.layers.parts.geometry import Geometry
from converters.layers.parts.gradient import asks_gradient
from converters.layers.registry import Shapes, free, layer
from converters.layers.spatial.convolution import conv3d, per_input, per_output
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Three = tuple[int, int, int]  # time, height, width


def _param(message: LayerParameter, block: str) -> Any:
    """``block``3d_param, or, as C3D-v1.0 has it, ``block``_param."""
    own = f"{block}3d_param"
    return getattr(message, own if message.HasField(own) else f"{block}_param")


def _number(message: LayerParameter, block: str, name: str, default: int) -> int:
    """A number of :func:`_param`, where it may be a list."""
    param = _param(message, block)
    value = getattr(param, name)
    if isinstance(value, int):
        return value if param.HasField(name) else default
    if len(value) > 1:
        raise InputError(f"takes one {name}, not {len(value)}", message.name)
    return int(value[0]) if value else default


def _sides(message: LayerParameter, block: str) -> tuple[Three, Three, int]:
    """Kernel, stride, and the pad of height and width. Raises InputError for a kernel or stride of 0."""
    size, stride = _number(message, block, "kernel_size", 0), _number(message, block, "stride", 1)
    depth, step = _number(message, block, "kernel_depth", 1), _number(message, block, "temporal_stride", 1)
    positive(message, kernel_size=size, kernel_depth=depth, stride=stride, temporal_stride=step)
    return (depth, size, size), (step, stride, stride), _number(message, block, "pad", 0)


def _check_axes(message: LayerParameter, shape: torch.Size) -> None:
    if len(shape) != 5:
        raise InputError(f"takes (N, C, time, height, width), not {len(shape)} axes", message.name)


@dataclass(frozen=True)
class Convolution3DSpec(Spec):
    """Of Convolution3D and Deconvolution3D: time, height, width."""

    num_output: int
    kernel: Three
    stride: Three = (1, 1, 1)
    pad: Three = (0, 0, 0)
    bias_term: bool = True

    @classmethod
    def read(cls, message: LayerParameter, bias_term: bool) -> "Convolution3DSpec":
        """The message's numbers."""
        kernel, stride, pad = _sides(message, "convolution")
        outputs = _number(message, "convolution", "num_output", 0)
        positive(message, num_output=outputs)
        deep = _number(message, "convolution", "temporal_pad", 0)
        return cls(outputs, kernel, stride, (deep, pad, pad), bias_term)


class _Sliding3D(Layer):
    """What both share: weights, and a bias of five axes."""

    spec: Convolution3DSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes, spec: Convolution3DSpec) -> None:
        super().__init__()
        self.spec = spec
        self.sides = Geometry(spec.kernel, spec.stride, spec.pad, (1, 1, 1))
        _check_axes(message, bottoms[0])
        blob = (*self._ends(bottoms[0][1]), *spec.kernel)
        self.weight = nn.Parameter(torch.empty(checked_size(message, "weights", blob)))
        self.bias = nn.Parameter(torch.empty(1, 1, 1, 1, spec.num_output)) if spec.bias_term else None
        param = _param(message, "convolution")
        self.fillers = {"weight": param.weight_filler, "bias": param.bias_filler}

    def _ends(self, channels: int) -> tuple[int, int]:
        raise NotImplementedError

    def _flat_bias(self) -> Tensor | None:
        return None if self.bias is None else self.bias.flatten()


_FIELDS = (
    "convolution3d_param",
    *(
        f"convolution_param.{name}"
        for name in ("kernel_depth", "temporal_stride", "temporal_pad", "filter_group")
    ),
)


@layer(
    "Convolution3D",
    source="facebook/C3D: convolution3d_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=per_output,
    fields=_FIELDS,
)
class Convolution3D(_Sliding3D):
    """Cross-correlation; every filter sees all channels, for ``group`` is ignored and ``filter_group`` only
    splits the work. The bias blob is (1, 1, 1, 1, num_output).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        bias_term = _param(message, "convolution").bias_term
        super().__init__(message, bottoms, Convolution3DSpec.read(message, bias_term))
        self.sides.check_fit(message, bottoms[0][2:])

    def _ends(self, channels: int) -> tuple[int, int]:
        return self.spec.num_output, channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, num_output, T', H', W')."""
        return conv3d(x, self.weight, self._flat_bias(), self.spec.stride, self.spec.pad)


@layer(
    "Deconvolution3D",
    source="facebook/C3D: deconvolution3d_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=per_input,
    fields=_FIELDS,
)
class Deconvolution3D(_Sliding3D):
    """The transpose, with weights (C, num_output, …). Whether there is a bias ``convolution_param`` alone
    says: ``bias_term: false`` in convolution3d_param is not read.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        bias_term = message.convolution_param.bias_term
        super().__init__(message, bottoms, Convolution3DSpec.read(message, bias_term))
        sizes = self.sides.reverse_sizes(bottoms[0][2:])
        if min(sizes) < 1:
            raise InputError(f"pad {self.spec.pad} leaves nothing of the output: {sizes}", message.name)

    def _ends(self, channels: int) -> tuple[int, int]:
        return channels, self.spec.num_output

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, num_output, T', H', W')."""
        return F.conv_transpose3d(x, self.weight, self._flat_bias(), self.spec.stride, self.spec.pad)


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
        param = _param(message, "pooling")
        self.spec = Pooling3DSpec(type(param).PoolMethod.Name(param.pool), *_sides(message, "pooling"))
        _check_axes(message, bottoms[0])
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

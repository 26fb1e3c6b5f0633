"""Convolution and Deconvolution: kernels that slide over spatial axes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size, positive
from converters.layers.parts.geometry import Geometry, geometry
from converters.layers.parts.grid import Grid, inverse_grid, window_grid
from converters.layers.registry import ONE_OR_MORE, Shapes, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_MOST_AXES = 3  # of torch's convolutions; Caffe's own loop takes any number
_POINT = Geometry((1,), (1,), (0,), (1,))
_FAR = 10_000  # a stride of pixels; oneDNN's backward pass crashes at 65536 by 65536


@dataclass(frozen=True)
class ConvolutionSpec(Spec):
    """Of Convolution and Deconvolution: a number an axis, of the spatial axes behind ``axis``."""

    num_output: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    pad: tuple[int, ...] = (0,)
    dilation: tuple[int, ...] = (1,)
    group: int = 1
    bias_term: bool = True
    axis: int = 1

    @classmethod
    def read(cls, message: LayerParameter, bottoms: Shapes) -> "ConvolutionSpec":
        """The message's numbers. Raises InputError for what no bottoms of these shapes can take."""
        param, shape = message.convolution_param, bottoms[0]
        if len(message.top) != len(bottoms):
            raise InputError(f"takes one top per bottom, not {len(message.top)}", message.name)
        if len(set(bottoms)) != 1:
            raise InputError(f"bottoms differ in shape: {[tuple(s) for s in bottoms]}", message.name)
        axis = canonical_axis(message, param.axis, len(shape))
        axes = len(shape) - axis - 1
        if axes > _MOST_AXES:
            raise InputError(f"slides over at most {_MOST_AXES} spatial axes, not {axes}", message.name)
        sides = geometry(message, axes)
        positive(message, num_output=param.num_output, group=param.group)
        if shape[axis] % param.group or param.num_output % param.group:
            raise InputError(
                f"group {param.group} must divide {shape[axis]} channels and {param.num_output} outputs",
                message.name,
            )
        return cls(
            param.num_output, sides.kernel, sides.stride, sides.pad, sides.dilation, param.group,
            param.bias_term, axis,
        )  # fmt: skip

    @property
    def geometry(self) -> Geometry:
        """What slides."""
        return Geometry(self.kernel, self.stride, self.pad, self.dilation)


def per_output(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Each output value takes one weight per input it sees: the weights of one output channel."""
    weight = module.blobs()[0]
    return sum(shape[1:].numel() for shape in tops) * weight[0].numel()


def per_input(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Each input value of a deconvolution meets the weights of its channel once."""
    weight = module.blobs()[0]
    return sum(shape[1:].numel() for shape in bottoms) * weight[0].numel()


def convolution_grid(message: LayerParameter) -> Grid:
    """Where a convolution over height and width puts its pixels."""
    return inverse_grid(window_grid(geometry(message, 2)))


class _Sliding(Layer):
    """What Convolution and Deconvolution share: blobs, groups, and axes that are folded into the batch.

    With spatial axes it is a stock module too, whose constructor ``super()`` is.
    """

    spec: ConvolutionSpec
    slide: Any  # torch's function for that many axes

    def __init__(self, message: LayerParameter, bottoms: Shapes, spec: ConvolutionSpec) -> None:
        channels = bottoms[0][spec.axis]
        ends = self._ends(channels, spec.num_output)
        blob = checked_size(message, "weights", (ends[0], ends[1] // spec.group, *spec.kernel))
        if spec.kernel:
            super().__init__(
                channels, spec.num_output, kernel_size=spec.kernel, stride=spec.stride, padding=spec.pad,
                dilation=spec.dilation, groups=spec.group, bias=spec.bias_term,
            )  # fmt: skip
        else:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(blob))
            self.bias = nn.Parameter(torch.empty(spec.num_output)) if spec.bias_term else None
        self.spec = spec
        self.sides = spec.geometry if spec.kernel else _POINT
        param = message.convolution_param
        self.fillers = {"weight": param.weight_filler, "bias": param.bias_filler}

    def _ends(self, channels: int, outputs: int) -> tuple[int, int]:
        """The weight blob's first two axes, before the group divides the second."""
        return outputs, channels

    def _slide(self, x: Tensor, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        """One top per bottom: (…, C, spatial…) to (…, num_output, spatial'…)."""
        return tuple(self._one(x) for x in bottoms)

    def _one(self, x: Tensor) -> Tensor:
        axis = self.spec.axis
        images = x if axis == 1 else x.reshape(-1, *x.shape[axis:])
        if self.spec.kernel:
            y = self._slide(images, self.weight)
        else:  # no spatial axis: one pixel and one weight
            y = self._slide(images.unsqueeze(-1), self.weight.unsqueeze(-1)).squeeze(-1)
        return y if axis == 1 else y.reshape(*x.shape[:axis], *y.shape[1:])


class Convolution(_Sliding):
    """Cross-correlation over 0 to 3 spatial axes, those behind ``axis``, with the same weights for every
    bottom (conv_layer.cpp). Axes before ``axis`` are batch axes; ``force_nd_im2col`` and ``engine`` change
    nothing. Caffe's own loop takes more spatial axes, torch has none for them.
    """

    slide: Any = staticmethod(F.conv1d)

    def _slide(self, x: Tensor, weight: Tensor) -> Tensor:
        sides = self.sides
        stride = sides.stride
        if max(stride) > _FAR:  # there is one window
            stride = tuple(min(s, n + 2 * p) for s, n, p in zip(stride, x.shape[2:], sides.pad, strict=True))
        y: Tensor = self.slide(x, weight, self.bias, stride, sides.pad, sides.dilation, self.spec.group)
        return y


# torch declares one bottom where a layer takes several.
class Convolution1d(Convolution, nn.Conv1d):  # type: ignore[misc]
    """Over one axis."""


class Convolution2d(Convolution, nn.Conv2d):  # type: ignore[misc]
    """Over height and width."""

    slide = staticmethod(F.conv2d)


def conv3d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, pad: Any, dilation: Any = 1, group: Any = 1
) -> Tensor:
    """torch's, for which its ONNX exporter makes up a bias of two axes where there is none."""
    if bias is None and torch.compiler.is_exporting():
        bias = x.new_zeros(weight.shape[0])
    return F.conv3d(x, weight, bias, stride, pad, dilation, group)


class Convolution3d(Convolution, nn.Conv3d):  # type: ignore[misc]
    """Over three axes."""

    slide = staticmethod(conv3d)


class Deconvolution(_Sliding):
    """The transpose of Convolution, stride·(in - 1) + extent - 2·pad pixels wide; its weight blob is
    (C, num_output / group, kernel…) (deconv_layer.cpp).
    """

    slide = staticmethod(F.conv_transpose1d)

    def _ends(self, channels: int, outputs: int) -> tuple[int, int]:
        return channels, outputs

    def _slide(self, x: Tensor, weight: Tensor) -> Tensor:
        sides = self.sides
        stride = sides.stride
        if max(stride) > _FAR:
            stride = tuple(1 if n == 1 else s for s, n in zip(stride, x.shape[2:], strict=True))
        y: Tensor = self.slide(x, weight, self.bias, stride, sides.pad, 0, self.spec.group, sides.dilation)
        return y


class Deconvolution1d(Deconvolution, nn.ConvTranspose1d):  # type: ignore[misc]
    """Over one axis."""


class Deconvolution2d(Deconvolution, nn.ConvTranspose2d):  # type: ignore[misc]
    """Over height and width."""

    slide = staticmethod(F.conv_transpose2d)


class Deconvolution3d(Deconvolution, nn.ConvTranspose3d):  # type: ignore[misc]
    """Over three axes."""

    slide = staticmethod(F.conv_transpose3d)


_Kind = Callable[[LayerParameter, Shapes, ConvolutionSpec], Layer]
_CONVOLUTIONS: tuple[_Kind, ...] = (Convolution, Convolution1d, Convolution2d, Convolution3d)  # by axes
_DECONVOLUTIONS: tuple[_Kind, ...] = (Deconvolution, Deconvolution1d, Deconvolution2d, Deconvolution3d)


@layer(
    "Convolution",
    source="conv_layer.cpp",
    bottoms=ONE_OR_MORE,
    tops=ONE_OR_MORE,
    blobs=("weight", "bias"),
    learns=True,
    macs=per_output,
    grid=convolution_grid,
)
def convolution(message: LayerParameter, bottoms: Shapes) -> Layer:
    """The module for as many spatial axes as there are. Raises InputError for a kernel that does not fit."""
    spec = ConvolutionSpec.read(message, bottoms)
    spec.geometry.check_fit(message, bottoms[0][spec.axis + 1 :])
    return _CONVOLUTIONS[len(spec.kernel)](message, bottoms, spec)


@layer(
    "Deconvolution",
    source="deconv_layer.cpp",
    bottoms=ONE_OR_MORE,
    tops=ONE_OR_MORE,
    blobs=("weight", "bias"),
    learns=True,
    macs=per_input,
    grid=lambda message: window_grid(geometry(message, 2)),
)
def deconvolution(message: LayerParameter, bottoms: Shapes) -> Layer:
    """The module for as many spatial axes as there are. Raises InputError where padding eats the output."""
    spec = ConvolutionSpec.read(message, bottoms)
    sizes = spec.geometry.reverse_sizes(bottoms[0][spec.axis + 1 :])
    if min(sizes, default=1) < 1:
        raise InputError(f"pad {spec.pad} leaves nothing of the output: {sizes}", message.name)
    return _DECONVOLUTIONS[len(spec.kernel)](message, bottoms, spec)

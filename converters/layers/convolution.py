"""Convolution, Deconvolution and Im2col: kernels that slide over spatial axes."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size, positive
from converters.layers.registry import ONE_OR_MORE, Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_CONVOLVE: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_DECONVOLVE: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@dataclass(frozen=True)
class Geometry:
    """What slides, with one number per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """How many pixels the dilated kernel spans."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def sizes(self, spatial: Sequence[int]) -> list[int]:
        """Output sizes: floor((in + 2·pad - extent) / stride) + 1; below 1 where the kernel is too large."""
        steps = zip(spatial, self.extent, self.stride, self.pad, strict=True)
        return [(n + 2 * p - extent) // s + 1 for n, extent, s, p in steps]

    def reverse_sizes(self, spatial: Sequence[int]) -> list[int]:
        """Output sizes of the transpose: stride·(in - 1) + extent - 2·pad."""
        steps = zip(spatial, self.extent, self.stride, self.pad, strict=True)
        return [s * (n - 1) + extent - 2 * p for n, extent, s, p in steps]


def spatial(message: LayerParameter, name: str, axes: int, default: int) -> tuple[int, ...]:
    """kernel, stride, pad or dilation per spatial axis, in any of the forms Caffe takes.

    Repeated (one for all axes or one each), or ``<name>_h`` with ``<name>_w`` for two axes
    (base_conv_layer.cpp, LayerSetUp). Raises InputError for a mixture or a wrong count.
    """
    param = message.convolution_param
    listed = list(getattr(param, {"kernel": "kernel_size"}.get(name, name)))
    pair = [f"{name}_h", f"{name}_w"] if name != "dilation" else []
    if any(param.HasField(field) for field in pair):
        if listed or axes != 2:
            raise InputError(
                f"{name}_h and {name}_w go with two spatial axes and no other {name}", message.name
            )
        return getattr(param, pair[0]), getattr(param, pair[1])
    if len(listed) not in (0, 1, axes):
        raise InputError(f"{len(listed)} {name} values for {axes} spatial axes", message.name)
    return tuple(listed if len(listed) == axes else (listed or [default]) * axes)


def geometry(message: LayerParameter, axes: int) -> Geometry:
    """The numbers of a convolution over ``axes`` spatial axes, checked."""
    found = Geometry(
        spatial(message, "kernel", axes, 0),
        spatial(message, "stride", axes, 1),
        spatial(message, "pad", axes, 0),
        spatial(message, "dilation", axes, 1),
    )
    for name in ("kernel", "stride", "dilation"):
        if min(getattr(found, name), default=1) < 1:
            raise InputError(f"{name} must be at least 1", message.name)
    return found


def check_fit(message: LayerParameter, found: Geometry, sizes: Sequence[int]) -> None:
    """Raise InputError for a kernel larger than the padded input.

    Caffe rounds its negative quotient towards 0, so that with a stride above the excess it would go on
    and read zeros beyond the padding.
    """
    for n, k, p, d in zip(sizes, found.kernel, found.pad, found.dilation, strict=True):
        if d * (k - 1) + 1 > n + 2 * p:
            raise InputError(f"kernel {k} (dilation {d}) is larger than {n} + 2·{p} pad", message.name)


def _per_output(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Each output value takes one weight per input it sees: the weights of one output channel."""
    weight = module.blobs()[0]
    return sum(shape[1:].numel() for shape in tops) * weight[0].numel()


def _per_input(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Each input value of a deconvolution meets the weights of its channel once."""
    weight = module.blobs()[0]
    return sum(shape[1:].numel() for shape in bottoms) * weight[0].numel()


class _Sliding(Layer):
    """What Convolution and Deconvolution share: blobs, groups, and axes that are folded into the batch."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, shape = message.convolution_param, bottoms[0]
        if len(message.top) != len(bottoms):
            raise InputError(f"takes one top per bottom, not {len(message.top)}", message.name)
        if len(set(bottoms)) != 1:
            raise InputError(f"bottoms differ in shape: {[tuple(s) for s in bottoms]}", message.name)
        self.axis = canonical_axis(message, param.axis, len(shape))
        axes = len(shape) - self.axis - 1
        if axes > max(_CONVOLVE):
            raise InputError(f"slides over at most {max(_CONVOLVE)} spatial axes, not {axes}", message.name)
        self.geometry = geometry(message, axes)
        self.group = param.group
        self._check_group(message, shape[self.axis])
        outer, inner = self._ends(shape[self.axis], param.num_output)
        blob = checked_size(message, "weights", (outer, inner // param.group, *self.geometry.kernel))
        self.weight = nn.Parameter(torch.empty(blob))
        self.bias = nn.Parameter(torch.empty(param.num_output)) if param.bias_term else None
        self.fillers = {"weight": param.weight_filler, "bias": param.bias_filler}

    def _ends(self, channels: int, outputs: int) -> tuple[int, int]:
        """The weight blob's first two axes, before the group divides the second."""
        raise NotImplementedError

    def _slide(self, x: Tensor, axes: int, weight: Tensor, found: Geometry) -> Tensor:
        raise NotImplementedError

    def _check_group(self, message: LayerParameter, channels: int) -> None:
        param = message.convolution_param
        positive(message, num_output=param.num_output, group=param.group)
        if channels % param.group or param.num_output % param.group:
            raise InputError(
                f"group {param.group} must divide {channels} channels and {param.num_output} outputs",
                message.name,
            )

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        """One top per bottom: (…, C, spatial…) to (…, num_output, spatial'…)."""
        return tuple(self._one(x) for x in bottoms)

    def _one(self, x: Tensor) -> Tensor:
        axes = len(self.geometry.kernel)
        images = x if self.axis == 1 else x.reshape(-1, *x.shape[self.axis :])
        if axes:
            y = self._slide(images, axes, self.weight, self.geometry)
        else:  # no spatial axis: one pixel and one weight
            point = Geometry((1,), (1,), (0,), (1,))
            y = self._slide(images.unsqueeze(-1), 1, self.weight.unsqueeze(-1), point).squeeze(-1)
        return y if self.axis == 1 else y.reshape(*x.shape[: self.axis], *y.shape[1:])


@layer(
    "Convolution",
    source="conv_layer.cpp",
    bottoms=ONE_OR_MORE,
    tops=ONE_OR_MORE,
    blobs=("weight", "bias"),
    learns=True,
    macs=_per_output,
)
class Convolution(_Sliding):
    """Cross-correlation over 0 to 3 spatial axes, those behind ``axis``, with the same weights for every
    bottom (conv_layer.cpp). Axes before ``axis`` are batch axes; ``force_nd_im2col`` and ``engine`` change
    nothing. Caffe's own loop takes more spatial axes, torch has none for them.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        check_fit(message, self.geometry, bottoms[0][self.axis + 1 :])

    def _ends(self, channels: int, outputs: int) -> tuple[int, int]:
        return outputs, channels

    def _slide(self, x: Tensor, axes: int, weight: Tensor, found: Geometry) -> Tensor:
        y: Tensor = _CONVOLVE[axes](x, weight, self.bias, found.stride, found.pad, found.dilation, self.group)
        return y


@layer(
    "Deconvolution",
    source="deconv_layer.cpp",
    bottoms=ONE_OR_MORE,
    tops=ONE_OR_MORE,
    blobs=("weight", "bias"),
    learns=True,
    macs=_per_input,
)
class Deconvolution(_Sliding):
    """The transpose of Convolution, stride·(in - 1) + extent - 2·pad pixels wide; its weight blob is
    (C, num_output / group, kernel…) (deconv_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        sizes = self.geometry.reverse_sizes(bottoms[0][self.axis + 1 :])
        if min(sizes, default=1) < 1:
            raise InputError(f"pad {self.geometry.pad} leaves nothing of the output: {sizes}", message.name)

    def _ends(self, channels: int, outputs: int) -> tuple[int, int]:
        return channels, outputs

    def _slide(self, x: Tensor, axes: int, weight: Tensor, found: Geometry) -> Tensor:
        y: Tensor = _DECONVOLVE[axes](
            x, weight, self.bias, found.stride, found.pad, 0, self.group, found.dilation
        )
        return y


@layer("Im2col", source="im2col_layer.cpp", macs=free)
class Im2col(Layer):
    """The pixels under each place of the kernel as channels: (…, C, spatial…) to
    (…, C·kernel…, places…), over any number of spatial axes (im2col_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        shape = bottoms[0]
        self.axis = canonical_axis(message, message.convolution_param.axis, len(shape))
        self.geometry = geometry(message, len(shape) - self.axis - 1)
        sizes = shape[self.axis + 1 :]
        check_fit(message, self.geometry, sizes)
        checked_size(
            message, "top", [*shape[: self.axis + 1], *self.geometry.kernel, *self.geometry.sizes(sizes)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; see the class."""
        first, axes = self.axis + 1, len(self.geometry.kernel)
        windows = F.pad(x, [p for pad in reversed(self.geometry.pad) for p in (pad, pad)]) if axes else x
        for i, (_, stride, _, dilation) in enumerate(zip(*astuple(self.geometry), strict=True)):
            windows = windows.unfold(first + i, self.geometry.extent[i], stride)[..., ::dilation]
        places, kernel = range(first, first + axes), range(first + axes, first + 2 * axes)
        columns = windows.permute(*range(first), *kernel, *places)
        return columns.flatten(self.axis, self.axis + axes)

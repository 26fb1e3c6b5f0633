"""Layers with a weight matrix: Convolution and InnerProduct."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.registry import Layer, Shapes, canonical_axis, layer
from prototxt.caffe_pb2 import ConvolutionParameter, LayerParameter
from prototxt.errors import InputError

_CONVOLVE: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


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


def convolution_geometry(message: LayerParameter, axes: int) -> dict[str, tuple[int, ...]]:
    """kernel, stride, pad and dilation of a convolution, each with one number per spatial axis."""
    geometry = {
        "kernel": spatial(message, "kernel", axes, 0),
        "stride": spatial(message, "stride", axes, 1),
        "pad": spatial(message, "pad", axes, 0),
        "dilation": spatial(message, "dilation", axes, 1),
    }
    for name in ("kernel", "stride", "dilation"):
        if min(geometry[name]) < 1:
            raise InputError(f"{name} must be at least 1", message.name)
    return geometry


@layer("Convolution")
class Convolution(Layer):
    """Cross-correlation over 1 to 3 spatial axes, (N, C, …) to (N, num_output, …), the same weights for
    every bottom; output size is floor((in + 2·pad - extent) / stride) + 1 (conv_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.convolution_param
        axes = len(bottoms[0]) - 2 if bottoms else 0
        if axes not in _CONVOLVE or param.axis != 1:
            raise InputError("convolves blobs (N, C, 1 to 3 spatial axes) along axis 1", message.name)
        self.geometry = convolution_geometry(message, axes)
        self.group = param.group
        channels = _grouped_channels(message, param, bottoms)
        for shape in bottoms:
            self._check_size(message, shape)
        kernel = self.geometry["kernel"]
        self.weight = nn.Parameter(torch.empty(param.num_output, channels, *kernel))
        self.bias = nn.Parameter(torch.empty(param.num_output)) if param.bias_term else None
        self.fillers = [param.weight_filler, param.bias_filler]

    def _check_size(self, message: LayerParameter, shape: Sequence[int]) -> None:
        geometry = self.geometry
        for size, k, p, d in zip(
            shape[2:], geometry["kernel"], geometry["pad"], geometry["dilation"], strict=True
        ):
            if d * (k - 1) + 1 > size + 2 * p:
                raise InputError(f"kernel {k} (dilation {d}) is larger than {size} + 2·{p} pad", message.name)

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        """One top per bottom."""
        geometry = self.geometry
        convolve = _CONVOLVE[len(geometry["kernel"])]
        return tuple(
            convolve(
                x,
                self.weight,
                self.bias,
                geometry["stride"],
                geometry["pad"],
                geometry["dilation"],
                self.group,
            )
            for x in bottoms
        )


def _grouped_channels(message: LayerParameter, param: ConvolutionParameter, bottoms: Shapes) -> int:
    """Input channels of one group; raises InputError where the numbers do not divide."""
    channels = {shape[1] for shape in bottoms}
    if len(channels) != 1:
        raise InputError(f"bottoms have different channels: {sorted(channels)}", message.name)
    count = channels.pop()
    if param.num_output < 1:
        raise InputError("num_output must be at least 1", message.name)
    if param.group < 1 or count % param.group or param.num_output % param.group:
        raise InputError(
            f"group {param.group} must divide {count} channels and {param.num_output} outputs", message.name
        )
    return count // param.group


@layer("InnerProduct")
class InnerProduct(Layer):
    """y = W·x + b over all axes from ``axis`` on: (…, a, b) to (…, num_output); ``transpose`` keeps W
    as (in, out) (inner_product_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        if len(bottoms) != 1:
            raise InputError(f"takes 1 bottom, not {len(bottoms)}", message.name)
        param = message.inner_product_param
        if param.num_output < 1:
            raise InputError("num_output must be at least 1", message.name)
        self.axis = canonical_axis(message, param.axis, len(bottoms[0]))
        self.transpose = param.transpose
        size = bottoms[0][self.axis :].numel()
        shape = (size, param.num_output) if param.transpose else (param.num_output, size)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(param.num_output)) if param.bias_term else None
        self.fillers = [param.weight_filler, param.bias_filler]

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, b) to (…, num_output)."""
        weight = self.weight.t() if self.transpose else self.weight
        return F.linear(x.flatten(self.axis), weight, self.bias)

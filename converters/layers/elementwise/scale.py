"""Scale and Bias: a blob of numbers spread over some of the bottom's axes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import BiasParameter, FillerParameter, LayerParameter, ScaleParameter
from prototxt.errors import InputError


def _covered(
    message: LayerParameter, param: ScaleParameter | BiasParameter, bottoms: Shapes
) -> tuple[int, torch.Size]:
    """(the first covered axis, the shape of the numbers): the second bottom's, else that of ``num_axes``
    axes from ``axis`` on, -1: all. A second bottom without axes covers nothing and starts at 0.
    """
    shape = bottoms[0]
    if len(bottoms) == 2 and not len(bottoms[1]):
        return 0, bottoms[1]
    axis = canonical_axis(message, param.axis, len(shape))
    end = len(shape) if param.num_axes == -1 else axis + param.num_axes
    if len(bottoms) == 2:
        covered = bottoms[1]
    elif param.num_axes < -1 or end > len(shape):
        raise InputError(f"num_axes {param.num_axes} from axis {axis} passes the bottom's axes", message.name)
    else:
        covered = shape[axis:end]
    if covered != shape[axis : axis + len(covered)]:
        raise InputError(f"{tuple(covered)} does not fit {tuple(shape)} from axis {axis}", message.name)
    return axis, covered


def _spread(blob: Tensor, x: Tensor, axis: int) -> Tensor:
    """``blob`` with as many axes behind it as make it broadcast over ``x`` from ``axis`` on."""
    return blob.reshape(blob.shape + (1,) * (x.dim() - axis - blob.dim()))


@dataclass(frozen=True)
class ScaleSpec(Spec):
    """Of Scale: the axes that its numbers cover."""

    axis: int = 1
    num_axes: int = 1
    bias_term: bool = False


@layer("Scale", source="scale_layer.cpp", bottoms=(1, 2), blobs=("weight", "bias"), macs=free, pointwise=True)
class Scale(Layer):
    """x times a blob of scales along ``axis``, plus a bias with ``bias_term``; with two bottoms the
    second is the scale. One scale per element of ``num_axes`` axes, -1: all that follow
    (scale_layer.cpp). The scale is filled with 1 where no filler is given.
    """

    spec: ScaleSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.scale_param
        axis, covered = _covered(message, param, bottoms)
        self.spec = ScaleSpec(axis, len(covered), param.bias_term)
        self.weight = nn.Parameter(torch.empty(covered)) if len(bottoms) == 1 else None
        self.bias = nn.Parameter(torch.empty(covered)) if param.bias_term else None
        one = param.filler if param.HasField("filler") else FillerParameter(value=1)
        self.fillers = {"weight": one, "bias": param.bias_filler}

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Any shape to the same shape."""
        weight = self.weight if scale is None else scale
        assert weight is not None
        y = x * _spread(weight, x, self.spec.axis)
        return y if self.bias is None else y + _spread(self.bias, x, self.spec.axis)


@dataclass(frozen=True)
class BiasSpec(Spec):
    """Of Bias: the axes that its numbers cover."""

    axis: int = 1
    num_axes: int = 1


@layer("Bias", source="bias_layer.cpp", bottoms=(1, 2), blobs=("bias",), macs=free, pointwise=True)
class Bias(Layer):
    """x plus a blob of biases along ``axis``, or plus the second bottom; axes as in Scale
    (bias_layer.cpp).
    """

    spec: BiasSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.bias_param
        axis, covered = _covered(message, param, bottoms)
        self.spec = BiasSpec(axis, len(covered))
        self.bias = nn.Parameter(torch.empty(covered)) if len(bottoms) == 1 else None
        self.fillers = {"bias": param.filler}

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Any shape to the same shape."""
        blob = self.bias if bias is None else bias
        assert blob is not None
        return x + _spread(blob, x, self.spec.axis)

"""Convolution with weights of its own at each place."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import check_planes, checked_size, positive
from converters.layers.parts.geometry import Geometry
from converters.layers.registry import Shapes, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class LocalSpec(Spec):
    """Of Local."""

    num_output: int
    kernel_size: int
    stride: int = 1
    pad: int = 0
    bias_term: bool = True


def _per_place(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Each weight is met once."""
    return module.blobs()[0].numel()


@layer(
    "Local",
    "LocalWeightedConvolution",
    source="happynear/caffe-windows: local_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=_per_place,
    fields=("local_param", "local_weighted_convolution_param"),
)
class Local(Layer):
    """A square window slides, and at each place has other weights: (num_output, 1, C·k·k, places), and a bias
    (1, 1, num_output, places). BVLC's early LocalWeightedConvolution is the same.
    """

    spec: LocalSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        shape = bottoms[0]
        check_planes(message, shape)
        old = message.HasField("local_weighted_convolution_param")
        param = message.local_weighted_convolution_param if old else message.local_param
        positive(message, num_output=param.num_output, kernel_size=param.kernel_size, stride=param.stride)
        self.spec = LocalSpec(param.num_output, param.kernel_size, param.stride, param.pad, param.bias_term)
        if min(shape[2:]) < param.kernel_size:
            raise InputError(f"kernel {param.kernel_size} is larger than {tuple(shape[2:])}", message.name)
        both = [(number,) * 2 for number in (param.kernel_size, param.stride, param.pad, 1)]
        self.sides = Geometry(*both)
        height, width = self.sides.sizes(shape[2:])
        weights = (param.num_output, 1, shape[1] * param.kernel_size**2, height * width)
        self.weight = nn.Parameter(torch.empty(checked_size(message, "weights", weights)))
        bias = torch.empty(1, 1, param.num_output, height * width)
        self.bias = nn.Parameter(bias) if param.bias_term else None
        self.fillers = {"weight": param.weight_filler, "bias": param.bias_filler}

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, num_output, H', W')."""
        spec = self.spec
        columns = F.unfold(x, spec.kernel_size, padding=spec.pad, stride=spec.stride)
        y = torch.einsum("mkp,nkp->nmp", self.weight.squeeze(1), columns)
        y = y if self.bias is None else y + self.bias.squeeze(0)
        return y.reshape(*y.shape[:2], *self.sides.sizes(x.shape[2:]))

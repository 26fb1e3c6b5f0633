"""InnerProduct of happynear's fork."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.choice import Dialect
from converters.layers.connected.dense import InnerProduct, InnerProductSpec, inner_product, per_output
from converters.layers.registry import Shapes, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_LEAST = 1e-6  # added to the square of a row's length


class NormalizedInnerProduct(InnerProduct):
    """Caffe's, whose rows of weights each forward pass first brings to the length 1, for good."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, b) to (…, num_output)."""
        with torch.no_grad():
            length = (self.weight.square().sum(1, keepdim=True) + _LEAST).sqrt()
            self.weight.copy_(self.weight / length)
        return super().forward(x)


class InnerProductOfTwo(Layer):
    """The first bottom times the second, which has a row of weights an output."""

    spec: InnerProductSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes, spec: InnerProductSpec) -> None:
        super().__init__()
        self.spec = spec
        size = bottoms[0][spec.axis :].numel()
        if spec.bias_term or spec.transpose:
            raise InputError("with a second bottom takes bias_term: false and no transpose", message.name)
        if bottoms[1].numel() != size * spec.num_output:
            wanted = (spec.num_output, size)
            raise InputError(f"the second bottom {tuple(bottoms[1])} is no {wanted} of weights", message.name)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """(…, a, b) and as many numbers as (num_output, a·b) to (…, num_output)."""
        return F.linear(x.flatten(self.spec.axis), weight.reshape(self.spec.num_output, -1))


@layer(
    "InnerProduct",
    source="happynear/caffe-windows: inner_product_layer.cpp",
    bottoms=(1, 2),
    blobs=("weight", "bias"),
    learns=True,
    macs=per_output,
    dialect=Dialect("happynear", fields=("inner_product_param.normalize",), needs_field=True),
)
def happynear_inner_product(message: LayerParameter, bottoms: Shapes) -> Layer:
    """The module for ``normalize`` and for a second bottom. Raises InputError for both with a transpose."""
    if len(bottoms) == 2:
        return InnerProductOfTwo(message, bottoms, InnerProductSpec.read(message, bottoms[0]))
    spec: Any = InnerProductSpec.read(message, bottoms[0])
    if not message.inner_product_param.normalize:
        return inner_product(message, bottoms)
    if spec.transpose:
        raise InputError("normalize goes with no transpose", message.name)
    return NormalizedInnerProduct(message, bottoms, spec)

"""InnerProduct of happynear's fork, whose weights may have length 1 or come from a bottom."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis
from converters.layers.choice import Dialect
from converters.layers.connected.dense import (
    InnerProduct,
    InnerProductSpec,
    TransposedInnerProduct,
    inner_product,
    per_output,
)
from converters.layers.parts.passes import unit_rows
from converters.layers.registry import Shapes, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_LEAST = 1e-6  # added to the square of a row's length


class NormalizedInnerProduct(InnerProduct):
    """Caffe's, whose rows of weights each forward pass first brings to the length 1, for good."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, b) to (…, num_output)."""
        return F.linear(x.flatten(self.spec.axis), unit_rows(self.weight, _LEAST), self.bias)


class NormalizedTransposedInnerProduct(TransposedInnerProduct):
    """The same with weights (in, out), of whose memory the fork takes as many values as there are inputs for
    a row, as if they were (out, in).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, b) to (…, num_output)."""
        rows = unit_rows(self.weight.reshape(self.spec.num_output, -1), _LEAST)
        return F.linear(x.flatten(self.spec.axis), rows.reshape(self.weight.shape).t(), self.bias)


class InnerProductOfTwo(Layer):
    """The first bottom times the second, which has a row of weights an output, whatever num_output says. With
    ``transpose`` its memory is read as (in, out).
    """

    spec: InnerProductSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.inner_product_param
        axis = canonical_axis(message, param.axis, len(bottoms[0]))
        if param.bias_term:
            raise InputError("with a second bottom takes bias_term: false", message.name)
        rows, size = (bottoms[1] or torch.Size([0]))[0], bottoms[0][axis:].numel()
        if bottoms[1].numel() != size * rows:
            reason = f"the second bottom {tuple(bottoms[1])} is no {(rows, size)} of weights"
            raise InputError(reason, message.name)
        self.spec = InnerProductSpec(rows, axis, param.transpose, bias_term=False)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """(…, a, b) and rows of a·b weights to (…, rows)."""
        flat, rows = x.flatten(self.spec.axis), self.spec.num_output
        if self.spec.transpose:
            return flat @ weight.reshape(-1, rows)
        return F.linear(flat, weight.reshape(rows, -1))


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
    """The module for ``normalize`` and for a second bottom."""
    if len(bottoms) == 2:
        return InnerProductOfTwo(message, bottoms)
    if not message.inner_product_param.normalize:
        return inner_product(message, bottoms)
    spec = InnerProductSpec.read(message, bottoms[0])
    kind = NormalizedTransposedInnerProduct if spec.transpose else NormalizedInnerProduct
    return kind(message, bottoms, spec)

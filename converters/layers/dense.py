"""Layers with a weight matrix: InnerProduct and Embed."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size, positive
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter


def _per_output(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Each output value takes one weight per input value."""
    outputs = module.message.inner_product_param.num_output
    return tops[0][1:].numel() * (module.blobs()[0].numel() // outputs)


@layer(
    "InnerProduct",
    source="inner_product_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=_per_output,
)
class InnerProduct(Layer):
    """y = W·x + b over all axes from ``axis`` on: (…, a, b) to (…, num_output); ``transpose`` keeps W
    as (in, out) (inner_product_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.inner_product_param
        positive(message, num_output=param.num_output)
        self.axis = canonical_axis(message, param.axis, len(bottoms[0]))
        self.transpose = param.transpose
        size = bottoms[0][self.axis :].numel()
        shape = (size, param.num_output) if param.transpose else (param.num_output, size)
        self.weight = nn.Parameter(torch.empty(checked_size(message, "weights", shape)))
        self.bias = nn.Parameter(torch.empty(param.num_output)) if param.bias_term else None
        self.fillers = {"weight": param.weight_filler, "bias": param.bias_filler}

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, b) to (…, num_output)."""
        weight = self.weight.t() if self.transpose else self.weight
        return F.linear(x.flatten(self.axis), weight, self.bias)


@layer(
    "Embed",
    source="embed_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=free,
    indices={0: lambda module, bottoms: module.message.embed_param.input_dim},
)
class Embed(Layer):
    """Row x of a table of ``input_dim`` rows, plus a bias: (…) to (…, num_output). The bottom holds whole
    numbers and gets no gradient (embed_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.embed_param
        positive(message, num_output=param.num_output, input_dim=param.input_dim)
        shape = checked_size(message, "weights", (param.input_dim, param.num_output))
        self.index = Index(message, "index", bottom=0)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(param.num_output)) if param.bias_term else None
        self.fillers = {"weight": param.weight_filler, "bias": param.bias_filler}

    def forward(self, x: Tensor) -> Tensor:
        """(…) to (…, num_output)."""
        rows = F.embedding(self.index(x, self.weight.shape[0]), self.weight)
        return rows if self.bias is None else rows + self.bias

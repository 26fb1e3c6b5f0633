"""Layers with a weight matrix: InnerProduct and Embed."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size, positive
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import FillerParameter, LayerParameter


def per_output(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Each output value takes one weight per input value."""
    return tops[0][1:].numel() * bottoms[0][module.spec.axis :].numel()


@dataclass(frozen=True)
class InnerProductSpec(Spec):
    """Of InnerProduct."""

    num_output: int
    axis: int = 1
    transpose: bool = False
    bias_term: bool = True

    @classmethod
    def read(cls, message: LayerParameter, bottom: torch.Size) -> "InnerProductSpec":
        """The message's numbers. Raises InputError for what no bottom of that shape can take."""
        param = message.inner_product_param
        positive(message, num_output=param.num_output)
        axis = canonical_axis(message, param.axis, len(bottom))
        return cls(param.num_output, axis, param.transpose, param.bias_term)


class InnerProduct(Layer, nn.Linear):
    """y = W·x + b over all axes from ``axis`` on: (…, a, b) to (…, num_output)
    (inner_product_layer.cpp).
    """

    spec: InnerProductSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes, spec: InnerProductSpec) -> None:
        size = bottoms[0][spec.axis :].numel()
        checked_size(message, "weights", (spec.num_output, size))
        super().__init__(size, spec.num_output, bias=spec.bias_term)
        self.spec, self.fillers = spec, _fillers(message)

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, b) to (…, num_output)."""
        return F.linear(x.flatten(self.spec.axis), self.weight, self.bias)


class TransposedInnerProduct(Layer):
    """The same with W as (in, out), which is no nn.Linear's."""

    spec: InnerProductSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes, spec: InnerProductSpec) -> None:
        super().__init__()
        shape = (bottoms[0][spec.axis :].numel(), spec.num_output)
        self.weight = nn.Parameter(torch.empty(checked_size(message, "weights", shape)))
        self.bias = nn.Parameter(torch.empty(spec.num_output)) if spec.bias_term else None
        self.spec, self.fillers = spec, _fillers(message)

    def forward(self, x: Tensor) -> Tensor:
        """(…, a, b) to (…, num_output)."""
        return F.linear(x.flatten(self.spec.axis), self.weight.t(), self.bias)


def _fillers(message: LayerParameter) -> dict[str, FillerParameter]:
    param = message.inner_product_param
    return {"weight": param.weight_filler, "bias": param.bias_filler}


@layer(
    "InnerProduct",
    source="inner_product_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=per_output,
)
def inner_product(message: LayerParameter, bottoms: Shapes) -> Layer:
    """The module for the layout of its weights."""
    spec = InnerProductSpec.read(message, bottoms[0])
    return (TransposedInnerProduct if spec.transpose else InnerProduct)(message, bottoms, spec)


@dataclass(frozen=True)
class EmbedSpec(Spec):
    """Of Embed."""

    num_output: int
    input_dim: int
    bias_term: bool = True


@layer(
    "Embed",
    source="embed_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=free,
    indices={0: lambda module, bottoms: module.spec.input_dim},
)
class Embed(Layer):
    """Row x of a table of ``input_dim`` rows, plus a bias: (…) to (…, num_output). The bottom holds whole
    numbers and gets no gradient (embed_layer.cpp).
    """

    spec: EmbedSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.embed_param
        positive(message, num_output=param.num_output, input_dim=param.input_dim)
        self.spec = EmbedSpec(param.num_output, param.input_dim, param.bias_term)
        shape = checked_size(message, "weights", (param.input_dim, param.num_output))
        self.index = Index(message, "index", bottom=0)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(param.num_output)) if param.bias_term else None
        self.fillers = {"weight": param.weight_filler, "bias": param.bias_filler}

    def forward(self, x: Tensor) -> Tensor:
        """(…) to (…, num_output)."""
        rows = F.embedding(self.index(x, self.weight.shape[0]), self.weight)
        return rows if self.bias is None else rows + self.bias

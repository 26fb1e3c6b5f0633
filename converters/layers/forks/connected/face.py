"""InnerDistance, of features from a vector a class."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size, positive
from converters.layers.connected.dense import per_output
from converters.layers.parts.gradient import with_gradient
from converters.layers.parts.indexing import Index
from converters.layers.parts.passes import unit_rows
from converters.layers.registry import Shapes, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_NEAR = 1e-6  # what InnerDistance adds to the square of a length


@dataclass(frozen=True)
class InnerDistanceSpec(Spec):
    """Of InnerDistance."""

    num_output: int
    axis: int = 1
    distance_type: str = "L2"
    normalize: bool = False
    update_center_only: bool = False


@layer(
    "InnerDistance",
    source="happynear/caffe-windows: inner_distance_layer.cpp",
    bottoms=(1, 3),
    blobs=("weight",),
    fields=("inner_distance_param",),
    learns=True,
    macs=per_output,
)
class InnerDistance(Layer):
    """The distance of each item from each of ``num_output`` vectors: L2, the sum of squared differences, or
    L1, of absolute ones. ``normalize`` brings the stored vectors to length 1 in every pass. A second bottom
    holds the vectors instead, as many as it has rows. ``update_center_only``: the last bottom holds labels,
    and only the distance from its label's vector sends that vector a gradient. With ``transpose`` the blob
    is (width, num_output), and the vectors stand in its memory one after another as ever; ``bias_term`` does
    nothing. L1's gradient is the fork's: that of an element that is greater is the top's, and of one that is
    less -1, whatever the top's is.
    """

    spec: InnerDistanceSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.inner_distance_param
        axis = canonical_axis(message, param.axis, len(bottoms[0]))
        width, self.by_label = bottoms[0][axis:].numel(), param.update_center_only
        self.brings_vectors = len(bottoms) - self.by_label == 2
        if len(bottoms) != 1 + self.brings_vectors + self.by_label:
            wanted = "2 or 3" if self.by_label else "1 or 2"
            raise InputError(f"takes {wanted} bottoms here, not {len(bottoms)}", message.name)
        if param.distance_type not in ("L1", "L2"):
            raise InputError("takes distance_type L1 or L2", message.name)
        rows = bottoms[1][0] if self.brings_vectors else param.num_output
        self._declare(message, rows, width, bottoms)
        self.spec = InnerDistanceSpec(rows, axis, param.distance_type, param.normalize, self.by_label)
        self.index = Index(message, "label", bottom=len(bottoms) - 1)

    def _declare(self, message: LayerParameter, rows: int, width: int, bottoms: Shapes) -> None:
        positive(message, num_output=rows)
        if self.brings_vectors:
            if bottoms[1].numel() != rows * width:
                raise InputError(f"vectors {tuple(bottoms[1])} are not of {width} values", message.name)
            return
        param = message.inner_distance_param
        shape = (width, rows) if param.transpose else (rows, width)
        self.weight = nn.Parameter(torch.empty(checked_size(message, "weights", shape)))
        self.fillers = {"weight": param.weight_filler}

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """(…, a, b), vectors and labels where the class says so, to (…, num_output)."""
        vectors = others[0] if self.brings_vectors else self.weight
        if vectors.dim() != 2 or vectors.shape[0] != self.spec.num_output:
            vectors = vectors.reshape(self.spec.num_output, -1)
        if self.spec.normalize and not self.brings_vectors:
            vectors = unit_rows(vectors, _NEAR)
        flat = x.flatten(self.spec.axis)
        if not self.by_label:
            return self._distances(flat, vectors)
        label = self.index(others[-1], len(vectors)).reshape(flat.shape[:-1])
        own = self._distance(flat.detach(), vectors[label]).unsqueeze(-1)
        every = self._distances(flat, vectors.detach())
        return every.scatter_add(-1, label.unsqueeze(-1), own - own.detach())

    def _distances(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Of each from each. L2 goes by a product, about the vectors' mean so that little cancels."""
        if self.spec.distance_type == "L1":
            return self._distance(x.unsqueeze(-2), vectors)
        centre = vectors.detach().mean(0)
        x, vectors = x - centre, vectors - centre
        squares = x.square().sum(-1, keepdim=True) + vectors.square().sum(-1)
        return squares - 2 * F.linear(x, vectors)

    def _distance(self, x: Tensor, vectors: Tensor) -> Tensor:
        """Along the last axis, of vectors that broadcast to one shape."""
        if self.spec.distance_type == "L2":
            return (x - vectors).square().sum(-1)
        apart = F.relu(x - vectors.detach()).sum(-1) + F.relu(vectors - x.detach()).sum(-1)
        return apart + _zero(x, vectors) + _zero(vectors, x)


def _zero(x: Tensor, other: Tensor) -> Tensor:
    """0, whose gradient in each element of ``x`` is -1 for every one of ``other`` that is greater."""
    less = (x.detach() < other.detach()).to(x.dtype).sum_to_size(x.shape)
    return with_gradient(x, x.new_zeros(()), -less)

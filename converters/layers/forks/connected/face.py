"""InnerDistance and MarginInnerProduct, which compare features with a vector a class."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, checked_size, positive
from converters.layers.connected.dense import per_output
from converters.layers.parts.gradient import with_gradient
from converters.layers.parts.indexing import Index
from converters.layers.parts.passes import Counted, unit_rows
from converters.layers.registry import Shapes, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter, MarginInnerProductParameter
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


@dataclass(frozen=True)
class MarginSpec(Spec):
    """Of MarginInnerProduct."""

    num_output: int
    axis: int = 1
    type: str = "SINGLE"
    base: float = 1.0
    gamma: float = 0.0
    power: float = 1.0
    lambda_min: float = 0.0


@layer(
    "MarginInnerProduct",
    source="wy1iu/sphereface: margin_inner_product_layer.cpp",
    bottoms=(2, 2),
    tops=(2, 2),
    blobs=("weight",),
    fields=("margin_inner_product_param",),
    learns=True,
    macs=per_output,
    indices={1: lambda module, bottoms: module.spec.num_output},
)
class MarginInnerProduct(Counted):
    """|x|·cos of the angle to each of ``num_output`` vectors, which every pass brings to length 1; for the
    label's vector (|x|·psi(angle) + lambda·|x|·cos) / (1 + lambda), psi being the monotonous continuation of
    the cosine of the angle times 1, 2, 3 or 4 (SphereFace). A second top is lambda, which falls with each
    pass, in TEST too: max(base·(1 + gamma·pass)^-power, lambda_min).

    The gradient is the fork's. Of the label's vector psi has two parts, along the vector and along x, whose
    two coefficients it brings to a length of 1 together; the vectors' own is the plain product's.
    """

    spec: MarginSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.margin_inner_product_param
        positive(message, num_output=param.num_output)
        axis = canonical_axis(message, param.axis, len(bottoms[0]))
        items, width = bottoms[0][:axis].numel(), bottoms[0][axis:].numel()
        if bottoms[1].numel() != items:
            raise InputError(f"{bottoms[1].numel()} labels for {items} items", message.name)
        kind = MarginInnerProductParameter.MarginType.Name(param.type)
        self.spec = MarginSpec(
            param.num_output, axis, kind, param.base, param.gamma, param.power, param.lambda_min
        )
        self.first = param.iteration
        self.index = Index(message, "label", bottom=1)
        self.weight = nn.Parameter(torch.empty(checked_size(message, "weights", (param.num_output, width))))
        self.fillers = {"weight": param.weight_filler}

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(…, a, b) and as many labels as items to (…, num_output) and (1,)."""
        share = self._lambda(x)
        vectors, flat = unit_rows(self.weight, 0.0), x.flatten(self.spec.axis)
        plain = F.linear(flat, vectors)
        if self.spec.type != "SINGLE":
            target = self.index(label, len(vectors)).reshape(*flat.shape[:-1], 1)
            plain = plain.scatter_add(-1, target, self._margin(flat, vectors[target.squeeze(-1)], share))
        return plain, share.reshape(1)

    def _lambda(self, x: Tensor) -> Tensor:
        spec = self.spec
        falling = spec.base * (1 + spec.gamma * (self.count(x) + 1)) ** -spec.power
        return falling.clamp(min=spec.lambda_min).to(x.dtype)

    def _margin(self, x: Tensor, own: Tensor, share: Tensor) -> Tensor:
        """What the label's value has beyond the plain product: (…, K), (…, K) to (…, 1). Its gradient goes
        to ``x`` alone.
        """
        with torch.no_grad():
            size = x.square().sum(-1, keepdim=True).sqrt()
            cosine = (x * own).sum(-1, keepdim=True) / size
            psi, along_own, along_x = _PSI[self.spec.type](cosine)
            along_x = -along_x / size
            length = (along_own.square() + along_x.square()).sqrt()
            slope = (along_own * own + along_x * x) / length - own
            beyond = size * (psi - cosine)
        return (beyond + ((x - x.detach()) * slope).sum(-1, keepdim=True)) / (1 + share)


def _double(c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(psi of a cosine, its slope along the vector, and minus that along x times |x|), as the next two."""
    sign = c.sign()
    return 2 * sign * c**2 - 1, 4 * sign * c, 2 * sign * c**2 + 1


def _triple(c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    first = (c.abs() - 0.5).sign()
    second = c.sign() * (1 + first) - 2
    return first * (4 * c**3 - 3 * c) + second, first * (12 * c**2 - 3), 8 * first * c**3 - second


def _quadruple(c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    third = c.sign() * (2 * c**2 - 1).sign()
    fourth = 2 * c.sign() + third - 3
    psi = third * (8 * c**4 - 8 * c**2 + 1) + fourth
    return psi, third * (32 * c**3 - 16 * c), third * (24 * c**4 - 8 * c**2 - 1) - fourth


_PSI = {"DOUBLE": _double, "TRIPLE": _triple, "QUADRUPLE": _quadruple}

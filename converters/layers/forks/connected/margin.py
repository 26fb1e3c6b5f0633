"""MarginInnerProduct and LargeMarginInnerProduct, which ask more of the label's class while a net learns."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.checks import canonical_axis, checked_size, positive
from converters.layers.connected.dense import per_output
from converters.layers.parts.indexing import Index
from converters.layers.parts.passes import Counted, unit_rows
from converters.layers.registry import Shapes, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_NEAR = 1e-9  # what LargeMarginInnerProduct adds to the lengths that it divides by


@dataclass(frozen=True)
class MarginSpec(Spec):
    """Of MarginInnerProduct and LargeMarginInnerProduct."""

    num_output: int
    axis: int = 1
    type: str = "SINGLE"
    base: float = 1.0
    gamma: float = 0.0
    power: float = 1.0
    lambda_min: float = 0.0


class _Margin(Counted):
    """What both share: ``num_output`` vectors, of which the label's is judged by its angle, and a lambda."""

    spec: MarginSpec
    field: str  # the message with its numbers

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = getattr(message, self.field)
        positive(message, num_output=param.num_output)
        axis = canonical_axis(message, param.axis, len(bottoms[0]))
        items, width = bottoms[0][:axis].numel(), bottoms[0][axis:].numel()
        if bottoms[1].numel() != items:
            raise InputError(f"{bottoms[1].numel()} labels for {items} items", message.name)
        self.spec = MarginSpec(**numbers_of(param, MarginSpec) | {"axis": axis})
        self.first = param.iteration
        self.index = Index(message, "label", bottom=1)
        self.weight = nn.Parameter(torch.empty(checked_size(message, "weights", (param.num_output, width))))
        self.fillers = {"weight": param.weight_filler}

    def _lambda(self, x: Tensor) -> Tensor:
        spec = self.spec
        falling = spec.base * (1 + spec.gamma * (self.count(x) + 1)) ** -spec.power
        return falling.clamp(min=spec.lambda_min).to(x.dtype)

    def _with_margin(self, x: Tensor, label: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The products of ``x`` with all vectors, and of the label's what is asked beyond; lambda."""
        share, flat = self._lambda(x), x.flatten(self.spec.axis)
        plain = F.linear(flat, vectors)
        if self.spec.type != "SINGLE":
            target = self.index(label, len(vectors)).reshape(*flat.shape[:-1], 1)
            beyond = self._margin(flat, vectors[target.squeeze(-1)])
            plain = plain.scatter_add(-1, target, beyond / (1 + share))
        return plain, share.reshape(1)

    def _margin(self, x: Tensor, own: Tensor) -> Tensor:
        """What the label's value has beyond the plain product where lambda is 0: (…, K) twice to (…, 1)."""
        raise NotImplementedError


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
class MarginInnerProduct(_Margin):
    """|x|·cos of the angle to each of ``num_output`` vectors, which every pass brings to length 1; for the
    label's vector (|x|·psi(angle) + lambda·|x|·cos) / (1 + lambda), psi being the monotonous continuation of
    the cosine of the angle times 1, 2, 3 or 4 (SphereFace). A second top is lambda, which falls with each
    pass, in TEST too: max(base·(1 + gamma·pass)^-power, lambda_min).

    The gradient is the fork's. Of the label's vector psi has two parts, along the vector and along x, whose
    two coefficients it brings to a length of 1 together; the vectors' own is the plain product's.
    """

    field = "margin_inner_product_param"

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(…, a, b) and as many labels as items to (…, num_output) and (1,)."""
        return self._with_margin(x, label, unit_rows(self.weight, 0.0))

    def _margin(self, x: Tensor, own: Tensor) -> Tensor:
        """Its gradient goes to ``x`` alone."""
        with torch.no_grad():
            size = x.square().sum(-1, keepdim=True).sqrt()
            cosine = (x * own).sum(-1, keepdim=True) / size
            psi, along_own, along_x = _PSI[self.spec.type](cosine)
            along_x = -along_x / size
            length = (along_own.square() + along_x.square()).sqrt()
            slope = (along_own * own + along_x * x) / length - own
            beyond = size * (psi - cosine)
        return beyond + ((x - x.detach()) * slope).sum(-1, keepdim=True)


def _without_label(message: LayerParameter) -> LayerParameter:
    """The InnerProduct that is left of a LargeMarginInnerProduct where no label says whose angle counts."""
    plain = LayerParameter()
    plain.CopyFrom(message)
    plain.type = "InnerProduct"
    del plain.bottom[1:], plain.top[1:]
    margin, product = plain.largemargin_inner_product_param, plain.inner_product_param
    product.num_output, product.axis, product.bias_term = margin.num_output, margin.axis, False
    product.weight_filler.CopyFrom(margin.weight_filler)
    for field in ("largemargin_inner_product_param", "loss_weight", "propagate_down"):
        plain.ClearField(field)
    return plain


@layer(
    "LargeMarginInnerProduct",
    source="longpeng2008/Caffe_Long: largemargin_inner_product_layer.cpp",
    bottoms=(2, 2),
    tops=(2, 2),
    blobs=("weight",),
    fields=("largemargin_inner_product_param",),
    deployed=_without_label,
    learns=True,
    macs=per_output,
    indices={1: lambda module, bottoms: module.spec.num_output},
)
class LargeMarginInnerProduct(_Margin):
    """MarginInnerProduct of vectors as they are: the plain product with each, but with the label's vector w
    (|x|·|w|·psi(angle) + lambda·x·w) / (1 + lambda) (L-Softmax). Lambda, a second top that the fork needs,
    falls with each pass, in TEST too. The gradient is the derivative.
    """

    field = "largemargin_inner_product_param"

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(…, a, b) and as many labels as items to (…, num_output) and (1,)."""
        return self._with_margin(x, label, self.weight)

    def _margin(self, x: Tensor, own: Tensor) -> Tensor:
        plain = (x * own).sum(-1, keepdim=True)
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        size = size * torch.linalg.vector_norm(own, dim=-1, keepdim=True)
        psi, *_ = _PSI[self.spec.type](plain / (size + _NEAR))
        beyond: Tensor = size * psi - plain
        return beyond


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

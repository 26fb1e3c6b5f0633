"""Activations of forks: each element by itself."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import check_channels, is_in_place, not_in_place
from converters.layers.parts.gradient import with_gradient, with_slope
from converters.layers.registry import DRAWS, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_SIGNED_SQRT_EPS = 0.03  # the fork's gradient is not infinite at 0
_ARCCOS_MOST = 0.99  # as if no x were greater, in the gradient


@dataclass(frozen=True)
class ReLU6Spec(Spec):
    """Of ReLU6."""

    negative_slope: float = 0.0


@layer(
    "ReLU6",
    source="eric612/MobileNet-YOLO: relu6_layer.cpp",
    macs=free,
    pointwise=True,
    fields=("relu6_param",),
)
class ReLU6(Layer):
    """min(max(x, 0) + negative_slope·min(x, 0), 6); the gradient is 0 where x is 6 or more, and
    negative_slope where it is 0 or less.
    """

    spec: ReLU6Spec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = ReLU6Spec(message.relu6_param.negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y, slope = F.relu6(x), self.spec.negative_slope
        if not slope:
            return y
        y = y + slope * x.clamp(max=0)
        return y if slope > 0 else y - (y.detach() - 6).clamp(min=0)


@dataclass(frozen=True)
class SeLUSpec(Spec):
    """Of SeLU; ``lambda`` is a word of Python's."""

    scale: float
    alpha: float


@layer(
    "SeLU",
    "SeLu",
    source="foss-for-synopsys-dwc-arc-processors/synopsys-caffe: selu_layer.cpp",
    macs=free,
    pointwise=True,
    backward_reads="bottom",
    fields=("selu_param",),
)
class SeLU(Layer):
    """lambda·x above 0, else lambda·alpha·(exp(x) - 1), whose gradient in place has the top for x."""

    spec: SeLUSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.selu_param
        self.spec = SeLUSpec(getattr(param, "lambda"), param.alpha)
        self.reads_overwritten = is_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        scale, alpha = self.spec.scale, self.spec.alpha
        y = scale * F.elu(x, alpha)
        if not self.reads_overwritten:
            return y
        return with_slope(x, y, torch.where(y > 0, scale, scale * alpha * y.exp()))


@dataclass(frozen=True)
class RReLUSpec(Spec):
    """Of RReLU: what x below 0 is divided by lies between these."""

    lb: float = 5.0
    ub: float = 10.0


def _draws(module: Layer, bottoms: Shapes) -> str:
    return DRAWS if module.training else ""


@layer(
    "RReLU",
    source="ducha-aiki/caffe: rrelu_layer.cpp",
    macs=free,
    pointwise=True,
    refuses_export=_draws,
    fields=("rrelu_param",),
)
class RReLU(Layer):
    """x above 0, else x over a divisor: in TRAIN one an element, uniform from ``lb`` to ``ub`` (from torch's
    default generator), in TEST (ub - lb) / (ln ub - ln lb). The fork's gradient in TEST reads a buffer that
    nobody has filled; here it is the derivative.
    """

    spec: RReLUSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = RReLUSpec(message.rrelu_param.lb, message.rrelu_param.ub)
        check_channels(message, bottoms[0])
        span = self.spec.ub - self.spec.lb
        if not 0 < span <= torch.finfo(torch.float32).max or self.spec.lb * self.spec.ub == 0:
            raise InputError("takes lb below ub, neither of them 0 and none infinite", message.name)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        least, most = self.spec.lb, self.spec.ub
        if self.training:
            return torch.where(x > 0, x, x / torch.empty_like(x).uniform_(least, most))
        return F.leaky_relu(x, (math.log(abs(most)) - math.log(abs(least))) / (most - least))


@layer(
    "SignedSqrt",
    source="gy20073/compact_bilinear_pooling: signed_sqrt_layer.cpp",
    macs=free,
    pointwise=True,
)
class SignedSqrt(Layer):
    """sign(x)·sqrt(|x|); the gradient is 0.5 / (sqrt(|x|) + 0.03)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        root = x.abs().sqrt()
        return with_slope(x, x.sign() * root, 0.5 / (root + _SIGNED_SQRT_EPS))


@layer(
    "Arccos",
    source="happynear/caffe-windows: arccos_layer.cpp",
    macs=free,
    pointwise=True,
    backward_reads="bottom",
)
class Arccos(Layer):
    """arccos(x); the gradient is that of min(x, 0.99), and in place that of the top's value."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.reads_overwritten = is_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y = x.acos()
        least = (y if self.reads_overwritten else x).clamp(max=_ARCCOS_MOST)
        return with_slope(x, y, -((1 - least * least).rsqrt()))


@layer(
    "Cosine",
    source="happynear/caffe-windows: cosine_layer.cpp",
    macs=free,
    pointwise=True,
    backward_reads="bottom",
)
class Cosine(Layer):
    """cos(x), with -sin(x) for the bottom's gradient, whatever the top's is."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.reads_overwritten = is_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y = x.cos()
        return with_gradient(x, y, -(y if self.reads_overwritten else x).sin())


@dataclass(frozen=True)
class TruncationSpec(Spec):
    """Of Truncation."""

    lower_bound: float = 0.0
    upper_bound: float = 5.0


@layer(
    "Truncation",
    source="happynear/caffe-windows: truncation_layer.cpp",
    macs=free,
    pointwise=True,
    fields=("truncation_param",),
)
class Truncation(Layer):
    """x between ``lower_bound`` and ``upper_bound``; at the bounds the gradient is 0."""

    spec: TruncationSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.truncation_param
        self.spec = TruncationSpec(param.lower_bound, param.upper_bound)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        least, most = self.spec.lower_bound, self.spec.upper_bound
        y = x.clamp(min=least).clamp(max=most)
        return with_slope(x, y, ((x > least) & (x < most)).to(x.dtype))

"""Layers that act on each element by itself."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own customary name

from converters.layers.base import Layer
from converters.layers.checks import check_channels, is_in_place
from converters.layers.parts.gradient import with_slope
from converters.layers.parts.grid import same_grid
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import FillerParameter, LayerParameter
from prototxt.errors import InputError

_BNLL_THRESHOLD = 50.0  # beyond it the backward pass takes exp as exp(50), and so do we (bnll_layer.cpp)


@dataclass(frozen=True)
class ReLUSpec(Spec):
    """Of ReLU."""

    negative_slope: float = 0.0


class ReLU(Layer, nn.ReLU):
    """max(x, 0); the gradient at 0 is 0 (relu_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = ReLUSpec()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return F.relu(x)


class LeakyReLU(Layer, nn.LeakyReLU):
    """max(x, 0) + negative_slope·min(x, 0); the gradient at 0 is negative_slope (relu_layer.cpp). In place
    the sign that decides the gradient is the top's, another only where negative_slope is below 0.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        slope = message.relu_param.negative_slope
        super().__init__(slope)
        self.spec = ReLUSpec(slope)
        self.reads_overwritten = is_in_place(message) and slope < 0

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        slope = self.spec.negative_slope
        y = F.leaky_relu(x, slope)
        return with_slope(x, y, torch.where(y > 0, 1.0, slope)) if self.reads_overwritten else y


@layer("ReLU", source="relu_layer.cpp", macs=free, pointwise=True, backward_reads="bottom")
def relu(message: LayerParameter, bottoms: Shapes) -> Layer:
    """The module for the slope that there is."""
    return (LeakyReLU if message.relu_param.negative_slope else ReLU)(message, bottoms)


@dataclass(frozen=True)
class PReLUSpec(Spec):
    """Of PReLU."""

    channel_shared: bool = False


@layer("PReLU", source="prelu_layer.cpp", blobs=("slope",), macs=free, pointwise=True)
class PReLU(Layer):
    """max(x, 0) + slope·min(x, 0) with a learned slope per channel, or one for all with channel_shared;
    the gradient at 0 is the slope. Filled with 0.25 where no filler is given (prelu_layer.cpp).
    """

    spec: PReLUSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_channels(message, bottoms[0])
        param = message.prelu_param
        self.spec = PReLUSpec(param.channel_shared)
        self.slope = nn.Parameter(torch.empty(() if param.channel_shared else bottoms[0][1]))
        quarter = FillerParameter(type="constant", value=0.25)
        self.fillers = {"slope": param.filler if param.HasField("filler") else quarter}

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        return F.prelu(x, self.slope.reshape(-1))


@dataclass(frozen=True)
class ELUSpec(Spec):
    """Of ELU."""

    alpha: float = 1.0


@layer("ELU", source="elu_layer.cpp", macs=free, pointwise=True, backward_reads="top")
class ELU(Layer, nn.ELU):
    """x above 0, else alpha·(exp(x) - 1); the gradient at 0 is alpha (elu_layer.cpp). In place the sign that
    decides the gradient is the top's, another only where alpha is below 0.
    """

    spec: ELUSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message.elu_param.alpha)
        self.spec = ELUSpec(message.elu_param.alpha)
        self.reads_overwritten = is_in_place(message) and self.alpha < 0

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y = F.elu(x, self.alpha)
        return with_slope(x, y, torch.where(y > 0, 1.0, y + self.alpha)) if self.reads_overwritten else y


@layer("Sigmoid", source="sigmoid_layer.cpp", macs=free, pointwise=True, backward_reads="top")
class Sigmoid(Layer, nn.Sigmoid):
    """1 / (1 + exp(-x)) (sigmoid_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.sigmoid(x)


@layer("TanH", source="tanh_layer.cpp", macs=free, pointwise=True, backward_reads="top")
class TanH(Layer, nn.Tanh):
    """The hyperbolic tangent (tanh_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.tanh(x)


@dataclass(frozen=True)
class SwishSpec(Spec):
    """Of Swish."""

    beta: float = 1.0


@layer("Swish", source="swish_layer.cpp", macs=free, backward_reads="top", grid=same_grid)
class Swish(Layer):
    """x·sigmoid(beta·x) (swish_layer.cpp)."""

    spec: SwishSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = SwishSpec(message.swish_param.beta)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return x * torch.sigmoid(self.spec.beta * x)


@layer("BNLL", source="bnll_layer.cpp", macs=free, backward_reads="bottom", grid=same_grid)
class BNLL(Layer):
    """log(1 + exp(x)), the binomial normal log likelihood (bnll_layer.cpp). In place Caffe takes the
    gradient's sigmoid of the top.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.reads_overwritten = is_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y = F.softplus(x, threshold=_BNLL_THRESHOLD)
        return with_slope(x, y, torch.sigmoid(y.clamp(max=_BNLL_THRESHOLD))) if self.reads_overwritten else y


@dataclass(frozen=True)
class ClipSpec(Spec):
    """Of Clip."""

    min: float
    max: float


@layer("Clip", source="clip_layer.cpp", macs=free, backward_reads="bottom", grid=same_grid)
class Clip(Layer):
    """x between ``min`` and ``max``; the gradient at the bounds passes (clip_layer.cpp), and so, in place,
    where every value lies between them by then, it does everywhere.
    """

    spec: ClipSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.clip_param
        if not (param.HasField("min") and param.HasField("max")):
            raise InputError("needs clip_param { min: … max: … }", message.name)
        self.spec = ClipSpec(param.min, param.max)
        self.reads_overwritten = is_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        least, most = self.spec.min, self.spec.max
        y = x.clamp(max=most).clamp(min=least)
        if not self.reads_overwritten:
            return y
        return with_slope(x, y, ((y >= least) & (y <= most)).to(y.dtype))

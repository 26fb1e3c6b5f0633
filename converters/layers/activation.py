"""Layers that act on each element by itself: activations and Dropout."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - PyTorch's own customary name

from converters.layers.base import Layer
from converters.layers.checks import is_in_place
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import FillerParameter, LayerParameter
from prototxt.errors import InputError

_BNLL_THRESHOLD = 50.0  # beyond it the backward pass takes exp as exp(50), and so do we (bnll_layer.cpp)


@layer("ReLU", source="relu_layer.cpp", macs=free, pointwise=True, backward_reads="bottom")
class ReLU(Layer):
    """max(x, 0) + negative_slope·min(x, 0); the gradient at 0 is negative_slope (relu_layer.cpp). In place
    the sign that decides the gradient is the top's, another only where negative_slope is below 0.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.slope = message.relu_param.negative_slope
        self.reads_overwritten = is_in_place(message) and self.slope < 0

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        if not self.slope:
            return F.relu(x)
        y = F.leaky_relu(x, self.slope)
        return with_slope(x, y, torch.where(y > 0, 1.0, self.slope)) if self.reads_overwritten else y


@layer("PReLU", source="prelu_layer.cpp", blobs=("slope",), macs=free, pointwise=True)
class PReLU(Layer):
    """max(x, 0) + slope·min(x, 0) with a learned slope per channel, or one for all with channel_shared;
    the gradient at 0 is the slope. Filled with 0.25 where no filler is given (prelu_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        if len(bottoms[0]) < 2:
            raise InputError(f"takes 2 axes or more, not {len(bottoms[0])}", message.name)
        param = message.prelu_param
        self.slope = nn.Parameter(torch.empty(() if param.channel_shared else bottoms[0][1]))
        quarter = FillerParameter(type="constant", value=0.25)
        self.fillers = {"slope": param.filler if param.HasField("filler") else quarter}

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        return F.prelu(x, self.slope.reshape(-1))


@layer("ELU", source="elu_layer.cpp", macs=free, pointwise=True, backward_reads="top")
class ELU(Layer):
    """x above 0, else alpha·(exp(x) - 1); the gradient at 0 is alpha (elu_layer.cpp). In place the sign that
    decides the gradient is the top's, another only where alpha is below 0.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.alpha = message.elu_param.alpha
        self.reads_overwritten = is_in_place(message) and self.alpha < 0

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y = F.elu(x, self.alpha)
        return with_slope(x, y, torch.where(y > 0, 1.0, y + self.alpha)) if self.reads_overwritten else y


@layer("Sigmoid", source="sigmoid_layer.cpp", macs=free, pointwise=True, backward_reads="top")
class Sigmoid(Layer):
    """1 / (1 + exp(-x)) (sigmoid_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.sigmoid(x)


@layer("TanH", source="tanh_layer.cpp", macs=free, pointwise=True, backward_reads="top")
class TanH(Layer):
    """The hyperbolic tangent (tanh_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.tanh(x)


@layer("Swish", source="swish_layer.cpp", macs=free, backward_reads="top")
class Swish(Layer):
    """x·sigmoid(beta·x) (swish_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.beta = message.swish_param.beta

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return x * torch.sigmoid(self.beta * x)


@layer("BNLL", source="bnll_layer.cpp", macs=free, backward_reads="bottom")
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


@layer("Clip", source="clip_layer.cpp", macs=free, backward_reads="bottom")
class Clip(Layer):
    """x between ``min`` and ``max``; the gradient at the bounds passes (clip_layer.cpp), and so, in place,
    where every value lies between them by then, it does everywhere.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.clip_param
        if not (param.HasField("min") and param.HasField("max")):
            raise InputError("needs clip_param { min: … max: … }", message.name)
        self.least, self.most = param.min, param.max
        self.reads_overwritten = is_in_place(message)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y = x.clamp(max=self.most).clamp(min=self.least)
        if not self.reads_overwritten:
            return y
        return with_slope(x, y, ((y >= self.least) & (y <= self.most)).to(y.dtype))


@layer("Dropout", source="dropout_layer.cpp", macs=free, pointwise=True)
class Dropout(Layer):
    """TRAIN: zero with probability dropout_ratio, the rest times 1/(1-ratio); TEST: identity, whatever the
    ratio (dropout_layer.cpp, whose check of it is a debug one).

    In TRAIN a ratio of 0 keeps all; 1 gives 0·∞, which is not a number, as in Caffe; and one that is no
    probability stops the pass (caffe_rng_bernoulli). The mask comes from torch's default generator of the
    device: seed it for a repeatable step.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.ratio, self.name = message.dropout_param.dropout_ratio, message.name

    def notice(self) -> str | None:
        """Of a ratio of 1 in training."""
        if self.ratio != 1 or not self.training:
            return None
        return (
            "dropout_ratio 1 drops everything and scales it by infinity: the top is not a number, as in Caffe"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape. Raises InputError in TRAIN for a ratio that is no probability."""
        if not self.training:
            return F.dropout(x, training=False)
        if not 0 <= self.ratio <= 1:
            raise InputError(f"dropout_ratio {self.ratio:g} is no probability, from 0 to 1", self.name)
        dropped = F.dropout(x, self.ratio)
        return dropped * math.inf if self.ratio == 1 else dropped

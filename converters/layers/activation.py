"""Layers that act on each element by itself."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own customary name

from converters.layers.registry import Layer, Shapes, expect, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@layer("ReLU")
class ReLU(Layer):
    """max(x, 0) + negative_slope·min(x, 0); the gradient at 0 is negative_slope (relu_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)
        self.slope = message.relu_param.negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return F.leaky_relu(x, self.slope) if self.slope else F.relu(x)


@layer("Sigmoid")
class Sigmoid(Layer):
    """1 / (1 + exp(-x)) (sigmoid_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.sigmoid(x)


@layer("TanH")
class TanH(Layer):
    """The hyperbolic tangent (tanh_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.tanh(x)


@layer("Dropout")
class Dropout(Layer):
    """TRAIN: zero with probability dropout_ratio, the rest times 1/(1-ratio); TEST: identity.

    The mask comes from torch's default generator of the device: seed it for a repeatable step
    (dropout_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)
        self.ratio = message.dropout_param.dropout_ratio
        if not 0 < self.ratio < 1:
            raise InputError(f"dropout_ratio {self.ratio:g} must be above 0 and below 1", message.name)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return F.dropout(x, self.ratio, self.training)

"""Activations of forks."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter


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
    """min(max(x, 0), 6) + negative_slope·min(x, 0); the gradient at 6 is 0, at 0 negative_slope."""

    spec: ReLU6Spec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = ReLU6Spec(message.relu6_param.negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        y, slope = F.relu6(x), self.spec.negative_slope
        return y + slope * x.clamp(max=0) if slope else y

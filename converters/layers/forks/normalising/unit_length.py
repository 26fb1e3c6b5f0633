"""L2Normalize and Norm: an item or a pixel at length 1."""

from torch import Tensor

from converters.layers.base import Layer
from converters.layers.parts.gradient import asks_gradient
from converters.layers.parts.legacy_axes import check_axes, four_axes
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

NEAR = 1e-6  # what Norm adds to a length


@layer("L2Normalize", source="gy20073/compact_bilinear_pooling: l2_normalize_layer.cpp", macs=free)
class L2Normalize(Layer):
    """Each item over the root of its sum of squares plus 1e-7 (compact bilinear pooling; C3D)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        if not bottoms[0]:
            raise InputError("takes 1 axis or more", message.name)

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) to the same shape."""
        items = x.flatten(1) if x.dim() > 1 else x.unsqueeze(1)
        return (items * (items.square().sum(1, keepdim=True) + 1e-7).rsqrt()).reshape(x.shape)


@layer("Norm", source="xiaolonw/caffe-video_triplet: norm_layer.cpp", macs=free)
class Norm(Layer):
    """Each pixel's channels over their length plus 1e-6; the top has 4 axes whatever the bottom has. The
    gradient is the fork's, which adds 1e-6 to the cube of the length instead: 0 for a pixel of zeros.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_axes(message, bottoms[0], 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), later axes 1 where there are none, to the same."""
        pixels = four_axes(x)
        fixed = pixels.detach()
        square = fixed.square().sum(1, keepdim=True)
        y = fixed / (square.sqrt() + NEAR)
        if not asks_gradient(x):
            return y
        # Linear in pixels, with the fork's matrix, which is symmetric.
        turned = (square * pixels - fixed * (fixed * pixels).sum(1, keepdim=True)) / (square**1.5 + NEAR)
        return y + (turned - turned.detach())

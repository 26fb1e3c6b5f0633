"""Normalize, which SSD and happynear have with different rules."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converters.layers.base import Layer
from converters.layers.choice import Dialect
from converters.layers.parts.by_batch import spread
from converters.layers.parts.gradient import asks_gradient
from converters.layers.parts.legacy_axes import check_axes, four_axes
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import FillerParameter, LayerParameter
from prototxt.errors import InputError

_NEAR = 1e-6  # what happynear's adds to a sum


@dataclass(frozen=True)
class SsdSpec(Spec):
    """Of SSD's Normalize."""

    across_spatial: bool = True
    channel_shared: bool = True
    eps: float = 1e-10


@layer(
    "Normalize",
    source="weiliu89/caffe: normalize_layer.cpp",
    blobs=("scale",),
    macs=free,
    mixes=True,
    dialect=Dialect(
        "ssd",
        also=("refinedet",),
        fields=("norm_param",),
        shapes=lambda shapes: len(shapes) == 1,
    ),
)
class SsdNormalize(Layer):
    """Each pixel's channels, or with ``across_spatial`` each item, over the root of their sum of squares plus
    ``eps``, times a learned scale: one, or one a channel. The gradient is the fork's, which leaves the scale
    out of the dot product: with one a channel not the derivative.
    """

    spec: SsdSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_axes(message, bottoms[0], 2)
        param = message.norm_param
        self.spec = SsdSpec(param.across_spatial, param.channel_shared, param.eps)
        self.scale = nn.Parameter(torch.empty(() if param.channel_shared else (bottoms[0][1],)))
        is_set = param.HasField("scale_filler")
        self.fillers = {"scale": param.scale_filler if is_set else FillerParameter(value=1)}

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        scale = self.scale if self.spec.channel_shared else spread(self.scale, x)
        axes = list(range(1, x.dim())) if self.spec.across_spatial else [1]
        fixed = x.detach()
        length = (fixed.square().sum(axes, keepdim=True) + self.spec.eps).sqrt()
        unit = fixed / length
        y = unit * scale
        if not asks_gradient(x):
            return y
        scaled = x * scale.detach()  # linear in x, with the transpose of the fork's matrix
        turned = (scaled - unit * (unit * scaled).sum(axes, keepdim=True)) / length
        return y + (turned - turned.detach())


@dataclass(frozen=True)
class HappynearSpec(Spec):
    """Of happynear's Normalize."""

    normalize_type: str = "L2"
    bp_norm: bool = False


@layer(
    "Normalize",
    source="happynear/caffe-windows: normalize_layer.cpp",
    tops=(1, 2),
    macs=free,
    mixes=True,
    dialect=Dialect(
        "happynear",
        also=("normface",),
        fields=("normalize_param", "softmax_param.normalize_type"),
        shapes=lambda shapes: not shapes,
        is_default=True,
    ),
)
class HappynearNormalize(Layer):
    """Each pixel's channels over the root of their sum of squares plus 1e-6 (L2), or over their sum of
    absolute values plus 1e-6 (L1). A second top holds that length, which sends a gradient back only with
    ``bp_norm``. The tops have 4 axes. A ``normalize_type`` in softmax_param, where NormFace's figures have
    it, does nothing.
    """

    spec: HappynearSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_axes(message, bottoms[0], 1)
        param = message.normalize_param
        if param.normalize_type not in ("L1", "L2"):
            raise InputError(f'normalize_type "{param.normalize_type}" is neither L1 nor L2', message.name)
        self.spec = HappynearSpec(param.normalize_type, param.bp_norm)
        self.has_length = len(message.top) > 1
        self.fixes = param.fix_gradient

    def notice(self) -> str | None:
        """Of a field that the fork's CPU code does not read."""
        text = "fix_gradient does nothing here, as in the fork's CPU code; on a GPU it leaves a division out"
        return text if self.fixes and self.training else None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(N, C, H, W), later axes 1 where there are none, to the same and to (N, 1, H, W)."""
        pixels = four_axes(x)
        if self.spec.normalize_type == "L1":
            length = pixels.abs().sum(1, keepdim=True) + _NEAR
        else:
            length = (pixels.square().sum(1, keepdim=True) + _NEAR).sqrt()
        y = pixels / length
        return (y, length if self.spec.bp_norm else length.detach()) if self.has_length else y

"""SmoothL1Loss, which SSD, Fast R-CNN and R-FCN have with different rules, and SmoothL1LossOHEM."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import positive
from converters.layers.choice import Dialect
from converters.layers.facts import Facts
from converters.layers.judging.labels import LOSS_TOPS, normalization
from converters.layers.judging.losses import check_one_size
from converters.layers.parts.gradient import with_slope
from converters.layers.parts.legacy_axes import four_axes
from converters.layers.registry import Builder, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

B = TypeVar("B", bound=Builder)
_OHEM = "daijifeng001/caffe-rfcn: smooth_l1_loss_ohem_layer.cpp"
_NORMS = ("loss_param.normalization", "loss_param.normalize", "loss_param.pre_fixed_normalizer")


def smooth_l1(x: Tensor, sigma: float = 1.0) -> Tensor:
    """σ²x²/2 where |x| is below 1/σ², else |x| - 1/(2σ²), element by element."""
    square = sigma * sigma
    return torch.where(x.abs() < 1 / square, 0.5 * x * x * square, x.abs() - 0.5 / square)


def _check_sizes(message: LayerParameter, bottoms: Shapes) -> None:
    """Raise InputError unless all bottoms have as many samples and as many values."""
    for shape in bottoms[1:]:
        check_one_size(message, [bottoms[0], shape])


@layer(
    "SmoothL1Loss",
    source="weiliu89/caffe: smooth_L1_loss_layer.cpp",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    dialect=Dialect("ssd", also=("refinedet",), is_default=True),
    role="loss",
    macs=free,
)
class SsdSmoothL1Loss(Layer):
    """Sum of the smooth L1 of differences over the batch size; both bottoms get a gradient."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _check_sizes(message, bottoms)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two blobs of one size to a scalar."""
        return smooth_l1(a - b.reshape(a.shape)).sum() / a.shape[0]


@dataclass(frozen=True)
class SigmaSpec(Spec):
    """Of Fast R-CNN's SmoothL1Loss."""

    sigma: float = 1.0


@layer(
    "SmoothL1Loss",
    source="rbgirshick/caffe-fast-rcnn: smooth_L1_loss_layer.cpp",
    bottoms=(2, 4),
    tops=LOSS_TOPS,
    labels=(2, 3),
    default_loss_weight=0.0,
    dialect=Dialect("fast-rcnn", also=("faster-rcnn", "pvanet", "intel"), fields=("smooth_l1_loss_param",)),
    role="loss",
    macs=free,
)
class FastRcnnSmoothL1Loss(Layer):
    """Sum of w'·smooth L1 of w·difference over the batch size, with ``sigma``; w and w' are the third and
    fourth bottoms. With three bottoms it is the rule of Fast R-CNN's first release, which had no fourth and
    no sigma: its gradient is not multiplied by w. Without ``loss_weight`` it counts nothing.
    """

    spec: SigmaSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _check_sizes(message, bottoms)
        self.spec = SigmaSpec(message.smooth_l1_loss_param.sigma)
        if self.spec.sigma == 0:
            raise InputError("sigma must not be 0", message.name)

    def forward(
        self, a: Tensor, b: Tensor, inside: Tensor | None = None, outside: Tensor | None = None
    ) -> Tensor:
        """Two blobs of one size, and their weights, to a scalar."""
        difference = a - b.reshape(a.shape)
        if inside is not None and outside is None:
            return _unweighted(difference, inside).sum() / a.shape[0]
        if inside is not None and outside is not None:
            weighted = difference * inside.detach().reshape(a.shape)
            each = smooth_l1(weighted, self.spec.sigma) * outside.detach().reshape(a.shape)
        else:
            each = smooth_l1(difference, self.spec.sigma)
        return each.sum() / a.shape[0]


def _unweighted(difference: Tensor, weight: Tensor) -> Tensor:
    """Smooth L1 of the weighted difference, of which the gradient is as if the weight were 1."""
    weighted = difference.detach() * weight.detach().reshape(difference.shape)
    return with_slope(difference, smooth_l1(weighted), weighted.clamp(-1, 1))


@dataclass(frozen=True)
class NormalizedSpec(Spec):
    """Of R-FCN's losses."""

    normalization: str = "VALID"
    pre_fixed_normalizer: float = 1.0


def _per_roi(name: str, dialect: Dialect | None = None) -> Callable[[B], B]:
    """Register a class as R-FCN's loss."""
    facts: Facts = {"dialect": dialect} if dialect else {"fields": _NORMS}
    facts |= {"role": "loss", "bottoms": (2, 3), "tops": (0, 2), "labels": (2,), "macs": free}
    facts |= {"source": _OHEM, "default_loss_weight": 0.0}
    return layer(name, **facts)


@_per_roi("SmoothL1Loss", Dialect("rfcn", also=("r-fcn",), fields=_NORMS, needs_field=True))
@_per_roi("SmoothL1LossOHEM")
class SmoothL1LossOHEM(Layer):
    """The smooth L1 of w·difference, summed over the channels of each roi's pixel (the second top, without a
    gradient), and over all divided by what ``loss_param`` says, at least 1: the number of pixels (VALID and
    FULL), of rois (BATCH_SIZE), or a fixed one. The gradient is not multiplied by the weights w, the third
    bottom. Without ``loss_weight`` it counts nothing.
    """

    spec: NormalizedSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _check_sizes(message, bottoms)
        if not 2 <= len(bottoms[0]) <= 4:
            raise InputError(f"takes 2 to 4 axes, not {len(bottoms[0])}", message.name)
        positive(message, num=bottoms[0][0])
        mode = normalization(message.loss_param)
        self.spec = NormalizedSpec(mode, message.loss_param.pre_fixed_normalizer)
        self.has_each = len(message.top) > 1

    def forward(self, a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Two blobs (R, C, H, W) and their weights to a scalar, and to (R, 1, H, W)."""
        difference = a - b.reshape(a.shape)
        each = smooth_l1(difference) if weight is None else _unweighted(difference, weight)
        loss = each.sum() / self._normaliser(a)
        if not self.has_each:
            return loss
        return loss, four_axes(each.detach().sum(1, keepdim=True))

    def _normaliser(self, a: Tensor) -> float:
        counts = {
            "NONE": 1.0,
            "BATCH_SIZE": float(a.shape[0]),
            "PRE_FIXED": self.spec.pre_fixed_normalizer,
        }
        return max(1.0, counts.get(self.spec.normalization, a[:, 0].numel()))

"""Losses that are distances and margins; those of class probabilities stand in softmax.py."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import check_first_axes
from converters.layers.judging.labels import (
    LOSS_TOPS,
    ignored_label,
    normaliser,
    normalization,
    not_ignored,
    one_number,
    sample_labels,
)
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import HingeLossParameter, LayerParameter
from prototxt.errors import InputError

_NEAR = 1e-4  # what ContrastiveLoss adds to a distance that it divides by


def check_one_size(message: LayerParameter, bottoms: Shapes) -> None:
    """Raise InputError unless both bottoms have as many samples and as many values."""
    check_first_axes(message, bottoms)
    if bottoms[0].numel() != bottoms[1].numel():
        raise InputError(f"bottoms differ: {tuple(bottoms[0])} and {tuple(bottoms[1])}", message.name)


@dataclass(frozen=True)
class HingeLossSpec(Spec):
    """Of HingeLoss."""

    norm: str = "L1"


@layer(
    "HingeLoss",
    source="hinge_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    most=one_number,
    labels=(1,),
    fatal=(1,),
    scores_classes=True,
    macs=free,
)
class HingeLoss(Layer):
    """Sum over classes of max(0, 1 ∓ x), squared with norm L2, over the batch size (hinge_loss_layer.cpp)."""

    spec: HingeLossSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.index = sample_labels(message, bottoms)
        self.spec = HingeLossSpec(HingeLossParameter.Norm.Name(message.hinge_loss_param.norm))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Scores (N, K, …) and labels (N,) to a scalar."""
        scores = x.flatten(1)
        target = self.index(label, scores.shape[1]).reshape(-1, 1)
        sign = torch.ones_like(scores).scatter(1, target, -1.0)
        margins = F.relu(1 + sign * scores)
        return (margins * margins if self.spec.norm == "L2" else margins).sum() / x.shape[0]


@layer(
    "EuclideanLoss",
    source="euclidean_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    most=one_number,
    macs=free,
)
class EuclideanLoss(Layer):
    """Half the mean over the batch of squared distances; both bottoms get a gradient
    (euclidean_loss_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_one_size(message, bottoms)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two blobs of one size to a scalar."""
        difference = a - b.reshape(a.shape)
        return (difference * difference).sum() / (2 * a.shape[0])


@dataclass(frozen=True)
class SigmoidCrossEntropyLossSpec(Spec):
    """Of SigmoidCrossEntropyLoss."""

    normalization: str = "BATCH_SIZE"
    ignore_label: int | None = None


@layer(
    "SigmoidCrossEntropyLoss",
    source="sigmoid_cross_entropy_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    most=one_number,
    labels=(1,),
    fatal=(1,),
    macs=free,
)
class SigmoidCrossEntropyLoss(Layer):
    """Cross entropy of sigmoid(x) against targets from 0 to 1, summed over all and divided by the batch
    size where ``loss_param`` does not say otherwise (sigmoid_cross_entropy_loss_layer.cpp). A target
    whose whole part is ``ignore_label`` does not count.
    """

    spec: SigmoidCrossEntropyLossSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_one_size(message, bottoms)
        mode = normalization(message.loss_param, "BATCH_SIZE")
        self.spec = SigmoidCrossEntropyLossSpec(mode, ignored_label(message.loss_param))

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Scores and targets of one size to a scalar."""
        goal = target.detach().reshape(x.shape)
        each = F.binary_cross_entropy_with_logits(x, goal, reduction="none")
        valid = not_ignored(goal, self.spec.ignore_label)
        if self.spec.ignore_label is not None:
            each = torch.where(valid, each, 0.0)
        return each.sum() / normaliser(self.spec.normalization, x.shape[0], valid)


@dataclass(frozen=True)
class ContrastiveLossSpec(Spec):
    """Of ContrastiveLoss."""

    margin: float = 1.0
    legacy_version: bool = False


@layer(
    "ContrastiveLoss",
    source="contrastive_loss_layer.cpp",
    role="loss",
    bottoms=(3, 3),
    tops=LOSS_TOPS,
    most=one_number,
    labels=(2,),
    macs=free,
)
class ContrastiveLoss(Layer):
    """Half the mean of d² for pairs marked similar and max(margin - d, 0)² for others, d being their
    distance; ``legacy_version`` takes max(margin - d², 0) (contrastive_loss_layer.cpp). The gradient of
    a dissimilar pair divides by d + 1e-4.
    """

    spec: ContrastiveLossSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_first_axes(message, bottoms)
        first, second, similar = bottoms
        samples_apart = first.numel() != first[:2].numel() or len(first) < 2
        if first[:2] != second[:2] or second.numel() != first.numel() or samples_apart:
            raise InputError(f"takes two blobs (N, C), not {tuple(first)} and {tuple(second)}", message.name)
        if similar.numel() != first[0]:
            raise InputError(f"takes one mark a pair, not {tuple(similar)}", message.name)
        param = message.contrastive_loss_param
        self.spec = ContrastiveLossSpec(param.margin, param.legacy_version)

    def forward(self, a: Tensor, b: Tensor, similar: Tensor) -> Tensor:
        """(N, C), (N, C) and N marks to a scalar."""
        difference = a.flatten(1) - b.flatten(1)
        with torch.no_grad():
            square = (difference * difference).sum(1, keepdim=True)
            apart, factor = self._apart(square)
            is_similar = similar.detach().reshape(-1, 1).long() != 0
            loss = torch.where(is_similar, square, apart).sum() / (2 * len(a))
            slope = difference * torch.where(is_similar, 1.0, factor) / len(a)
        return with_slope(difference, loss, slope)

    def _apart(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """(twice the loss, the gradient's factor) of dissimilar pairs by their squared distance."""
        if self.spec.legacy_version:
            room = self.spec.margin - square
            return room.clamp(min=0), torch.where(room > 0, -1.0, 0.0)
        distance = square.sqrt()
        room = (self.spec.margin - distance).clamp(min=0)
        return room * room, -room / (distance + _NEAR)

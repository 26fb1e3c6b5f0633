"""Layers that compare a prediction with what it should have been: distances, margins, Accuracy."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.parts.gradient import with_slope
from converters.layers.parts.indexing import Index
from converters.layers.registry import Layer, Shapes, canonical_axis, layer, positive
from converters.layers.softmax import (
    LOSS_TOPS,
    check_first_axes,
    check_labels,
    ignored_label,
    normaliser,
    normalization,
)
from prototxt.caffe_pb2 import HingeLossParameter, LayerParameter, LossParameter
from prototxt.errors import InputError

_NEAR = 1e-4  # what ContrastiveLoss adds to a distance that it divides by


@layer("HingeLoss", bottoms=(2, 2), tops=LOSS_TOPS, labels=(1,))
class HingeLoss(Layer):
    """Sum over classes of max(0, 1 ∓ x), squared with norm L2, over the batch size (hinge_loss_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_first_axes(message, bottoms)
        if bottoms[1].numel() != bottoms[1][0]:
            raise InputError(f"takes one label a sample, not {tuple(bottoms[1])}", message.name)
        self.index = Index(message, "label", bottom=1)
        self.is_squared = message.hinge_loss_param.norm == HingeLossParameter.L2

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Scores (N, K, …) and labels (N,) to a scalar."""
        scores = x.flatten(1)
        target = self.index(label, scores.shape[1]).reshape(-1, 1)
        sign = torch.ones_like(scores).scatter(1, target, -1.0)
        margins = F.relu(1 + sign * scores)
        return (margins * margins if self.is_squared else margins).sum() / x.shape[0]


@layer("EuclideanLoss", bottoms=(2, 2), tops=LOSS_TOPS, labels=())
class EuclideanLoss(Layer):
    """Half the mean over the batch of squared distances; both bottoms get a gradient
    (euclidean_loss_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_first_axes(message, bottoms)
        if bottoms[0].numel() != bottoms[1].numel():
            raise InputError(f"bottoms differ: {tuple(bottoms[0])} and {tuple(bottoms[1])}", message.name)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two blobs of one size to a scalar."""
        difference = a - b.reshape(a.shape)
        return (difference * difference).sum() / (2 * a.shape[0])


@layer("SigmoidCrossEntropyLoss", bottoms=(2, 2), tops=LOSS_TOPS, labels=(1,))
class SigmoidCrossEntropyLoss(Layer):
    """Cross entropy of sigmoid(x) against targets from 0 to 1, summed over all and divided by the batch
    size where ``loss_param`` does not say otherwise (sigmoid_cross_entropy_loss_layer.cpp). A target
    whose whole part is ``ignore_label`` does not count.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_first_axes(message, bottoms)
        if bottoms[0].numel() != bottoms[1].numel():
            raise InputError(f"bottoms differ: {tuple(bottoms[0])} and {tuple(bottoms[1])}", message.name)
        self.ignore = ignored_label(message.loss_param)
        self.mode = normalization(message.loss_param, LossParameter.BATCH_SIZE)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Scores and targets of one size to a scalar."""
        goal = target.detach().reshape(x.shape)
        each = F.binary_cross_entropy_with_logits(x, goal, reduction="none")
        if self.ignore is None:
            valid = torch.ones_like(goal, dtype=torch.bool)
        else:
            valid = goal.long() != self.ignore
            each = torch.where(valid, each, 0.0)
        return each.sum() / normaliser(self.mode, x.shape[0], valid)


@layer("ContrastiveLoss", bottoms=(3, 3), tops=LOSS_TOPS, labels=(2,))
class ContrastiveLoss(Layer):
    """Half the mean of d² for pairs marked similar and max(margin - d, 0)² for others, d being their
    distance; ``legacy_version`` takes max(margin - d², 0) (contrastive_loss_layer.cpp). The gradient of
    a dissimilar pair divides by d + 1e-4.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_first_axes(message, bottoms)
        first, second, similar = bottoms
        samples_apart = first.numel() != first[:2].numel() or len(first) < 2
        if first[:2] != second[:2] or second.numel() != first.numel() or samples_apart:
            raise InputError(f"takes two blobs (N, C), not {tuple(first)} and {tuple(second)}", message.name)
        if similar.numel() != first[0]:
            raise InputError(f"takes one mark a pair, not {tuple(similar)}", message.name)
        self.margin = message.contrastive_loss_param.margin
        self.is_legacy = message.contrastive_loss_param.legacy_version

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
        if self.is_legacy:
            room = self.margin - square
            return room.clamp(min=0), torch.where(room > 0, -1.0, 0.0)
        distance = square.sqrt()
        room = (self.margin - distance).clamp(min=0)
        return room * room, -room / (distance + _NEAR)


@layer("Accuracy", bottoms=(2, 2), tops=(1, 2), labels=(1,))
class Accuracy(Layer):
    """The share of labels among the top_k scores; a score equal to the label's counts as better.

    A second top holds the accuracy per class, 0 for a class without a sample (accuracy_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.accuracy_param
        self.axis = canonical_axis(message, param.axis, len(bottoms[0]))
        check_labels(message, bottoms, self.axis)
        positive(message, top_k=param.top_k)
        self.top_k = param.top_k
        if self.top_k > bottoms[0][self.axis]:
            raise InputError(
                f"top_k {self.top_k} is more than the {bottoms[0][self.axis]} classes", message.name
            )
        self.ignore = param.ignore_label if param.HasField("ignore_label") else None
        self.index = Index(message, "label", bottom=1)
        self.per_class = len(message.top) > 1

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, K, …) and labels (N, …) to a scalar, and K with the second top."""
        scores = x.detach().movedim(self.axis, -1).flatten(0, -2)
        target = self.index(label, scores.shape[1], self.ignore).reshape(-1)
        counts = torch.ones_like(target, dtype=torch.bool) if self.ignore is None else target != self.ignore
        target = torch.where(counts, target, 0)
        hits = (is_top(scores, target, self.top_k) & counts).to(x.dtype)
        total = hits.sum() / counts.sum().clamp(min=1)
        return (total, _per_class(hits, target, counts, scores.shape[1])) if self.per_class else total


def is_top(scores: Tensor, target: Tensor, k: int) -> Tensor:
    """Whether fewer than k other classes score at least as much as the target: (N, K), (N,) to (N,)."""
    better = (scores >= scores.gather(1, target[:, None])).sum(1) - 1
    return better < k


def _per_class(hits: Tensor, target: Tensor, counts: Tensor, classes: int) -> Tensor:
    one_hot = F.one_hot(target, classes).to(hits.dtype) * counts[:, None]
    return (hits[:, None] * one_hot).sum(0) / one_hot.sum(0).clamp(min=1)

"""Softmax, and the layers that compare a prediction with a label."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.registry import Layer, Shapes, canonical_axis, expect, layer
from prototxt.caffe_pb2 import HingeLossParameter, LayerParameter, LossParameter
from prototxt.errors import InputError

_WORST = -math.log(torch.finfo(torch.float32).tiny)  # the loss of a probability at Caffe's floor, FLT_MIN


@layer("Softmax")
class Softmax(Layer):
    """exp(x) / sum exp(x) along ``axis`` (softmax_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 1)
        self.axis = canonical_axis(message, message.softmax_param.axis, len(bottoms[0]))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return F.softmax(x, self.axis)


def ignored_label(param: LossParameter) -> int | None:
    """The label that does not count, if one is set."""
    return param.ignore_label if param.HasField("ignore_label") else None


def normalization(param: LossParameter) -> int:
    """The mode in force: the older ``normalize`` speaks only where ``normalization`` is not given."""
    if not param.HasField("normalization") and param.HasField("normalize"):
        return LossParameter.VALID if param.normalize else LossParameter.BATCH_SIZE
    return param.normalization


def normaliser(mode: int, scores: Tensor, axis: int, valid: Tensor) -> Tensor | float:
    """What the summed loss is divided by, at least 1 (softmax_loss_layer.cpp, get_normalizer).

    ``valid``: which of the outer×inner positions count, as a mask of any shape.
    """
    if mode == LossParameter.NONE:
        return 1.0
    if mode == LossParameter.BATCH_SIZE:
        return float(math.prod(scores.shape[:axis]))
    if mode == LossParameter.FULL:
        return float(valid.numel())
    return valid.sum().clamp(min=1)


def _labels(message: LayerParameter, bottoms: Shapes, axis: int) -> None:
    """Raise InputError unless there is one label for every position of the scores."""
    scores, labels = bottoms[0], bottoms[1]
    if scores.numel() // scores[axis] != labels.numel():
        raise InputError(f"scores {tuple(scores)} and labels {tuple(labels)} do not match", message.name)


@layer("SoftmaxWithLoss")
class SoftmaxWithLoss(Layer):
    """Multinomial logistic loss of softmax(x) against integer labels; a second top is the softmax.

    The loss of one position is at most -log(FLT_MIN), while its gradient stays softmax - one-hot
    (softmax_loss_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 2)
        self.axis = canonical_axis(message, message.softmax_param.axis, len(bottoms[0]))
        _labels(message, bottoms, self.axis)
        self.ignore = ignored_label(message.loss_param)
        self.mode = normalization(message.loss_param)
        self.has_softmax = len(message.top) > 1

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, K, …) and labels (N, …) to a scalar."""
        logs = F.log_softmax(x, self.axis)
        target = label.reshape(x.shape[: self.axis] + x.shape[self.axis + 1 :]).long()
        valid = torch.ones_like(target, dtype=torch.bool) if self.ignore is None else target != self.ignore
        index = torch.where(valid, target, 0).unsqueeze(self.axis)
        each = -logs.gather(self.axis, index).squeeze(self.axis)
        capped = torch.where(each > _WORST, _WORST + (each - each.detach()), each)  # the gradient stays whole
        each = torch.where(valid, capped, 0.0)
        loss = each.sum() / normaliser(self.mode, x, self.axis, valid)
        return (loss, logs.exp()) if self.has_softmax else loss


@layer("HingeLoss")
class HingeLoss(Layer):
    """Sum over classes of max(0, 1 ∓ x), squared with norm L2, over the batch size (hinge_loss_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 2)
        self.is_squared = message.hinge_loss_param.norm == HingeLossParameter.L2

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Scores (N, K, …) and labels (N,) to a scalar."""
        scores = x.flatten(1)
        sign = 1 - 2 * F.one_hot(label.reshape(-1).long(), scores.shape[1]).to(x.dtype)
        margins = F.relu(1 + sign * scores)
        return (margins * margins if self.is_squared else margins).sum() / x.shape[0]


@layer("EuclideanLoss")
class EuclideanLoss(Layer):
    """Half the mean over the batch of squared distances (euclidean_loss_layer.cpp)."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 2)
        if bottoms[0].numel() != bottoms[1].numel():
            raise InputError(f"bottoms differ: {tuple(bottoms[0])} and {tuple(bottoms[1])}", message.name)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two blobs of one size to a scalar."""
        difference = a - b.reshape(a.shape)
        return (difference * difference).sum() / (2 * a.shape[0])


@layer("Accuracy")
class Accuracy(Layer):
    """The share of labels among the top_k scores; a score equal to the label's counts as better.

    A second top holds the accuracy per class, 0 for a class without a sample (accuracy_layer.cpp).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        expect(message, bottoms, 2)
        param = message.accuracy_param
        self.axis = canonical_axis(message, param.axis, len(bottoms[0]))
        _labels(message, bottoms, self.axis)
        self.top_k = param.top_k
        if self.top_k > bottoms[0][self.axis]:
            raise InputError(
                f"top_k {self.top_k} is more than the {bottoms[0][self.axis]} classes", message.name
            )
        self.ignore = param.ignore_label if param.HasField("ignore_label") else None
        self.per_class = len(message.top) > 1

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, K, …) and labels (N, …) to a scalar, and K with the second top."""
        scores = x.detach().movedim(self.axis, -1).flatten(0, -2)
        target = label.reshape(-1).long()
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

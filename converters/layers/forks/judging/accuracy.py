"""Accuracy as Caffe had it until 2017, and as forks of that time have it; SegAccuracy."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from converters.layers.base import Layer, Placed
from converters.layers.choice import Dialect
from converters.layers.judging.metrics import Accuracy, AccuracySpec, Judged
from converters.layers.parts.indexing import Index
from converters.layers.parts.legacy_axes import check_axes, four, four_axes
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class RankedSpec(AccuracySpec):
    """Of an Accuracy that ranks the classes."""

    min_is_better: bool = False


class _Ranked(Accuracy):
    """Of equal scores the larger class' counts as better; where ``min_is_better``, the smaller class'."""

    spec: RankedSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        spec, param = self.spec, message.accuracy_param
        self.spec = RankedSpec(spec.top_k, spec.axis, spec.ignore_label, param.min_is_better)

    def _is_top(self, scores: Tensor, target: Tensor) -> Tensor:
        if self.spec.min_is_better:
            return self._leads(-scores.flip(1), scores.shape[1] - 1 - target)
        return self._leads(scores, target)

    def _leads(self, scores: Tensor, target: Tensor) -> Tensor:
        """Whether fewer than top_k classes score more, or as much and are larger."""
        own, target = scores.gather(1, target[:, None]), target[:, None]
        is_larger = torch.arange(scores.shape[1], device=scores.device) > target
        return ((scores > own) | ((scores == own) & is_larger)).sum(1) < self.spec.top_k


@layer(
    "Accuracy",
    source="alexgkendall/caffe-segnet: accuracy_layer.cpp",
    bottoms=(2, 2),
    tops=(1, 2),
    labels=(1,),
    dialect=Dialect("segnet", also=("enet",), needs_field=True),
    role="metric",
    scores_classes=True,
    ignore_in="accuracy_param",
    macs=free,
)
class SegNetAccuracy(_Ranked):
    """Of equal scores the larger class' counts as better. A second top (K, 1, 1, 1) holds the accuracy of
    each class, 1 where no label is of it. NaN where no label counts.
    """

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, K, …) and labels (N, …) to a scalar, and (K, 1, 1, 1) with the second top."""
        judged = self._judged(x, label)
        total = judged.hits.sum() / judged.counts.sum()
        if not self.per_class:
            return total
        hits, labels = judged.of_class()
        share = torch.where(labels > 0, hits / labels.clamp(min=1), 1.0)
        return total, share.reshape(-1, 1, 1, 1)


@layer(
    "Accuracy",
    source="happynear/caffe-windows: accuracy_layer.cpp",
    bottoms=(2, 3),
    tops=(1, 2),
    labels=(1, 2),
    dialect=Dialect(
        "happynear",
        also=("ssd", "pspnet", "yjxiong"),
        fields=("accuracy_param.min_is_better",),
        needs_field=True,
    ),
    role="metric",
    scores_classes=True,
    ignore_in="accuracy_param",
    macs=free,
)
class HappynearAccuracy(_Ranked):
    """Of equal scores the larger class' counts as better; ``min_is_better``: the least scores are the best,
    and of equal ones the smaller class'. Where a third bottom is 0 a label does not count. The second top
    is Caffe's. Without the field and the third bottom it is BVLC's rule of 2015 and 2016, which SSD, PSPNet
    and yjxiong's fork have.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__(message, bottoms)
        if len(bottoms) > 2 and bottoms[2].numel() != bottoms[1].numel():
            raise InputError(f"{bottoms[2].numel()} weights for {bottoms[1].numel()} labels", message.name)

    def forward(
        self, x: Tensor, label: Tensor, weight: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, K, …), labels (N, …) and as many weights to a scalar, and K with the second top."""
        judged: Judged = self._judged(x, label)
        if weight is not None:
            judged = replace(judged, counts=judged.counts & (weight.detach().reshape(-1) != 0))
        total = judged.hits.sum() / judged.counts.sum()
        return (total, judged.per_class()) if self.per_class else total


@dataclass(frozen=True)
class SegAccuracySpec(Spec):
    """Of SegAccuracy."""

    ignore_label: tuple[int, ...] = ()
    reset: bool = True


@layer(
    "SegAccuracy",
    source="hszhao/PSPNet: seg_accuracy_layer.cpp",
    role="metric",
    bottoms=(2, 2),
    labels=(1,),
    fields=("seg_accuracy_param",),
    macs=free,
)
class SegAccuracy(Placed):
    """Of all pixels whose label is not ignored: the share that is right, its mean over the classes that there
    are, and the mean over all classes of hits / (labels + predictions - hits), which is 1 for a class that
    is neither labelled nor predicted. Of equal scores the larger class is predicted. ``reset: false``
    counts the pixels of earlier passes too; ``metric`` does nothing.
    """

    spec: SegAccuracySpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        for shape in bottoms:
            check_axes(message, shape, 1)
        scores, labels = (four(shape) for shape in bottoms)
        if labels != (scores[0], 1, *scores[2:]):
            raise InputError(f"takes (N, K, H, W) and (N, 1, H, W), not {scores} and {labels}", message.name)
        param = message.seg_accuracy_param
        self.spec = SegAccuracySpec(tuple(param.ignore_label), param.reset)
        self.index = Index(message, "label", bottom=1)
        self.counted: Tensor | None = None

    def reset(self) -> None:
        """Forget the pixels of earlier passes."""
        self.counted = None

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Scores (N, K, H, W) and labels (N, 1, H, W), later axes 1 where there are none, to (1, 1, 1, 3):
        accuracy, recall, Jaccard index.
        """
        x = four_axes(x)
        classes = x.shape[1]
        whole = label.detach().reshape(-1).long()
        counts = torch.ones_like(whole, dtype=torch.bool)
        for ignored in self.spec.ignore_label:
            counts &= whole != ignored
        target = self.index(torch.where(counts, label.detach().reshape(-1), 0.0), classes)
        predicted = classes - 1 - x.detach().flip(1).argmax(1).reshape(-1)
        pairs = torch.zeros(classes * classes, dtype=torch.float64, device=x.device)
        pairs = pairs.index_add(0, target * classes + predicted, counts.double())
        return _summary(self._with_earlier(pairs).reshape(classes, classes)).to(x.dtype).reshape(1, 1, 1, 3)

    def _with_earlier(self, pairs: Tensor) -> Tensor:
        if self.spec.reset or pairs.is_meta or torch.compiler.is_exporting():
            return pairs
        self.counted = pairs if self.counted is None else self.counted.to(pairs) + pairs
        return self.counted


def _summary(pairs: Tensor) -> Tensor:
    """(accuracy, mean recall, mean Jaccard index) of the pixels by (label, prediction)."""
    hits, labels, union = pairs.diagonal(), pairs.sum(1), pairs.sum(1) + pairs.sum(0) - pairs.diagonal()
    recall = (hits / labels.clamp(min=1)).sum() / (labels > 0).sum().clamp(min=1)
    overlap = torch.where(union > 0, hits / union.clamp(min=1), 1.0).mean()
    return torch.stack([hits.sum() / labels.sum().clamp(min=1), recall, overlap])


@layer(
    "AccuracyRegression",
    source="BVLC/caffe, a branch: accuracy_regression_layer.cpp",
    role="metric",
    bottoms=(2, 2),
    labels=(1,),
    macs=free,
)
class AccuracyRegression(Layer):
    """Half the mean over the batch of the sums of absolute differences."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        if bottoms[0].numel() != bottoms[1].numel() or not bottoms[0]:
            raise InputError(f"bottoms differ: {tuple(bottoms[0])} and {tuple(bottoms[1])}", message.name)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Two blobs of one size to (1, 1, 1, 1)."""
        apart = x.detach() - label.detach().reshape(x.shape)
        return (apart.abs().sum() / len(x) / 2).reshape(1, 1, 1, 1)

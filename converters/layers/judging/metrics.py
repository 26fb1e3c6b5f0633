"""Layers that say how good a prediction is, and send back no gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, positive
from converters.layers.judging.labels import check_label_blob, not_ignored
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class AccuracySpec(Spec):
    """Of Accuracy."""

    top_k: int = 1
    axis: int = 1
    ignore_label: int | None = None


def _scalar_and_classes(module: Layer, bottoms: Shapes) -> Shapes:
    return [torch.Size(()), torch.Size((bottoms[0][module.spec.axis],))][: 2 if module.per_class else 1]


@layer(
    "Accuracy",
    source="accuracy_layer.cpp",
    role="metric",
    bottoms=(2, 2),
    tops=(1, 2),
    labels=(1,),
    scores_classes=True,
    ignore_in="accuracy_param",
    macs=free,
    most=_scalar_and_classes,
)
class Accuracy(Layer):
    """The share of labels among the top_k scores; a score equal to the label's counts as better.

    A second top holds the accuracy per class, 0 for a class without a sample (accuracy_layer.cpp).
    """

    spec: AccuracySpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.accuracy_param
        axis = canonical_axis(message, param.axis, len(bottoms[0]))
        check_label_blob(message, bottoms, axis)
        positive(message, top_k=param.top_k)
        if param.top_k > bottoms[0][axis]:
            raise InputError(f"top_k {param.top_k} is more than the {bottoms[0][axis]} classes", message.name)
        ignore = param.ignore_label if param.HasField("ignore_label") else None
        self.spec = AccuracySpec(param.top_k, axis, ignore)
        self.index = Index(message, "label", bottom=1)
        self.per_class = len(message.top) > 1

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Scores (N, K, …) and labels (N, …) to a scalar, and K with the second top."""
        judged = self._judged(x, label)
        total = judged.hits.sum() / judged.counts.sum().clamp(min=1)
        return (total, judged.per_class()) if self.per_class else total

    def _judged(self, x: Tensor, label: Tensor) -> "Judged":
        scores = x.detach().movedim(self.spec.axis, -1).flatten(0, -2)
        target = self.index(label, scores.shape[1], self.spec.ignore_label).reshape(-1)
        counts = not_ignored(target, self.spec.ignore_label)
        target = torch.where(counts, target, 0)
        return Judged(self._is_top(scores, target).to(x.dtype), target, counts, scores.shape[1])

    def _is_top(self, scores: Tensor, target: Tensor) -> Tensor:
        return is_top(scores, target, self.spec.top_k)


@dataclass(frozen=True)
class Judged:
    """Of each label, flat: 1 where its score is among the best, which class it is, whether it counts; and
    how many classes there are.
    """

    is_top: Tensor
    target: Tensor
    counts: Tensor
    classes: int

    @property
    def hits(self) -> Tensor:
        """1 for each label that counts and is among the best."""
        return self.is_top * self.counts

    def of_class(self) -> tuple[Tensor, Tensor]:
        """(hits, labels that count) of each class."""
        one_hot = F.one_hot(self.target, self.classes).to(self.is_top.dtype) * self.counts[:, None]
        return (self.is_top[:, None] * one_hot).sum(0), one_hot.sum(0)

    def per_class(self) -> Tensor:
        """The share of hits of each class, 0 where no label is of it."""
        hits, labels = self.of_class()
        return hits / labels.clamp(min=1)


def is_top(scores: Tensor, target: Tensor, k: int) -> Tensor:
    """Whether fewer than k other classes score at least as much as the target: (N, K), (N,) to (N,)."""
    better = (scores >= scores.gather(1, target[:, None])).sum(1) - 1
    return better < k

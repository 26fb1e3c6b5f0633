"""Layers that say how good a prediction is, and send back no gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import canonical_axis, positive
from converters.layers.judging.softmax import check_label_blob, not_ignored
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
        scores = x.detach().movedim(self.spec.axis, -1).flatten(0, -2)
        target = self.index(label, scores.shape[1], self.spec.ignore_label).reshape(-1)
        counts = not_ignored(target, self.spec.ignore_label)
        target = torch.where(counts, target, 0)
        hits = (is_top(scores, target, self.spec.top_k) & counts).to(x.dtype)
        total = hits.sum() / counts.sum().clamp(min=1)
        return (total, _per_class(hits, target, counts, scores.shape[1])) if self.per_class else total


def is_top(scores: Tensor, target: Tensor, k: int) -> Tensor:
    """Whether fewer than k other classes score at least as much as the target: (N, K), (N,) to (N,)."""
    better = (scores >= scores.gather(1, target[:, None])).sum(1) - 1
    return better < k


def _per_class(hits: Tensor, target: Tensor, counts: Tensor, classes: int) -> Tensor:
    one_hot = F.one_hot(target, classes).to(hits.dtype) * counts[:, None]
    return (hits[:, None] * one_hot).sum(0) / one_hot.sum(0).clamp(min=1)

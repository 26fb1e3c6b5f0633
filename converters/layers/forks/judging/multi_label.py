"""MultiLabelAccuracy and MultiLabelSigmoidLoss, of labels that are above 0, below 0, or unknown."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.judging.labels import LOSS_TOPS, one_number
from converters.layers.judging.losses import check_one_size
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter


@layer(
    "MultiLabelAccuracy",
    source="longpeng2008/Caffe_Long: multi_label_accuracy_layer.cpp",
    role="metric",
    bottoms=(2, 2),
    labels=(1,),
    macs=free,
)
class MultiLabelAccuracy(Layer):
    """How well scores of 0 and more tell the labels above 0 from those below 0; a label whose whole part is 0
    does not count. Of TP and TN hits among P and N labels: sensitivity TP/P, specificity TN/N, their harmonic
    mean, precision, and F1. A share of nothing is 0, but the harmonic mean is NaN where there are labels of
    one kind alone.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_one_size(message, bottoms)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Scores and labels of one size to (1, 5, 1, 1)."""
        marks = label.detach().reshape(-1).trunc()
        is_high = x.detach().reshape(-1) >= 0
        hits, labels = (marks > 0) & is_high, marks > 0
        positive, negative = _count(labels, x), _count(marks < 0, x)
        found, refused = _count(hits, x), _count((marks < 0) & ~is_high, x)
        claimed = found + negative - refused
        harmonic = 2 / (positive / found + negative / refused)
        shares = (
            _share(found, positive),
            _share(refused, negative),
            torch.where(positive + negative > 0, harmonic, 0.0),
            _share(found, claimed),
            _share(2 * found, claimed + positive),
        )
        return torch.stack(shares).reshape(1, 5, 1, 1)


def _count(mark: Tensor, x: Tensor) -> Tensor:
    return mark.sum().to(x.dtype)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """A part of a whole, 0 of nothing."""
    return part / whole.clamp(min=1)


@layer(
    "MultiLabelSigmoidLoss",
    source="longpeng2008/Caffe_Long: multi_label_sigmod_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    most=one_number,
    labels=(1,),
    macs=free,
)
class MultiLabelSigmoidLoss(Layer):
    """Cross entropy of sigmoid(x) against labels above 0, which are 1, and below 0, which are 0, over the
    batch size. A label of 0 does not count, so that labels of 0 and 1 train the ones alone.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_one_size(message, bottoms)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Scores and labels of one size to a scalar."""
        marks = label.detach().reshape(x.shape)
        goal = (marks > 0).to(x.dtype)
        each = F.binary_cross_entropy_with_logits(x, goal, reduction="none")
        return torch.where(marks != 0, each, 0.0).sum() / x.shape[0]

"""AdaptedWeightedSoftmaxWithLoss, which weighs what is to be found by how little of it there is."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.judging.labels import LEAST_LOG, LOSS_TOPS, OfLabels, one_number
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import Shapes, free, layer
from prototxt.caffe_pb2 import LayerParameter


@layer(
    "AdaptedWeightedSoftmaxWithLoss",
    source="longpeng2008/Caffe_Long: adapted_weighted_softmax_with_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    most=one_number,
    labels=(1,),
    fatal=(1,),
    scores_classes=True,
    probabilities="Softmax",
    fields=("softmax_param.pos_mult", "softmax_param.pos_cid"),
    macs=free,
)
class AdaptedWeightedSoftmaxWithLoss(OfLabels):
    """The loss of softmax(x) in which the positions of a label above 0 weigh as much as the share of those of
    label 0 in their image, and these as much as the share of the others; the mean over all positions. A flat
    classifier, an image of which is one position, has a loss of 0. ``loss_param``, ``pos_mult`` and
    ``pos_cid`` do nothing.

    The gradient is the fork's: its shares of an image are those of all images up to it, so that it is the
    derivative for one image alone.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        bare = LayerParameter()
        bare.CopyFrom(message)
        bare.ClearField("loss_param")
        super().__init__(bare, bottoms, message.softmax_param.axis)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Scores (N, K, …) and labels (N, …) to a scalar."""
        axis, logs = self.spec.axis, F.log_softmax(x.detach(), self.spec.axis)
        target, _ = self._targets(x, label)
        own = target.unsqueeze(axis)
        each = -logs.gather(axis, own).squeeze(axis).clamp(min=LEAST_LOG)
        # An image is what lies before the axis of classes, as the fork counts: (images, positions).
        is_found = (target > 0).reshape(math.prod(x.shape[:axis]), -1)
        found, rest = (mark.sum(1, keepdim=True).to(x.dtype) for mark in (is_found, ~is_found))
        loss = (each.reshape(is_found.shape) * _weights(is_found, found, rest)).sum() / target.numel()
        weights = _weights(is_found, found.cumsum(0), rest.cumsum(0)).reshape(own.shape)
        one_hot = torch.zeros_like(logs).scatter(axis, own, 1.0)
        return with_slope(x, loss, (logs.exp() - one_hot) * weights / target.numel())


def _weights(is_found: Tensor, found: Tensor, rest: Tensor) -> Tensor:
    """Of each position the share of the other kind: (images, positions), counts (images, 1)."""
    return torch.where(is_found, rest, found) / (found + rest)

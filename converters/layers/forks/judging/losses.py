"""L1Loss, AsymEuclideanLoss, RankHardLoss, and a cross entropy that weighs edges by their number."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import LARGEST
from converters.layers.choice import Dialect
from converters.layers.judging.labels import LOSS_TOPS, one_number, sample_labels
from converters.layers.judging.losses import EuclideanLoss, check_one_size
from converters.layers.parts.gradient import with_gradient, with_slope
from converters.layers.registry import Shapes, free, layer, zero_or_one
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@layer(
    "L1Loss", source="NVIDIA/caffe: l1_loss_layer.cpp", role="loss", bottoms=(2, 2), tops=LOSS_TOPS, macs=free
)
class L1Loss(Layer):
    """The sum of absolute differences over the batch size; both bottoms get a gradient. FlowNet's layer of
    the name, which has fields of its own, is another.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_one_size(message, bottoms)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two blobs of one size to a scalar."""
        return (a - b.reshape(a.shape)).abs().sum() / a.shape[0]


@layer(
    "AsymEuclideanLoss",
    source="longpeng2008/Caffe_Long: asym_euclidean_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    most=one_number,
    macs=free,
)
class AsymEuclideanLoss(EuclideanLoss):
    """EuclideanLoss by another name: nothing of it is asymmetric."""


@dataclass(frozen=True)
class RankSpec(Spec):
    """Of RankHardLoss."""

    neg_num: int = 1
    pair_size: int = 1
    hard_ratio: float = 0.0
    rand_ratio: float = 0.0
    margin: float = 0.5


@layer(
    "RankHardLoss",
    source="xiaolonw/caffe-video_triplet: rank_hard_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    labels=(1,),
    fields=("rank_param",),
    macs=free,
)
class RankHardLoss(Layer):
    """Every ``pair_size``-th item and the one after it are a pair; the loss is what each of the two lacks to
    be closer to the other than to a negative by ``margin``, distance being minus the inner product, over
    2·neg_num·pairs. A pair's negatives are items of another label that come within the margin of its first
    item: all, or of more than ``neg_num`` the part hard_ratio·neg_num of the closest neg_num and rand_ratio·
    neg_num of the rest, drawn from torch's default generator. The gradient is that of a loss weight of 1.
    """

    spec: RankSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        sample_labels(message, bottoms)
        param = message.rank_param
        items = bottoms[0][0]
        if param.neg_num < 1 or param.pair_size < 2 or (items - 1) % param.pair_size == 0:
            needs = "neg_num of at least 1, pair_size of at least 2 and a second item for each pair's first"
            numbers = f"{param.neg_num}, {param.pair_size} and {items} items"
            raise InputError(f"takes {needs}, not {numbers}", message.name)
        if not all(abs(ratio * param.neg_num) <= LARGEST for ratio in (param.hard_ratio, param.rand_ratio)):
            raise InputError("hard_ratio and rand_ratio are parts of neg_num", message.name)
        self.spec = RankSpec(param.neg_num, param.pair_size, param.hard_ratio, param.rand_ratio, param.margin)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Features (N, …) and N labels to a scalar."""
        flat, marks = x.flatten(1), label.detach().reshape(-1)
        first = torch.arange(0, len(flat), self.spec.pair_size, device=x.device)
        distance = -flat @ flat.T
        own = distance[first, first + 1].unsqueeze(1) + self.spec.margin
        lacks = (own - distance[first]).clamp(min=0), (own - distance[first + 1]).clamp(min=0)
        is_other = marks != marks[first].unsqueeze(1)
        chosen = self._chosen(distance[first].detach(), is_other & (lacks[0].detach() > 0))
        total = torch.where(chosen, lacks[0] + lacks[1], 0.0).sum()
        count = self.spec.neg_num * len(flat) // self.spec.pair_size * 2
        return with_gradient(total / count, total / count, torch.ones_like(total))

    def _chosen(self, distance: Tensor, near: Tensor) -> Tensor:
        """The negatives that count: (pairs, N) of distances and of who comes near to the same."""
        spec = self.spec
        rank = _ranks(torch.where(near, distance, torch.inf))
        is_hard = near & (rank < spec.neg_num)
        drawn = is_hard & (_ranks(_drawn(is_hard)) < _part(spec.neg_num, spec.hard_ratio))
        rest = near & ~drawn
        more = rest & (_ranks(_drawn(rest)) < _part(spec.neg_num, spec.rand_ratio))
        return torch.where(near.sum(1, keepdim=True) > spec.neg_num, drawn | more, near)


def _part(count: int, ratio: float) -> int:
    """The whole part of a product in float32."""
    return int(np.float32(count) * np.float32(ratio))


def _drawn(mask: Tensor) -> Tensor:
    """A random number for each element of the mask, infinity for others."""
    return torch.where(mask, torch.rand(mask.shape, device=mask.device), torch.inf)


def _ranks(keys: Tensor) -> Tensor:
    """The place of each element in its row by size; of equal ones the first comes first."""
    return keys.argsort(dim=1, stable=True).argsort(dim=1)


@layer(
    "SigmoidCrossEntropyLoss",
    source="s9xie/hed: sigmoid_cross_entropy_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    labels=(1,),
    macs=free,
    dialect=Dialect("hed", needs_field=True, beside=("ImageLabelmapData",)),
)
@layer(
    "AdaptedWeightedSigmoidCrossEntropyLoss",
    source="longpeng2008/Caffe_Long: adapted_weighted_sigmoid_cross_entropy_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    most=one_number,
    labels=(1,),
    fatal=(1,),
    indices={1: zero_or_one},
    macs=free,
)
class BalancedCrossEntropyLoss(Layer):
    """Cross entropy of sigmoid(x) in which the edges of an image (targets of 1) weigh as much as the share of
    the rest (targets of 0), and the rest as much as the share of the edges; the mean over the batch. Other
    targets do not count, but their gradient is that of the loss without a weight, as the forks have it. An
    image of such alone makes the loss NaN. ``loss_param`` does nothing.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        check_one_size(message, bottoms)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """Scores and targets of one size to a scalar."""
        scores = x.detach().unsqueeze(-1).flatten(1)  # of one axis, too
        goal = target.detach().reshape(scores.shape)
        is_edge, is_rest = goal == 1, goal == 0
        edges, rest = (mark.sum(1, keepdim=True) for mark in (is_edge, is_rest))
        share = (edges / (edges + rest)).to(x.dtype)  # NaN where nothing counts
        each = F.binary_cross_entropy_with_logits(scores, goal, reduction="none")
        of_edges, of_rest = ((each * mark).sum(1, keepdim=True) for mark in (is_edge, is_rest))
        loss = (of_edges * (1 - share) + of_rest * share).sum() / len(x)
        weight = torch.where(is_edge, 1 - share, torch.where(is_rest, share, 1.0))
        return with_slope(x, loss, ((scores.sigmoid() - goal) * weight / len(x)).reshape(x.shape))

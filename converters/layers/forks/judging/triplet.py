"""GeneralTripletLoss, of distances from every class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.judging.labels import sample_labels
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class TripletSpec(Spec):
    """Of GeneralTripletLoss."""

    margin: float = 0.2
    add_center_loss: bool = True
    hardest_only: bool = False
    positive_first: bool = False
    positive_upper_bound: float = 1.0
    positive_weight: float = 1.0
    negative_weight: float = 1.0


@layer(
    "GeneralTripletLoss",
    source="happynear/caffe-windows: general_triplet_loss_layer.cpp",
    role="loss",
    bottoms=(2, 3),
    tops=(0, 2),
    labels=(1, 2),
    fields=("general_triplet_loss_param",),
    macs=free,
)
class GeneralTripletLoss(Layer):
    """What an item's distances from other classes lack to that from its own plus ``margin``, times
    ``negative_weight``; the sum of absolute values over the number of items. ``hardest_only``: the largest of
    each item; ``positive_first``: none where the own distance is above positive_upper_bound. A second top has
    the mean own distance and the mean other.

    The fork's gradient: -negative_weight for each that counts; positive_weight for the own distance, once,
    where any counts and with ``add_center_loss`` always. A third bottom, a number an item, weighs the
    gradient alone.
    """

    spec: TripletSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.index = sample_labels(message, bottoms)
        if len(bottoms) > 2 and bottoms[2].numel() != bottoms[0][0]:
            raise InputError(f"{bottoms[2].numel()} weights for {bottoms[0][0]} items", message.name)
        param = message.general_triplet_loss_param
        self.spec = TripletSpec(**numbers_of(param, TripletSpec))
        self.has_distances = len(message.top) > 1

    def forward(
        self, x: Tensor, label: Tensor, weight: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Distances (N, …), N labels and N weights to a scalar, and (2,) with a second top."""
        with torch.no_grad():
            d = x.flatten(1)
            target = self.index(label, d.shape[1]).reshape(-1, 1)
            own = torch.zeros_like(d, dtype=torch.bool).scatter(1, target, True)
            each, counts = self._others(d, own, d.gather(1, target))
            slope = self._slope(d, own, each, counts) / len(d)
            if weight is not None:
                slope = slope * weight.reshape(-1, 1)
            same = torch.where(own, d, 0.0).sum() / len(d)
            other = torch.where(own, 0.0, d).sum() / len(d) / (d.shape[1] - 1)
        top = with_slope(x, each.abs().sum() / len(d), slope.reshape(x.shape))
        return (top, torch.stack([same, other])) if self.has_distances else top

    def _others(self, d: Tensor, own: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
        """(what each distance adds to the loss, which count), (N, K) both."""
        spec = self.spec
        lacks = torch.where(own, 0.0, (same + spec.margin - d).clamp(min=0)) * spec.negative_weight
        counts = (same + spec.margin > d) & ~own
        if spec.hardest_only:
            hardest = torch.zeros_like(own).scatter(1, lacks.argmax(1, keepdim=True), True)
            counts = hardest & (lacks > 0)
        if spec.positive_first:
            counts = counts & (same <= spec.positive_upper_bound)
        return torch.where(counts, lacks, 0.0), counts

    def _slope(self, d: Tensor, own: Tensor, each: Tensor, counts: Tensor) -> Tensor:
        spec = self.spec
        other = torch.where(counts, -spec.negative_weight, 0.0).to(d.dtype)
        if spec.hardest_only:  # a distance of 0 keeps what the forward pass left where the gradient goes
            other = torch.where(counts & (d == 0), each, other)
        asks = (counts & (d != 0)).any(1, keepdim=True) if spec.hardest_only else counts.any(1, keepdim=True)
        far = torch.where(own, d, 0.0).sum(1, keepdim=True) > spec.positive_upper_bound
        pulls = asks | spec.add_center_loss | (far & spec.positive_first)
        return torch.where(own, torch.where(pulls, spec.positive_weight, 0.0), other)

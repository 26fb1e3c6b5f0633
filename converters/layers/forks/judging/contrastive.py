"""GeneralContrastiveLoss, of distances from every class."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.judging.labels import sample_labels
from converters.layers.parts.gradient import with_slope
from converters.layers.parts.passes import has_a_next
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import GeneralContrastiveParameter, LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class ContrastiveSpec(Spec):
    """Of GeneralContrastiveLoss; ``normalize_negative`` None: the prototxt does not set it."""

    positive_margin: float = 0.0
    negative_margin: float = 1.0
    positive_weight: float = 1.0
    negative_weight: float = 1.0
    normalize_negative: float | None = None
    positive_outlier_thresh: float = 4.0
    max_negative_only: bool = False
    max_positive_only: bool = False
    positive_first: bool = False
    positive_upper_bound: float = 1.0
    exp_negative_weight: bool = False
    add_intra_mae: bool = False
    max_negative_margin: float = 1.2

    @classmethod
    def read(cls, param: GeneralContrastiveParameter) -> "ContrastiveSpec":
        """The message's numbers."""
        numbers = numbers_of(param, cls)
        if not param.HasField("normalize_negative"):
            numbers["normalize_negative"] = None
        return cls(**numbers)


class Terms(NamedTuple):
    """Of distances (N, K): which are the label's, which of the others come within the margin, by how much
    each is beyond or lacks, and what each adds to the loss before any is left out.
    """

    own: Tensor
    near: Tensor
    apart: Tensor
    each: Tensor


@layer(
    "GeneralContrastiveLoss",
    source="happynear/caffe-windows: general_constrastive_loss_layer.cpp",
    role="loss",
    bottoms=(2, 3),
    tops=(0, 2),
    labels=(1, 2),
    fields=("general_contrastive_loss_param",),
    macs=free,
)
class GeneralContrastiveLoss(Layer):
    """What an item's distance from its class is beyond ``positive_margin`` (at most positive_outlier_thresh),
    and what those from other classes lack to ``negative_margin`` (``exp_negative_weight``: exp(-distance) of
    those that lack anything), each times its weight; the sum of absolute values over the number of items.
    ``max_positive_only``: of the items' own terms the least alone; ``max_negative_only``: of an item's others
    the largest; ``positive_first``: no others where the own distance is above positive_upper_bound.
    ``add_intra_mae`` adds the running mean of the own terms, at most max_negative_margin, to the margin. A
    second top has the mean own term, the mean other, and that running mean. A third bottom holds the
    distances instead, whose gradient the first gets. ``square`` does nothing.

    The fork's gradient: with ``normalize_negative`` that of the others is divided by its sum over that number
    and the items', where this is more than positive_weight; where positive_first leaves out others, the own
    distance's is positive_weight whatever it is.
    """

    spec: ContrastiveSpec
    excess: Tensor | None = None

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.index = sample_labels(message, bottoms)
        if len(bottoms) > 2 and bottoms[2] != bottoms[0]:
            raise InputError(f"{tuple(bottoms[2])} are no distances of {tuple(bottoms[0])}", message.name)
        self.spec = ContrastiveSpec.read(message.general_contrastive_loss_param)
        self.has_distances = len(message.top) > 1

    def reset(self) -> None:
        """Forget the running mean."""
        self.excess = None

    def forward(
        self, x: Tensor, label: Tensor, distances: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Distances (N, …), N labels and other distances to a scalar, and (2,) or (3,) with a second top."""
        with torch.no_grad():
            d = (x if distances is None else distances).flatten(1)
            terms = self._terms(d, self.index(label, d.shape[1]).reshape(-1, 1))
            counts = self._count(terms)
            loss = self._kept(terms, counts, d).abs().sum() / len(d)
            slope = self._slope(terms, counts, d) / len(d)
            means = self._means(terms, x)
        top = with_slope(x, loss, slope.reshape(x.shape))
        return (top, means) if self.has_distances else top

    def _terms(self, d: Tensor, target: Tensor) -> Terms:
        spec = self.spec
        margin = torch.full((), spec.negative_margin, dtype=d.dtype, device=d.device)
        if spec.add_intra_mae and self.excess is not None:
            margin = margin + self.excess
        own = torch.zeros_like(d, dtype=torch.bool).scatter(1, target, True)
        near = (d < margin) & ~own
        beyond = (d - spec.positive_margin).clamp(0, spec.positive_outlier_thresh)
        apart = torch.where(own, beyond, torch.where(near, margin - d, 0.0))
        other = torch.where(near, (-d).exp(), 0.0) if spec.exp_negative_weight else apart
        each = torch.where(own, apart * spec.positive_weight, other * spec.negative_weight)
        return Terms(own, near, apart, each)

    def _count(self, terms: Terms) -> Tensor:
        """The terms that count where only the least own and the largest other one do: all, but where the
        prototxt says so. The fork begins at the first item, and at the first class whether near or not.
        """
        counts = torch.ones_like(terms.own)
        if self.spec.max_positive_only:
            least = torch.where(terms.own, terms.each, 0.0).sum(1).argmin()
            rows = torch.arange(len(counts), device=counts.device) == least
            counts = torch.where(terms.own, rows[:, None], counts)
        if self.spec.max_negative_only:
            near = terms.near.index_fill(1, torch.zeros(1, dtype=torch.long, device=counts.device), True)
            largest = torch.where(near, terms.each, -torch.inf).argmax(1, keepdim=True)
            chosen = torch.zeros_like(counts).scatter(1, largest, True)
            counts = torch.where(terms.own, counts, chosen)
        return counts

    def _is_far(self, terms: Terms, d: Tensor) -> Tensor:
        """Which items have no other terms, since they are too far from their own class: (N, 1)."""
        if not self.spec.positive_first:
            return torch.zeros_like(terms.own[:, :1])
        return torch.where(terms.own, d, 0.0).sum(1, keepdim=True) > self.spec.positive_upper_bound

    def _kept(self, terms: Terms, counts: Tensor, d: Tensor) -> Tensor:
        return torch.where(counts & (terms.own | ~self._is_far(terms, d)), terms.each, 0.0)

    def _slope(self, terms: Terms, counts: Tensor, d: Tensor) -> Tensor:
        spec, far = self.spec, self._is_far(terms, d)
        within = (d > spec.positive_margin) & (d < spec.positive_outlier_thresh) & counts
        own = torch.where(within | far, spec.positive_weight, 0.0)
        steep = -spec.negative_weight * ((-d).exp() if spec.exp_negative_weight else torch.ones_like(d))
        other = torch.where(terms.near & counts & ~far, steep, 0.0)
        if spec.normalize_negative is not None:
            total = other.sum().abs() / spec.normalize_negative / len(d)
            other = torch.where(total > spec.positive_weight, other / total, other)
        return torch.where(terms.own, own.to(d.dtype), other)

    def _means(self, terms: Terms, x: Tensor) -> Tensor:
        """The second top; the running mean goes on to the next pass."""
        items, others = len(terms.own), terms.own.shape[1] - 1
        own = torch.where(terms.own, terms.apart, 0.0).sum() / items
        other = torch.where(terms.own, 0.0, terms.apart).sum() / items / others
        if not self.spec.add_intra_mae:
            return torch.stack([own, other])
        before = self.excess if self.excess is not None else torch.zeros_like(own)
        excess = (0.99 * before + 0.01 * own).clamp(max=self.spec.max_negative_margin)
        if has_a_next(x):
            self.excess = excess
        return torch.stack([own, other, excess])

"""What py-faster-rcnn's layers in Python have a region proposal network and its detector learn.

Config's numbers are those of its end-to-end training. Which examples are left out is drawn by torch's default
generator of the device: seed it for a repeatable step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import LARGEST
from converters.layers.choice import Dialect
from converters.layers.facts import Facts
from converters.layers.parts.boxes.anchors import Anchors, deltas_to
from converters.layers.parts.boxes.nms import overlaps
from converters.layers.parts.boxes.rows import some
from converters.layers.parts.indexing import Index
from converters.layers.parts.legacy_axes import four_axes
from converters.layers.parts.python_options import python_anchors, python_options
from converters.layers.registry import Builder, Count, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

B = TypeVar("B", bound=Builder)
_RPN_BATCH, _RPN_POSITIVE, _RPN_NEGATIVE = 256, 0.7, 0.3  # half of a batch at most are objects
_BATCH, _OBJECTS, _IS_OBJECT = 128, 32, 0.5
_PYTHON, _PROPOSAL_TARGET = "rbgirshick/py-faster-rcnn", "rpn.proposal_target_layer.ProposalTargetLayer"
_DEVIATIONS = (0.1, 0.1, 0.2, 0.2)  # of a detector's targets


def _most(module: Layer, bottoms: Shapes) -> Shapes:
    assert isinstance(module, AnchorTarget | ProposalTarget)
    return module.most(bottoms)


def _rule(
    name: str, source: str, bottoms: Count, tops: int, dialect: Dialect | None = None
) -> Callable[[B], B]:
    """Register a class that says what is learned."""
    facts: Facts = {"dialect": dialect} if dialect else {}
    facts |= {"source": source, "bottoms": bottoms, "tops": (tops, tops)}
    facts |= {"macs": free, "most": _most, "untraceable": True}
    return layer(name, **facts)


def _check_truths(message: LayerParameter, shape: torch.Size) -> None:
    if len(shape) != 2 or shape[1] != 5 or not shape[0]:
        raise InputError(f"takes gt_boxes (G, 5), corners and a label, not {tuple(shape)}", message.name)


@dataclass(frozen=True)
class AnchorTargetSpec(Spec):
    """Of AnchorTargetLayer; anchors may reach ``allowed_border`` pixels over the image's edge."""

    anchors: Anchors
    allowed_border: int = 0


@_rule("rpn.anchor_target_layer.AnchorTargetLayer", f"{_PYTHON}: rpn/anchor_target_layer.py", (3, 4), 4)
class AnchorTarget(Layer):
    """Labels of anchors, 1 of objects, 0 of none and -1 of what does not count, and the deltas to the truth
    that each overlaps most, with weights: 1 of objects, and one over the number of examples. Anchors
    inside of the image count: those that overlap a truth by 0.7, or as much as any does, are objects,
    below 0.3 none; of these 256 are drawn, at most half of them objects.
    """

    spec: AnchorTargetSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        border = python_options(message, "feat_stride").get("allowed_border", 0)
        if not isinstance(border, int) or abs(border) > LARGEST:
            raise InputError(f"param_str: allowed_border {border!r} is no whole number", message.name)
        self.spec = AnchorTargetSpec(python_anchors(message), border)
        if len(bottoms[0]) != 4 or bottoms[0][0] != 1 or bottoms[2].numel() < 3:
            raise InputError("takes scores of one image, (1, C, H, W), and im_info of 3 values", message.name)
        _check_truths(message, bottoms[1])

    def most(self, bottoms: Shapes) -> Shapes:
        """The shapes of the tops."""
        (_, _, height, width), count = bottoms[0], self.spec.anchors.count
        deltas = torch.Size([1, 4 * count, height, width])
        return [torch.Size([1, 1, count * height, width]), deltas, deltas, deltas]

    @torch.no_grad()
    def forward(self, scores: Tensor, truths: Tensor, image: Tensor, *data: Tensor) -> tuple[Tensor, ...]:
        """(1, C, H, W), (G, 5), (1, 3) to (1, 1, A·H, W) and three times (1, 4·A, H, W)."""
        height, width = scores.shape[2:]
        anchors = self.spec.anchors.of_map(truths.double(), height, width)
        inside = self._inside(anchors, image.flatten())
        shared = overlaps(anchors[inside], truths[:, :4].double(), plus=1)
        labels = truths.new_full((len(anchors),), -1)
        labels[inside] = self._labels(shared, truths)
        goals = truths[shared.argmax(1), :4].double()
        deltas = truths.new_zeros(len(anchors), 4)
        deltas[inside] = deltas_to(anchors[inside], goals).to(truths.dtype)
        is_object, counts = (labels == 1), (labels >= 0)
        weights = counts / counts.sum().clamp(min=1)
        columns = [deltas, is_object[:, None].expand(-1, 4), weights[:, None].expand(-1, 4)]
        maps = [self._as_map(part.to(truths.dtype), height, width) for part in columns]
        return self._as_map(labels[:, None], height, width).reshape(1, 1, -1, width), *maps

    def _inside(self, anchors: Tensor, image: Tensor) -> Tensor:
        """The places of the anchors that lie in the image."""
        border = self.spec.allowed_border
        size = torch.stack([image[1], image[0]])
        is_inside = (anchors[:, :2] >= -border).all(1) & (anchors[:, 2:] < size + border).all(1)
        return is_inside.nonzero()[:, 0]

    def _labels(self, shared: Tensor, truths: Tensor) -> Tensor:
        """Of overlaps (N, G) the label of each anchor."""
        labels = truths.new_full((len(shared),), -1)
        if not len(shared):
            return labels
        most = shared.amax(1)
        labels[most < _RPN_NEGATIVE] = 0
        labels[(shared == shared.amax(0)).any(1) | (most >= _RPN_POSITIVE)] = 1
        objects = some((labels == 1).nonzero()[:, 0], _RPN_BATCH // 2)
        others = some((labels == 0).nonzero()[:, 0], _RPN_BATCH - len(objects))
        return torch.full_like(labels, -1).index_fill(0, objects, 1).index_fill(0, others, 0)

    def _as_map(self, values: Tensor, height: int, width: int) -> Tensor:
        """(H·W·A, V) to (1, A·V, H, W)."""
        return values.reshape(1, height, width, -1).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class ProposalTargetSpec(Spec):
    """Of ProposalTargetLayer."""

    num_classes: int


@_rule(_PROPOSAL_TARGET, f"{_PYTHON}: rpn/proposal_target_layer.py", (2, 2), 5)
class ProposalTarget(Layer):
    """128 of the rois and the truths themselves: drawn 32 at most that overlap a truth by half or more, which
    have its label, and others, whose label is 0; the deltas to that truth, over their deviations, in the
    label's four columns, and weights of 1 there. Where num_classes is 2 all objects have those of label 1, as
    R-FCN's class-agnostic nets want it. Raises InputError for a label that has no columns.
    """

    spec: ProposalTargetSpec
    limits: tuple[int | None, int | None] = (_BATCH, _OBJECTS)  # of all and of objects

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = ProposalTargetSpec(python_options(message, "num_classes")["num_classes"])
        if len(bottoms[0]) != 2 or bottoms[0][1] != 5:
            raise InputError(f"takes rois (R, 5), not {tuple(bottoms[0])}", message.name)
        _check_truths(message, bottoms[1])
        self.index = Index(message, "label", bottom=1)

    def most(self, bottoms: Shapes) -> Shapes:
        """The largest shapes of the tops."""
        every = bottoms[0][0] + bottoms[1][0]
        count = every if self.limits[0] is None else min(self.limits[0], every)
        deltas = torch.Size([count, 4 * self.spec.num_classes])
        return [torch.Size([count, 5]), torch.Size([count]), deltas, deltas, deltas]

    @torch.no_grad()
    def forward(self, rois: Tensor, truths: Tensor) -> tuple[Tensor, ...]:
        """(R, 5), (G, 5) to rois (S, 5), labels (S,) and three times (S, 4·num_classes)."""
        if self.spec.num_classes != 2:
            self.index(truths[:, 4].clamp(min=0), self.spec.num_classes)
        rois = torch.cat([rois, torch.cat([rois.new_zeros(len(truths), 1), truths[:, :4]], 1)])
        most, nearest = overlaps(rois[:, 1:].double(), truths[:, :4].double(), plus=1).max(1)
        batch, limit = self.limits
        objects = some((most >= _IS_OBJECT).nonzero()[:, 0], limit)
        others = some((most < _IS_OBJECT).nonzero()[:, 0], None if batch is None else batch - len(objects))
        chosen = torch.cat([objects, others])
        truth = truths[nearest[chosen]]
        labels = truth[:, 4].clone()
        labels[len(objects) :] = 0
        deltas = deltas_to(rois[chosen, 1:], truth[:, :4]) / rois.new_tensor(_DEVIATIONS)
        targets, weights = self._in_columns(deltas, labels)
        return rois[chosen], labels, targets, weights, weights.clone()

    def _in_columns(self, deltas: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Deltas (S, 4) in the columns of their labels, those of 0 nowhere; and 1 where they are."""
        column = labels.long().clamp(0, self.spec.num_classes - 1)
        marks = torch.nn.functional.one_hot(column, self.spec.num_classes).to(deltas.dtype)
        weights = (marks * (labels > 0)[:, None])[..., None].expand(-1, -1, 4)
        return (weights * deltas[:, None]).flatten(1), weights.flatten(1)


@_rule(
    _PROPOSAL_TARGET,
    "YuwenXiong/py-R-FCN: rpn/proposal_target_layer.py",
    (2, 2),
    5,
    dialect=Dialect("rfcn", also=("r-fcn",), needs_field=True, beside=("BoxAnnotatorOHEM",)),
)
class RfcnProposalTarget(ProposalTarget):
    """R-FCN's with hard example mining: all rois are learned from, objects first, and tops have 4 axes."""

    limits = (None, None)

    def most(self, bottoms: Shapes) -> Shapes:
        """The shapes of the tops."""
        return [torch.Size((*shape, 1, 1, 1)[:4]) for shape in super().most(bottoms)]

    def forward(self, rois: Tensor, truths: Tensor) -> tuple[Tensor, ...]:
        """(R, 5), (G, 5) to rois (S, 5, 1, 1), labels (S, 1, 1, 1) and thrice (S, 4·num_classes, 1, 1)."""
        return tuple(four_axes(top) for top in super().forward(rois, truths))

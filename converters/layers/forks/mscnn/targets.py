"""What MS-CNN's detector learns: ProposalTarget chooses rois and says what they are.

Which rois are left out, and the rois that fill up a batch, are drawn by torch's default generator of the
device: seed it for a repeatable step.
"""

from dataclasses import dataclass
from math import floor

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.parts.boxes.anchors import deltas_to
from converters.layers.parts.boxes.fields import AS_THEY_ARE, Deltas, deltas_of, edges, pixel_sides
from converters.layers.parts.boxes.nms import overlaps
from converters.layers.parts.boxes.rois import check_rows, drawn_rois_alone, drawn_truths
from converters.layers.parts.boxes.rows import some
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_LEAST = 32  # pixels that a drawn box is wide and high at least
_ROUNDS = 100  # in which background boxes are drawn anew before there is taken to be no place for one


def _most(module: Layer, bottoms: Shapes) -> Shapes:
    assert isinstance(module, ProposalTarget)
    return module.most(bottoms)


@dataclass(frozen=True)
class ProposalTargetSpec(Spec):
    """Of ProposalTarget; a batch_size of -1 takes every roi that is an object or background."""

    cls_num: int
    batch_size: int
    fg_fraction: float
    num_img_per_batch: int
    fg_thr: float
    bg_thr_hg: float
    bg_thr_lw: float
    img_width: int
    img_height: int
    iou_weighted: bool
    cls_aware: bool
    deltas: Deltas = AS_THEY_ARE


@dataclass(frozen=True)
class _Matched:
    """Boxes (R, 5) of image, left, top, width and height, and the true box (7 values, as sides) that each
    overlaps most, with that overlap.
    """

    boxes: Tensor
    truth: Tensor
    overlap: Tensor


@layer(
    "ProposalTarget",
    source="zhaoweicai/mscnn: proposal_target_layer.cpp",
    fields=("proposal_target_param", "bbox_reg_param"),
    bottoms=(2, 2),
    tops=(6, 7),
    macs=free,
    most=_most,
    untraceable=True,
    probes={0: drawn_rois_alone, 1: drawn_truths},
)
class ProposalTarget(Layer):
    """batch_size of the rois and the true boxes themselves: objects, that overlap a true box by fg_thr or
    more (none where that box is to be ignored), at most fg_fraction of them; and background, from bg_thr_lw
    to below bg_thr_hg, then other rois, then boxes drawn where no object is. Of each its label, the deltas to
    its true box in the label's four columns (without cls_aware in the second four), 1 there twice as weights,
    and of objects label, true box and overlap; a seventh top has weights by which objects are fg_fraction of
    the whole, with iou_weighted as their overlaps are.
    """

    spec: ProposalTargetSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.proposal_target_param
        numbers, aware = numbers_of(param, ProposalTargetSpec), message.bbox_reg_param.cls_aware
        self.spec = ProposalTargetSpec(**numbers, cls_aware=aware, deltas=deltas_of(message))
        check_rows(message, "rois", bottoms[0], 5)
        check_rows(message, "gt_boxes", bottoms[1], 7)
        if param.fg_thr < param.bg_thr_hg or param.batch_size < -1 or not param.batch_size:
            raise InputError(
                "takes fg_thr of bg_thr_hg or more, and batch_size of 1 or more, or -1", message.name
            )
        if not 0 <= param.fg_fraction <= 1:
            raise InputError(f"fg_fraction {param.fg_fraction:g} is not between 0 and 1", message.name)
        self.tops = len(message.top)
        self.images = [Index(message, "image", bottom) for bottom in (0, 1)]
        self.label = Index(message, "label", 1)

    @property
    def columns(self) -> int:
        """How many classes have deltas of their own."""
        return self.spec.cls_num if self.spec.cls_aware else 2

    def most(self, bottoms: Shapes) -> Shapes:
        """The largest shapes of the tops."""
        count = self.spec.batch_size if self.spec.batch_size > 0 else bottoms[0][0] + bottoms[1][0]
        deltas = 4 * self.columns
        return [torch.Size([count, n, 1, 1]) for n in (5, 1, deltas, deltas, deltas, 6, 1)][: self.tops]

    @torch.no_grad()
    def forward(self, rois: Tensor, truths: Tensor) -> tuple[Tensor, ...]:
        """(R, 5, 1, 1), (G, 7, 1, 1) of image, corners, label and whether to ignore it, to seven tops of as
        many rows.
        """
        truths = truths.float().reshape(-1, 7)
        self.label(truths[:, 5], self.spec.cls_num)
        goals = torch.cat([truths[:, :1], pixel_sides(truths[:, 1:5]), truths[:, 5:]], 1)
        rois = rois.float().reshape(-1, 5)
        for index, rows in zip(self.images, (rois, truths), strict=True):
            index(rows[:, 0], self.spec.num_img_per_batch)
        boxes = torch.cat([rois[:, :1], pixel_sides(rois[:, 1:])], 1)
        boxes = torch.cat([boxes, goals[:, :5]])
        goals = F.pad(goals, (0, 0, 0, 1), value=-1)  # there may be no true box: one of no image
        matched = self._match(boxes, goals)
        objects, others = self._chosen(matched)
        lacking = max(0, self.spec.batch_size - len(objects) - len(others))
        rows = torch.cat([matched.boxes[objects], matched.boxes[others], self._background(lacking, goals)])
        truth = matched.truth[objects]
        return self._tops(rows, truth, matched.overlap[objects])

    def _match(self, boxes: Tensor, goals: Tensor) -> _Matched:
        shared = _overlaps(boxes[:, 1:], goals[:, 1:5])
        shared = torch.where(boxes[:, :1] == goals[:, 0], shared, -1)
        most, nearest = shared.max(1)
        return _Matched(boxes, goals[nearest], most.clamp(min=0))

    def _chosen(self, matched: _Matched) -> tuple[Tensor, Tensor]:
        """The places of the objects and of the others that a batch has."""
        spec, most = self.spec, matched.overlap
        is_near = most >= spec.fg_thr
        is_ground = ~is_near & (most >= spec.bg_thr_lw) & (most < spec.bg_thr_hg)
        near, ground, rest = (mark.nonzero()[:, 0] for mark in (is_near, is_ground, ~is_near & ~is_ground))
        if (matched.truth[near, 5] <= 0).any():
            raise self.refusal("a true box has the label 0, which is the background")
        near = near[matched.truth[near, 6] == 0]
        if spec.batch_size < 0:
            return near, ground
        objects = some(near, floor(spec.fg_fraction * spec.batch_size + 0.5))
        wanted = spec.batch_size - len(objects)
        ground = some(ground, wanted)
        return objects, torch.cat([ground, rest[: wanted - len(ground)]])

    def _background(self, count: int, goals: Tensor) -> Tensor:
        """``count`` boxes, drawn, that overlap no true box by fg_thr: (count, 5)."""
        drawn = goals.new_zeros(0, 5)
        for _ in range(_ROUNDS if count else 0):
            boxes = self._drawn(max(count, 64), goals)
            shared = torch.where(boxes[:, :1] == goals[:, 0], _overlaps(boxes[:, 1:], goals[:, 1:5]), -1)
            drawn = torch.cat([drawn, boxes[shared.amax(1) < self.spec.fg_thr]])
            if len(drawn) >= count:
                return drawn[:count]
        if count:
            raise self.refusal("true boxes leave no place for a box of the background")
        return drawn

    def _drawn(self, count: int, like: Tensor) -> Tensor:
        spec = self.spec
        if min(spec.img_width, spec.img_height) <= _LEAST:
            raise self.refusal(f"draws boxes in an img_width and img_height above {_LEAST}")
        size = like.new_tensor([spec.img_width, spec.img_height])
        start = (torch.rand(count, 2, device=like.device) * (size - _LEAST)).floor()
        sides = (torch.rand(count, 2, device=like.device) * (size - start)).floor().clamp(min=_LEAST)
        image = torch.randint(spec.num_img_per_batch, (count, 1), device=like.device)
        return torch.cat([image.to(like.dtype), start, sides], 1)

    def _tops(self, boxes: Tensor, truth: Tensor, overlap: Tensor) -> tuple[Tensor, ...]:
        """Of boxes (S, 5), of which the first are objects, and these' true boxes and overlaps the tops."""
        corners = torch.cat([boxes[:, :3], boxes[:, 1:3] + boxes[:, 3:] - 1], 1)
        goal = torch.cat([truth[:, 1:3], truth[:, 1:3] + truth[:, 3:5] - 1], 1)

        def filled(x: Tensor) -> Tensor:
            return F.pad(x, (0, 0, 0, len(boxes) - len(x)))

        labels = truth[:, 5:6].trunc()
        deltas = self.spec.deltas.normalised(deltas_to(corners[: len(goal), 1:], goal), 1)
        column = labels[:, 0].long() if self.spec.cls_aware else labels[:, 0].long().clamp(max=1)
        marks = F.one_hot(column, self.columns).to(boxes.dtype)[..., None].expand(-1, -1, 4)
        weights = filled(marks.flatten(1))
        match = filled(torch.cat([labels, goal, overlap[:, None]], 1))
        targets = filled((marks * deltas[:, None]).flatten(1))
        tops = [corners, filled(labels), targets, weights, weights.clone(), match]
        return tuple(x[..., None, None] for x in [*tops, self._weights(match)][: self.tops])

    def _weights(self, match: Tensor) -> Tensor:
        """(S, 1): of objects together fg_fraction of S, of others the rest; 1 where there is no object."""
        is_object = match[:, :1] > 0
        weight = torch.where(is_object & self.spec.iou_weighted, match[:, 5:], 1.0)
        objects, others = ((weight * mark).sum() for mark in (is_object, ~is_object))
        share = self.spec.fg_fraction * len(match)
        scale = torch.where(is_object, share / objects, (len(match) - share) / others)
        return torch.where(objects != 0, weight * scale, weight)


def _overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Of every box of left, top, width and height (A, 4) with every one of (B, 4)."""
    areas = (a[:, 2] * a[:, 3], b[:, 2] * b[:, 3])
    return overlaps(edges(a), edges(b), areas=areas)

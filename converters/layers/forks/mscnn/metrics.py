"""MS-CNN's metrics: DetectionAccuracy of maps of scores and boxes, BboxAccuracy of rois."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.parts.boxes.fields import (
    AS_THEY_ARE,
    Deltas,
    Field,
    deltas_of,
    overlap_of,
    pixel_sides,
)
from converters.layers.parts.boxes.label_maps import ReadsLabels, drawn_labels, field_of
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class DetectionAccuracySpec(Spec):
    """Of DetectionAccuracy."""

    cls_num: int
    field: Field
    top_k: int = 1
    deltas: Deltas = AS_THEY_ARE


@layer(
    "DetectionAccuracy",
    source="zhaoweicai/mscnn: detection_accuracy_layer.cpp",
    fields=("detection_accuracy_param", "bbox_reg_param"),
    bottoms=(2, 2),
    tops=(1, 2),
    role="metric",
    labels=(1,),
    macs=free,
    probes={1: drawn_labels},
)
class DetectionAccuracy(ReadsLabels):
    """The share of places whose class is among the top_k (of equal scores the larger class' is better), and
    that of the objects among them, (1, 1, 1, 2); and the mean overlap of objects' boxes, (1, 1, 1, 1). -1 of
    none.
    """

    spec: DetectionAccuracySpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, self.tops = message.detection_accuracy_param, len(message.top)
        self.start(message, bottoms, param)
        if not 1 <= param.top_k <= param.cls_num:
            raise InputError(f"top_k {param.top_k} is not 1 to {param.cls_num}", message.name)
        self.spec = DetectionAccuracySpec(
            param.cls_num, field_of(message, param), param.top_k, deltas_of(message)
        )

    @torch.no_grad()
    def forward(self, x: Tensor, labels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(N, K + 4, H, W) and (N, 6, H, W) to two numbers, and a third."""
        read = self.read(labels, self.spec.cls_num)
        counts = ((read.label != 0) | read.is_ground) & ~read.is_ignored
        hits = self._is_top(x[:, : self.spec.cls_num], torch.where(counts, read.label, 0)) & counts
        objects = counts & (read.label != 0)
        shares = [_mean(hits, counts), _mean(hits & objects, objects)]
        judged = torch.stack(shares).reshape(1, 1, 1, 2).to(x.dtype)
        if self.tops == 1:
            return judged
        boxes, goal = self.spec.field.boxes(self.spec.deltas.back(x[:, -4:], 1)), labels[:, 1:5]
        goal = torch.cat([goal[:, :2] - goal[:, 2:] / 2, goal[:, 2:]], 1)
        shared = overlap_of(boxes.movedim(1, -1), goal.movedim(1, -1))
        return judged, _mean(shared, read.is_box).reshape(1, 1, 1, 1)

    def _is_top(self, scores: Tensor, target: Tensor) -> Tensor:
        own, target = scores.gather(1, target[:, None]), target[:, None]
        is_larger = torch.arange(scores.shape[1], device=scores.device)[:, None, None] > target
        return ((scores > own) | ((scores == own) & is_larger)).sum(1) < self.spec.top_k


def _mean(values: Tensor, marks: Tensor) -> Tensor:
    """Of the values that are marked; -1 where none is."""
    count = marks.sum()
    total = torch.where(marks, values, torch.zeros_like(values)).sum()
    return torch.where(count > 0, total / count.clamp(min=1), -1.0)


@dataclass(frozen=True)
class BboxAccuracySpec(Spec):
    """Of BboxAccuracy."""

    cls_aware: bool = True
    deltas: Deltas = AS_THEY_ARE


@layer(
    "BboxAccuracy",
    source="zhaoweicai/mscnn: bbox_accuracy_layer.cpp",
    fields=("bbox_reg_param",),
    bottoms=(3, 3),
    tops=(1, 2),
    role="metric",
    labels=(1, 2),
    macs=free,
)
class BboxAccuracy(Layer):
    """The mean overlap of objects' boxes with the true ones, and that of the rois they were made from: of the
    rows of ProposalTarget that are objects but overlap at most 0.975 before. -1 of none.
    """

    spec: BboxAccuracySpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.spec = BboxAccuracySpec(message.bbox_reg_param.cls_aware, deltas_of(message))
        self.tops, self.index = len(message.top), Index(message, "label", bottom=2)
        count = bottoms[0][0] if bottoms[0] else 0
        widths = [shape.numel() // count if count else 0 for shape in bottoms]
        if [shape[0] for shape in bottoms if shape] != [count] * 3 or widths[1:] != [5, 6] or widths[0] % 4:
            raise InputError(f"takes (R, 4·K), (R, 5) and (R, 6), not {[*map(tuple, bottoms)]}", message.name)
        if not self.spec.cls_aware and widths[0] != 8:
            raise InputError(f"takes 8 deltas without cls_aware, not {widths[0]}", message.name)

    @torch.no_grad()
    def forward(self, deltas: Tensor, rois: Tensor, match: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(R, 4·K), (R, 5, 1, 1) and (R, 6, 1, 1) to a number, and another."""
        deltas, match = deltas.reshape(len(deltas), -1, 4), match.reshape(-1, 6)
        label = match[:, 0].trunc()
        column = label.clamp(max=1) if not self.spec.cls_aware else label
        column = self.index(column.clamp(min=0), deltas.shape[1])
        own = deltas.gather(1, column[:, None, None].expand(-1, 1, 4))[:, 0]
        moves, roi = self.spec.deltas.back(own, 1), pixel_sides(rois.reshape(-1, 5)[:, 1:])
        sides = roi[:, 2:] * moves[:, 2:].exp()
        middle = moves[:, :2] * roi[:, 2:] + roi[:, :2] + 0.5 * roi[:, 2:]
        truth = pixel_sides(match[:, 1:5])
        counts = (label > 0) & (match[:, 5] <= 0.975)
        boxes = torch.cat([middle - sides / 2, sides], 1)
        means = [_mean(overlap_of(x, truth), counts).reshape(1, 1, 1, 1) for x in (boxes, roi)]
        return means[0] if self.tops == 1 else (means[0], means[1])

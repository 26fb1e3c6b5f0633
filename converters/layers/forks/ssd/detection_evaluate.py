"""DetectionEvaluate of SSD."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.forks.ssd.predictions import ClassesSpec
from converters.layers.parts.boxes.finding import found_by
from converters.layers.parts.boxes.nms import overlaps
from converters.layers.parts.boxes.truth_rows import drawn_truths
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_SIZES = (
    "compares boxes as shares of the image: the sizes in name_size_file, by which SSD makes them pixels, are "
    "not read"
)


@dataclass(frozen=True)
class DetectionEvaluateSpec(ClassesSpec):
    """Of DetectionEvaluate."""

    overlap_threshold: float = 0.5
    evaluate_difficult_gt: bool = True

    @property
    def count(self) -> int:
        """How many classes are counted; more than could be listed is refused."""
        return self.num_classes - (0 <= self.background_label_id < self.num_classes)


@layer(
    "DetectionEvaluate",
    source="weiliu89/caffe: detection_evaluate_layer.cpp",
    role="metric",
    bottoms=(2, 2),
    labels=(1,),
    probes={1: lambda module, bottoms, random: drawn_truths(bottoms[1], 1, module.spec.labels, random)},
    macs=free,
    most=lambda module, bottoms: [torch.Size((1, 1, module.spec.count + bottoms[0][2], 5))],
    untraceable=True,
    rows=2,
    fields=("detection_evaluate_param",),
)
class DetectionEvaluate(Layer):
    """Rows (-1, label, true boxes, -1, -1), one a class, then of each detection (image, label, score, 1 where
    it is the first to find its true box, 1 where it is not) in the order of image, label, score. A true
    box is that of the image and class that overlaps most, from ``overlap_threshold`` on. With
    ``evaluate_difficult_gt: false`` difficult ones are not counted, and what finds one is neither.
    Detections of one score are taken in their order, where the fork's sort leaves it open. No gradient.
    """

    spec: DetectionEvaluateSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.detection_evaluate_param
        self.spec = DetectionEvaluateSpec(**numbers_of(param, DetectionEvaluateSpec))
        if param.num_classes < 1 or param.overlap_threshold <= 0:
            raise InputError("needs num_classes and an overlap_threshold above 0", message.name)
        for shape, width in zip(bottoms, (7, 8), strict=True):
            if len(shape) != 4 or tuple(shape) != (1, 1, shape[2], width):
                raise InputError(f"takes (1, 1, R, {width}), not {tuple(shape)}", message.name)
        self.has_sizes = bool(param.name_size_file)

    def notice(self) -> str | None:
        """Of a file that is not read."""
        return _SIZES if self.has_sizes else None

    @torch.no_grad()
    def forward(self, detections: Tensor, truths: Tensor) -> Tensor:
        """(1, 1, D, 7) as DetectionOutput makes them and (1, 1, R, 8) of (image, label, instance, xmin, ymin,
        xmax, ymax, difficult) to (1, 1, classes + D', 5).
        """
        rows, true = detections.reshape(-1, 7), _up_to_end(truths.reshape(-1, 8))
        rows = rows[(rows[:, 0].long() != -1) & (rows[:, 1].long() != -1)]
        self._check_labels(rows, true)
        rows = rows[_order(rows, true)]
        counted = true if self.spec.evaluate_difficult_gt else true[true[:, 7] == 0]
        labels = torch.tensor(self.spec.labels, device=rows.device)
        numbers = (counted[:, 1].long() == labels[:, None]).sum(1)
        heads = torch.full((len(labels), 5), -1.0, dtype=rows.dtype, device=rows.device)
        heads[:, 1], heads[:, 2] = labels.to(rows.dtype), numbers.to(rows.dtype)
        found = torch.cat([rows[:, :3], self._status(rows, true)], 1)
        return torch.cat([heads, found]).reshape(1, 1, -1, 5)

    def _check_labels(self, *rows: Tensor) -> None:
        for of_blob in rows:
            if (of_blob[:, 1].long() == self.spec.background_label_id).any():
                raise self.refusal(f"a row has the background's label {self.spec.background_label_id}")

    def _status(self, rows: Tensor, true: Tensor) -> Tensor:
        """(1, 0) of a detection that finds a true box first, (0, 1) of one that finds none or one found
        before, (0, 0) of one that finds a difficult one that is not evaluated: (D, 2).
        """
        if not len(true):
            return rows.new_tensor([[0.0, 1]]).expand(len(rows), 2)
        shared = torch.where(_same(rows, true), overlaps(rows[:, 3:7], true[:, 3:7]), -1.0)
        found = found_by(shared, self.spec.overlap_threshold)
        status = torch.stack([found.is_first, ~found.is_first], 1)
        if not self.spec.evaluate_difficult_gt:
            status &= ~(found.is_any & (true[found.place, 7] != 0))[:, None]
        return status.to(rows.dtype)


def _up_to_end(rows: Tensor) -> Tensor:
    """The rows before the first of image -1."""
    is_end = rows[:, 0].long() == -1
    return rows[is_end.cumsum(0) == 0]


def _same(rows: Tensor, true: Tensor) -> Tensor:
    """Whether a detection and a true box are of one image and class: (D, 7) and (R, 8) to (D, R)."""
    return (rows[:, None, :2].long() == true[None, :, :2].long()).all(2)


def _order(rows: Tensor, true: Tensor) -> Tensor:
    """By image, then label, then score, the greatest first; of a class that an image has no true box of, the
    order stays.
    """
    score = torch.where(_same(rows, true).any(1), rows[:, 2], 0.0)
    order = score.sort(descending=True, stable=True).indices
    for column in (1, 0):
        order = order[rows[order, column].long().sort(stable=True).indices]
    return order

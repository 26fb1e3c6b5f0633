"""EvalDetection of Intel's YOLOv2."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import positive
from converters.layers.parts.boxes.cells import by_cell, corners, decoded, placed
from converters.layers.parts.boxes.finding import found_by
from converters.layers.parts.boxes.nms import overlaps, suppressed
from converters.layers.parts.boxes.rows import places
from converters.layers.parts.boxes.truth_rows import drawn_truths
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_LEAST = 0.005  # the score below which a box is none


class _Lines(NamedTuple):
    """Boxes of middles and sides (R, 4), their images and labels (R,)."""

    boxes: Tensor
    image: Tensor
    label: Tensor


@dataclass(frozen=True)
class EvalDetectionSpec(Spec):
    """Of EvalDetection; ``biases`` are the widths and heights of anchors in cells, by turns."""

    side: int
    num_class: int
    num_object: int
    biases: tuple[float, ...]
    threshold: float = 0.5
    nms: float = -1.0
    score_type: str = "MULTIPLY"

    @property
    def boxes(self) -> int:
        """Of an image."""
        return self.side * self.side * self.num_object


def _most(module: Layer, bottoms: Shapes) -> Shapes:
    return [torch.Size((bottoms[0][0], module.spec.num_class + 4 * module.spec.boxes))]


def _drawn(module: Layer, bottoms: Shapes, random: np.random.Generator) -> NDArray[np.float64]:
    return drawn_truths(bottoms[1], bottoms[0][0], range(1, module.spec.num_class + 1), random)


@layer(
    "EvalDetection",
    source="intel/caffe: eval_detection_layer.cpp",
    role="metric",
    bottoms=(2, 3),
    labels=(1,),
    probes={1: _drawn},
    macs=free,
    most=_most,
    untraceable=True,
    fields=("eval_detection_param",),
)
class EvalDetection(Layer):
    """Of each image the number of true boxes a class, then (label, score, 1 where it is the first to find its
    true box, 1 where it is not) of each box that is left of YOLOv2's, by label and score, then zeros. Boxes
    go that overlap a better one, of any class, by ``nms`` or more, and those of a score below 0.005; below 0
    ``nms`` leaves none, as the fork does. A third bottom, ``sqrt`` and ``constriant`` have no effect. True
    boxes are SSD's rows, whose labels begin at 1.
    """

    spec: EvalDetectionSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.eval_detection_param
        self.spec = EvalDetectionSpec(**numbers_of(param, EvalDetectionSpec))
        positive(message, num_class=param.num_class, num_object=param.num_object)
        wanted = (param.num_object * (5 + param.num_class), param.side, param.side)
        if tuple(bottoms[0][1:]) != wanted:
            raise InputError(
                f"takes (N, {', '.join(map(str, wanted))}), not {tuple(bottoms[0])}", message.name
            )
        if bottoms[1][-1:] != (8,):
            raise InputError(f"takes true boxes (1, 1, R, 8), not {tuple(bottoms[1])}", message.name)
        if len(param.biases) < 2 * param.num_object:
            raise InputError(f"takes {2 * param.num_object} biases, not {len(param.biases)}", message.name)
        self.index = Index(message, "label", bottom=1)

    @torch.no_grad()
    def forward(self, x: Tensor, truths: Tensor, image: Tensor | None = None) -> Tensor:
        """(N, num_object·(5 + num_class), side, side) and (1, 1, R, 8) to
        (N, num_class + 4·side·side·num_object).
        """
        true, classes = self._true(truths.reshape(-1, 8), len(x)), self.spec.num_class
        counts = (true.image * classes + true.label).bincount(minlength=len(x) * classes)
        found, score = self._found(x)
        top = x.new_zeros(len(x), self.spec.boxes, 4)
        status = self._status(found, true).to(x.dtype)
        rows = torch.cat([torch.stack([found.label.to(x.dtype), score], 1), status], 1)
        top[found.image, places(found.image)] = rows
        return torch.cat([counts.reshape(len(x), classes).to(x.dtype), top.flatten(1)], 1)

    def _true(self, rows: Tensor, images: int) -> _Lines:
        rows = rows[(rows[:, 0].long() >= 0) & (rows[:, 0] < images)]
        label = self.index(rows[:, 1] - 1, self.spec.num_class)
        sides = rows[:, 5:7] - rows[:, 3:5]
        middles = (rows[:, 3:5] + rows[:, 5:7]) / 2
        return _Lines(torch.cat([middles, sides], 1), rows[:, 0].long(), label)

    def _found(self, x: Tensor) -> tuple[_Lines, Tensor]:
        """The boxes that are left and their scores, by image, label and score."""
        spec = self.spec
        cells = by_cell(x, spec.num_object)
        sides = x.new_tensor(spec.biases[: 2 * spec.num_object]).reshape(-1, 2) / spec.side
        boxes = decoded(placed(cells), sides).flatten(1, -2)
        best, label = (of_box.flatten(1) for of_box in cells[..., 5:].softmax(-1).max(-1))
        of_object = cells[..., 4].sigmoid().flatten(1)
        score = {"OBJ": of_object, "PROB": best, "MULTIPLY": of_object * best}[spec.score_type]
        score, order = score.sort(dim=1, descending=True, stable=True)
        boxes, label = boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4)), label.gather(1, order)
        stays = torch.zeros_like(score, dtype=torch.bool)
        if spec.nms >= 0:
            areas = boxes[..., 2] * boxes[..., 3]
            stays = suppressed(corners(boxes), spec.nms, equal_goes=True, areas=areas) & (score >= _LEAST)
        image = stays.nonzero()[:, 0]
        order = (image * spec.num_class + label[stays]).sort(stable=True).indices
        return _Lines(boxes[stays][order], image[order], label[stays][order]), score[stays][order]

    def _status(self, found: _Lines, true: _Lines) -> Tensor:
        """(1, 0) of a box that finds a true one first, else (0, 1): (D, 2)."""
        if not len(true.label):
            return torch.tensor([[0, 1]], device=found.label.device).expand(len(found.label), 2)
        areas = [lines.boxes[:, 2] * lines.boxes[:, 3] for lines in (found, true)]
        shared = overlaps(corners(found.boxes), corners(true.boxes), areas=(areas[0], areas[1]))
        same = (found.image[:, None] == true.image) & (found.label[:, None] == true.label)
        is_first = found_by(torch.where(same, shared, -1.0), self.spec.threshold).is_first
        return torch.stack([is_first, ~is_first], 1)

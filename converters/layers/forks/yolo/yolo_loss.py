"""MobileNet-YOLO's RegionLoss (YOLO 2), and what Yolov3 shares with it: gradients written by hand."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.judging.labels import LOSS_TOPS
from converters.layers.parts.boxes.box_overlap import overlap
from converters.layers.parts.boxes.cells import by_cell, check_maps, decoded, placed
from converters.layers.parts.boxes.truths import TruthReader, Truths, best_overlap, drawn_labels, last_in_cell
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class YoloLossSpec(Spec):
    """Of YOLO's losses; ``biases`` are the widths and heights of anchors, by turns."""

    num_class: int
    num: int
    biases: tuple[float, ...]
    object_scale: float
    noobject_scale: float
    class_scale: float
    coord_scale: float
    thresh: float


class YoloLoss(Layer):
    """What the two share: maps of ``num`` boxes a cell, and labels."""

    spec: YoloLossSpec

    def start(self, message: LayerParameter, bottoms: Shapes) -> None:
        """Check the bottoms. Raises InputError for a map of other channels, or labels of another size."""
        check_maps(message, bottoms[:1], self.spec.num, self.spec.num_class)
        self.truths = TruthReader(message, bottoms)

    def read(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Truths]:
        """The map as (N, H, W, num, 5 + classes), and the truths."""
        cells = by_cell(x.detach(), self.spec.num)
        return cells, self.truths(labels, self.spec.num_class, *x.shape[2:])

    def anchors(self, x: Tensor) -> Tensor:
        """All widths and heights, (A, 2)."""
        return x.new_tensor(self.spec.biases).reshape(-1, 2)

    def sent(self, x: Tensor, loss: Tensor, deltas: Tensor) -> Tensor:
        """The loss, which sends ``deltas`` (N, H, W, num, V) to ``x``, both over the batch size."""
        slope = deltas.permute(0, 3, 4, 1, 2).reshape(x.shape) / len(x)
        return with_slope(x, (loss / len(x)).to(x.dtype), slope)


def scattered(values: Tensor, cell: Tensor, is_sent: Tensor, cells: int) -> Tensor:
    """Rows (…, V) added where (…) they belong to (cells, V) zeros; those not sent nowhere."""
    at = torch.where(is_sent, cell, cells).flatten()
    rows = values.new_zeros(cells + 1, values.shape[-1])
    return rows.index_add(0, at, values.reshape(-1, values.shape[-1]))[:cells]


@dataclass(frozen=True)
class RegionLossSpec(YoloLossSpec):
    """Of RegionLoss."""

    bias_match: bool = True
    rescore: bool = True


@layer(
    "RegionLoss",
    source="eric612/MobileNet-YOLO: region_loss_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    labels=(1,),
    probes={1: lambda module, bottoms, random: drawn_labels(bottoms[1], module.spec.num_class, random)},
    macs=free,
    fields=("region_loss_param",),
)
class RegionLoss(YoloLoss):
    """Every truth teaches the box of its cell whose anchor (without ``bias_match``: which itself) has its
    shape best; of several at one box the last. Boxes that overlap no truth by more than ``thresh`` learn that
    they are none. The loss is the sum of the gradients' squares over the batch size, not what they are the
    gradients of. (Older versions of the fork draw all boxes to their anchors at first; none do here.)
    ``side``, ``coords``, ``softmax``, ``class_map`` and the rest have no effect in the fork.
    """

    spec: RegionLossSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.region_loss_param
        least = max(10, 2 * param.num)  # the fork takes fewer than 10 for zeros
        if len(param.biases) < least or bottoms[0][2:3] != bottoms[0][3:4]:
            raise InputError(f"takes {least} biases or more, and a square map", message.name)
        used = {"biases": tuple(param.biases)[: 2 * param.num]}
        marks = {"bias_match": bool(param.bias_match), "rescore": bool(param.rescore)}
        self.spec = RegionLossSpec(**numbers_of(param, RegionLossSpec) | used | marks)
        self.start(message, bottoms)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(N, num·(5 + classes), S, S) and labels (N, 300, 5) to a scalar."""
        with torch.no_grad():
            deltas = self._deltas(*self.read(x, labels))
        return self.sent(x, deltas.square().sum(), deltas)

    def _deltas(self, cells: Tensor, truths: Truths) -> Tensor:
        spec, side = self.spec, cells.shape[1]
        chance, sides = cells[..., 4].sigmoid(), self.anchors(cells) / side
        places = placed(cells)
        boxes = decoded(places, sides)
        slope = chance * (1 - chance)
        is_new = best_overlap(boxes, truths) <= spec.thresh
        objects = torch.where(is_new, spec.noobject_scale * chance * slope, 0.0)
        return self._taught(cells, truths, boxes, places, objects)

    def _towards(self, places: Tensor, goals: Tensor) -> Tensor:
        """Half the slopes of the squared distance of sigmoids and logarithms from what they should be."""
        slope = torch.cat([places[..., :2] * (1 - places[..., :2]), torch.ones_like(places[..., 2:])], -1)
        return (places - goals) * slope

    def _taught(
        self, cells: Tensor, truths: Truths, boxes: Tensor, places: Tensor, objects: Tensor
    ) -> Tensor:
        """All deltas, those of boxes that a truth teaches in place of theirs."""
        spec, (count, side, _, num, _) = self.spec, cells.shape
        image = torch.arange(count, device=cells.device)[:, None]
        best = self._best(boxes[image, truths.row, truths.column], truths, side)
        cell = ((image * side + truths.row) * side + truths.column) * num + best
        is_last, is_hit = last_in_cell(cell, truths.is_there, count * side * side * num)
        own = (image, truths.row, truths.column, best)
        anchors = self.anchors(cells)
        spots = truths.boxes[..., :2] * side - torch.stack([truths.column, truths.row], -1)
        goals = torch.cat([spots, (truths.boxes[..., 2:] * side / anchors[best]).log()], -1)
        weight = spec.coord_scale * (1 if spec.rescore else 2 - truths.boxes[..., 2:].prod(-1, keepdim=True))
        shares = cells[..., 5:].softmax(-1)[own]
        chance = cells[..., 4].sigmoid()[own]
        goal = overlap(boxes[own], truths.boxes) if spec.rescore else torch.ones_like(chance)
        taught = [
            weight * self._towards(places[own], goals),
            (spec.object_scale * (chance - goal) * chance * (1 - chance))[..., None],
            spec.class_scale * (shares - torch.nn.functional.one_hot(truths.label, spec.num_class)),
        ]
        sent = scattered(torch.cat(taught, -1), cell, is_last, len(is_hit)).reshape(cells.shape)
        rest = torch.cat([torch.zeros_like(places), objects[..., None], torch.zeros_like(cells[..., 5:])], -1)
        return torch.where(is_hit.reshape(cells.shape[:-1])[..., None], sent, rest)

    def _best(self, there: Tensor, truths: Truths, side: int) -> Tensor:
        """The box of (N, T, num, 4) in its cell that each truth teaches: (N, T)."""
        sides = there[..., 2:]
        if self.spec.bias_match:
            sides = (self.anchors(there) / side).expand_as(sides)
        return shape_overlap(sides, truths).argmax(-1)


def shape_overlap(sides: Tensor, truths: Truths, how: Callable[[Tensor, Tensor], Tensor] = overlap) -> Tensor:
    """Overlaps of boxes of (…, A, 2) sides with each truth's, all about one middle: (N, T, A)."""
    goal = truths.boxes[..., None, 2:].expand(*truths.boxes.shape[:2], sides.shape[-2], 2)
    here = sides.expand_as(goal)
    middle = torch.zeros_like(goal)
    return how(torch.cat([middle, here], -1), torch.cat([middle, goal], -1))

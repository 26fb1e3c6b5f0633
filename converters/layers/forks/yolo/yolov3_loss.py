"""MobileNet-YOLO's Yolov3: the loss of one of YOLO 3's maps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.forks.yolo.yolo_loss import YoloLoss, YoloLossSpec, scattered, shape_overlap
from converters.layers.judging.labels import LOSS_TOPS
from converters.layers.parts.boxes.box_overlap import KINDS, overlap_slopes
from converters.layers.parts.boxes.cells import decoded, placed
from converters.layers.parts.boxes.truths import (
    Truths,
    best_overlap,
    drawn_labels,
    first_in_cell,
    last_in_cell,
)
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class Yolov3Spec(YoloLossSpec):
    """Of Yolov3."""

    mask: tuple[int, ...] = ()
    anchors_scale: int = 32
    iou_loss: str = "MSE"
    iou_normalizer: float = 0.25
    iou_thresh: float = 0.5
    label_smooth_eps: float = 0.1
    use_logic_gradient: bool = False
    use_focal_loss: bool = False
    max_delta: float = 10.0
    accumulate: bool = True


@layer(
    "Yolov3",
    source="eric612/MobileNet-YOLO: yolov3_layer.cpp",
    role="loss",
    bottoms=(2, 2),
    tops=LOSS_TOPS,
    labels=(1,),
    probes={1: lambda module, bottoms, random: drawn_labels(bottoms[1], module.spec.num_class, random)},
    macs=free,
    fields=("yolov3_param",),
)
class Yolov3(YoloLoss):
    """A truth teaches the boxes of its cell, of the anchors in ``mask``, whose shape is its own best or whose
    overlap with it is above ``iou_thresh``. Of several at one box the last tells the place (MSE, or where
    ``accumulate`` is false), or all do, as often as the fork comes by; their classes add up. Boxes that
    overlap no truth by more than ``thresh`` learn that they are none. Where an object is, and of which class,
    is learned from p - y, whose targets are smoothed; the place from squared distances (MSE) or from how the
    overlap of the kind ``iou_loss`` changes, at most by ``max_delta``. That kind is meant by overlap
    throughout. The loss is the sum of squares of these gradients, with the mean of 1 - overlap (IOU's is
    DIOU's) in place of the places' share, over the batch size. ``use_logic_gradient`` multiplies by the
    sigmoid's slope (but for MSE the middle's by x - x²), and only then object_scale counts;
    ``noobject_scale`` and ``side`` never do. ``use_focal_loss`` multiplies the classes' first gradients.
    """

    spec: Yolov3Spec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.yolov3_param
        if len(param.mask) < param.num or any(2 * n + 1 >= len(param.biases) for n in param.mask):
            raise InputError(
                f"takes {param.num} numbers of anchors in mask, each with two biases", message.name
            )
        pairs = tuple(param.biases)[: len(param.biases) // 2 * 2]
        used = {"biases": pairs, "mask": tuple(param.mask)[: param.num]}
        scale = {} if param.use_logic_gradient else {"object_scale": 1.0}
        self.spec = Yolov3Spec(**numbers_of(param, Yolov3Spec) | used | scale)
        self.how = KINDS[self.spec.iou_loss]
        self.start(message, bottoms)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(N, num·(5 + classes), H, W) and labels (N, 300, 5) to a scalar."""
        with torch.no_grad():
            cells, truths = self.read(x, labels)
            logistic = torch.cat([placed(cells), cells[..., 4:].sigmoid()], -1)
            deltas, distance = self._deltas(logistic, truths)
            loss = deltas[..., 4:].square().sum() + distance
            if self.spec.use_logic_gradient:
                deltas = deltas * self._slope(cells, logistic)
        return self.sent(x, loss, deltas)

    def _slope(self, cells: Tensor, logistic: Tensor) -> Tensor:
        """The sigmoids' slopes. What the fork has of the middle's, but for MSE, is no sigmoid any more."""
        middle = (logistic if self.spec.iou_loss == "MSE" else cells)[..., :2]
        values = torch.cat([middle, logistic[..., 4:]], -1)
        slope = values * (1 - values)
        return torch.cat([slope[..., :2], torch.ones_like(cells[..., 2:4]), slope[..., 2:]], -1)

    def _deltas(self, cells: Tensor, truths: Truths) -> tuple[Tensor, Tensor]:
        """The gradient of each value, and what the places add to the loss."""
        anchors = self.anchors(cells) / self._pixels(cells)
        boxes = decoded(cells[..., :4], anchors[list(self.spec.mask)])
        objects = torch.where(best_overlap(boxes, truths, self.how) <= self.spec.thresh, cells[..., 4], 0.0)
        times = self._times(anchors, truths)
        own, cell = self._own(cells, truths)
        is_last, is_hit = last_in_cell(cell, times > 0, objects.numel())
        counts = times if self.spec.accumulate and self.spec.iou_loss != "MSE" else is_last
        goal = truths.boxes[:, :, None].expand(*times.shape, 4)
        moves = self._places(cells, own, boxes, goal) * counts[..., None]
        places = scattered(moves, cell, counts > 0, len(is_hit))
        hit = is_hit.reshape(objects.shape)
        objects = torch.where(hit, self.spec.object_scale * (cells[..., 4] - 1), objects)
        classes = torch.where(hit[..., None], self._classes(cells, truths, cell, times), 0.0)
        deltas = torch.cat([places.reshape(*hit.shape, 4), objects[..., None], classes], -1)
        return deltas, self._distance(deltas, boxes[own], goal, times)

    def _pixels(self, cells: Tensor) -> Tensor:
        """The image's width and height in the anchors' pixels."""
        return cells.new_tensor([cells.shape[2], cells.shape[1]]) * self.spec.anchors_scale

    def _times(self, anchors: Tensor, truths: Truths) -> Tensor:
        """How often a truth is taken to each box of its cell: (N, T, num), 0 to 2. The fork goes through the
        anchors a second time, leaving out the best by its number in ``mask``, not its own.
        """
        mask = torch.tensor(self.spec.mask, device=anchors.device)
        shapes = shape_overlap(anchors, truths, self.how)
        is_best = (mask == shapes.argmax(-1, keepdim=True)) & (shapes.amax(-1, keepdim=True) > 0)
        slot = torch.arange(len(mask), device=anchors.device)
        passed = torch.where(is_best.any(-1), (is_best * slot).sum(-1), shapes.argmax(-1))[..., None]
        is_more = (shapes[..., mask] > self.spec.iou_thresh) & (mask != passed) & (self.spec.iou_thresh < 1)
        return (is_best.long() + is_more) * truths.is_there[..., None]

    def _own(self, cells: Tensor, truths: Truths) -> tuple[tuple[Tensor, ...], Tensor]:
        """Where the boxes of each truth's cell stand, as four indices, and their numbers: (N, T, num)."""
        count, height, width, num = cells.shape[:4]
        image = torch.arange(count, device=cells.device)[:, None, None]
        box = torch.arange(num, device=cells.device)
        row, column = truths.row[..., None], truths.column[..., None]
        return (image, row, column, box), ((image * height + row) * width + column) * num + box

    def _places(self, cells: Tensor, own: tuple[Tensor, ...], all_boxes: Tensor, goal: Tensor) -> Tensor:
        """The gradients of where each truth's boxes are, (N, T, num, 4)."""
        values, boxes = cells[own], all_boxes[own]
        if self.spec.iou_loss != "MSE":
            slopes = self.spec.iou_normalizer * overlap_slopes(boxes, goal, self.spec.iou_loss)
            moves = -torch.cat([slopes[..., :2], slopes[..., 2:] * values[..., 2:4].exp()], -1)
            return moves.nan_to_num(0, 0, 0).clamp(-self.spec.max_delta, self.spec.max_delta)
        size = cells.new_tensor([cells.shape[2], cells.shape[1]])
        away = torch.cat(
            [(boxes[..., :2] - goal[..., :2]) * size, (boxes[..., 2:] / goal[..., 2:]).log()], -1
        )
        return self.spec.coord_scale * (2 - goal[..., 2:].prod(-1, keepdim=True)) * away

    def _classes(self, cells: Tensor, truths: Truths, cell: Tensor, times: Tensor) -> Tensor:
        """p - y of every box, as if it had the classes of all truths that are taken to it."""
        shares, smooth = cells[..., 5:], 0.5 * self.spec.label_smooth_eps
        one_hot = torch.nn.functional.one_hot(truths.label, self.spec.num_class)[:, :, None].to(cells.dtype)
        counts = scattered(times[..., None] * one_hot, cell, times > 0, cells[..., 0].numel()).reshape(
            shares.shape
        )
        if self.spec.use_focal_loss:
            is_first = first_in_cell(cell, times > 0, cells[..., 0].numel())
            first = scattered(one_hot.expand(*times.shape, -1), cell, is_first, cells[..., 0].numel())
            first = first.reshape(shares.shape)
            later = shares - 1 + smooth
            return self.spec.class_scale * torch.where(counts > first, later, _focal(shares, first))
        return self.spec.class_scale * (shares - (counts > 0) * (1 - 2 * smooth) - smooth)

    def _distance(self, deltas: Tensor, boxes: Tensor, goal: Tensor, times: Tensor) -> Tensor:
        """What the places add to the loss."""
        if self.spec.iou_loss == "MSE":
            return deltas[..., :4].square().sum()
        how = KINDS["DIOU" if self.spec.iou_loss == "IOU" else self.spec.iou_loss]
        missing = torch.where(times > 0, times * (1 - how(boxes, goal)), 0.0)
        return self.spec.iou_normalizer * missing.sum() / times.sum().clamp(min=1)


def _focal(shares: Tensor, goal: Tensor) -> Tensor:
    """p - y times what darknet makes of the right class's p: (…, K) twice to that. Its gamma is 2, its alpha
    a half.
    """
    right = (shares * goal).sum(-1, keepdim=True) + 1e-15
    return (shares - goal) * 0.5 * (right - 1) * (2 * right * right.log() + right - 1)

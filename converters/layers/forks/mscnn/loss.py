"""MS-CNN's DetectionLoss, of maps of scores and boxes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import LARGEST
from converters.layers.forks.judging.smooth_l1 import smooth_l1
from converters.layers.judging.labels import LEAST_LOG
from converters.layers.parts.boxes.fields import AS_THEY_ARE, Deltas, Field, deltas_of
from converters.layers.parts.boxes.label_maps import Labels, ReadsLabels, drawn_labels, field_of
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_SAMPLING = ("random", "bootstrap", "mixture")
_LEAST = 4  # places of the background that are drawn, or ranked, for each class


def _two(module: Layer, bottoms: Shapes) -> Shapes:
    return [torch.Size([1, 1, 1, 2])]


@dataclass(frozen=True)
class DetectionLossSpec(Spec):
    """Of DetectionLoss."""

    cls_num: int
    field: Field
    lambda_: float
    bb_smooth: bool
    bg_multiple: int
    sample_mode: str
    iou_weighted: bool
    pos_neg_weighted: bool
    deltas: Deltas = AS_THEY_ARE


@layer(
    "DetectionLoss",
    source="zhaoweicai/mscnn: detection_loss_layer.cpp",
    fields=("detection_loss_param", "bbox_reg_param"),
    bottoms=(2, 2),
    role="loss",
    labels=(1,),
    macs=free,
    probes={1: drawn_labels},
    most=_two,
    untraceable=True,
)
class DetectionLoss(ReadsLabels):
    """A softmax loss of the class of every object and of some places of the background, and lambda times the
    distance of boxes to the objects', both means; the top (1, 1, 1, 2) has the whole and the second part, of
    which the first alone has a gradient. Of the background those count whose overlap is below bg_threshold:
    drawn, with repetition, bg_multiple as many as there are objects (random), those that score best for each
    class, bg_multiple of its objects (bootstrap), half of either (mixture), or all. Weights: of objects their
    overlaps (iou_weighted); pos_neg_weighted makes the objects' 1 / (1 + bg_multiple) of the whole. A box
    counts within its field's bounds, but its gradient is as if there were none. Places are drawn by torch's
    default generator of the device.
    """

    spec: DetectionLossSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.detection_loss_param
        self.start(message, bottoms, param)
        if param.bg_multiple * bottoms[0][2:].numel() > LARGEST:  # places may all be objects
            raise InputError(f"bg_multiple {param.bg_multiple} is no number of places", message.name)
        numbers, weight = numbers_of(param, DetectionLossSpec), getattr(param, "lambda")
        field, deltas = field_of(message, param), deltas_of(message)
        self.spec = DetectionLossSpec(**numbers, field=field, lambda_=weight, deltas=deltas)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """(N, K + 4, H, W) and (N, 6, H, W) to (1, 1, 1, 2)."""
        scores, boxes = x.detach()[:, :-4], x.detach()[:, -4:]
        labels = labels.detach()
        read = self.read(labels, self.spec.cls_num)
        ground = self._sampled(scores, read)
        by_class, class_slope = self._class_loss(scores, read, ground, self._weights(labels, read, ground))
        by_box, box_slope = self._box_loss(boxes, labels, read)
        whole = with_slope(x, by_class + by_box, torch.cat([class_slope, box_slope], 1))
        return torch.stack([whole, by_box]).reshape(1, 1, 1, 2)

    def _sampled(self, scores: Tensor, read: Labels) -> Tensor:
        """Which places of the background count, (N, H, W)."""
        mode = self.spec.sample_mode
        if mode not in _SAMPLING:
            return read.is_ground
        share = 0.5 if mode == "mixture" else 1.0
        chosen = torch.zeros_like(read.is_ground)
        if mode != "bootstrap":
            chosen |= self._drawn(read, share)
        if mode != "random":
            chosen |= self._ranked(scores, read, share)
        return chosen & read.is_ground

    def _drawn(self, read: Labels, share: float) -> Tensor:
        """Places drawn in every image, with repetition."""
        objects = (read.label != 0).flatten(1).sum(1)
        counts = (objects * self.spec.bg_multiple * share).long().clamp(min=_LEAST * (self.spec.cls_num - 1))
        places = read.label.shape[1:].numel()
        turns = torch.arange(max([0, *counts.tolist()]), device=counts.device)
        drawn = torch.randint(places, (len(counts), len(turns)), device=counts.device)
        drawn = torch.where(turns < counts[:, None], drawn, places)
        chosen = torch.zeros(len(counts), places + 1, dtype=torch.bool, device=counts.device)
        return chosen.scatter(1, drawn, True)[:, :places].reshape(read.label.shape)

    def _ranked(self, scores: Tensor, read: Labels, share: float) -> Tensor:
        """The places of every image that score best for each class but the background; of equal ones the
        later first.
        """
        ground = read.is_ground.flatten(1)[:, None]
        ranked = torch.where(ground, scores[:, 1:].flatten(2), -torch.inf).flip(2)
        order = ranked.argsort(dim=2, descending=True, stable=True)
        classes = torch.arange(1, self.spec.cls_num, device=scores.device)
        counts = (read.label.flatten(1)[:, None] == classes[:, None]).sum(2)
        counts = (counts * self.spec.bg_multiple * share).long().clamp(min=_LEAST)
        is_first = torch.arange(order.shape[2], device=order.device) < counts[..., None]
        chosen = torch.zeros_like(is_first).scatter(2, order, is_first).flip(2)
        return chosen.any(1).reshape(read.label.shape)

    def _weights(self, labels: Tensor, read: Labels, ground: Tensor) -> Tensor:
        """(N, H, W): what each place's class counts."""
        weight = torch.where(read.is_object & self.spec.iou_weighted, labels[:, 5], 1.0)
        objects, others = (weight * read.is_object).sum(), (weight * ground).sum()
        if not self.spec.pos_neg_weighted:
            return weight
        share, count = 1 / (1 + self.spec.bg_multiple), ground.sum() + (read.label != 0).sum()
        scale = torch.where(read.is_object, share * count / objects, (1 - share) * count / others)
        return torch.where(objects != 0, weight * scale, weight)

    def _class_loss(
        self, scores: Tensor, read: Labels, ground: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The mean loss of the places that count, and its slope."""
        counts = ((read.label != 0) | ground) & ~read.is_ignored
        weight = torch.where(counts, weight, 0.0)[:, None] / counts.sum().clamp(min=1)
        target = torch.where(counts, read.label, 0)[:, None]
        chances = scores.softmax(1)
        own = chances.gather(1, target).log().clamp(min=LEAST_LOG)
        slope = chances.scatter_add(1, target, -torch.ones_like(own))
        return -(own * weight).sum(), slope * weight

    def _box_loss(self, boxes: Tensor, labels: Tensor, read: Labels) -> tuple[Tensor, Tensor]:
        """lambda times the mean distance of the objects' boxes, and its slope."""
        counts = read.is_box[:, None]
        goal = self.spec.deltas.normalised(self.spec.field.deltas(labels[:, 1:5]), 1)
        apart = torch.where(counts, self._bounded(boxes) - goal, 0.0)
        each, slope = 0.5 * apart * apart, apart
        if self.spec.bb_smooth:
            each, slope = smooth_l1(apart), apart.clamp(-1, 1)
        scale = self.spec.lambda_ / (4 * counts.sum()).clamp(min=1)
        return each.sum() * scale, slope * scale

    def _bounded(self, boxes: Tensor) -> Tensor:
        """Normalised deltas within the field's bounds, these by the mean of either mean and either std."""
        (x, y, w, h), (sx, sy, sw, sh) = self.spec.deltas.bbox_mean, self.spec.deltas.bbox_std
        move, growth = self.spec.field.bounds
        off, over = (x + y) / 2, (w + h) / 2
        by, times = (sx * sy) ** 0.5, (sw * sh) ** 0.5
        middles = boxes[:, :2].clamp((-move - off) / by, (move - off) / by)
        sides = boxes[:, 2:].clamp((-growth - over) / times, (growth - over) / times)
        return torch.cat([middles, sides], 1)

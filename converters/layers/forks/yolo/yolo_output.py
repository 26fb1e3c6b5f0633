"""What MobileNet-YOLO's nets detect: rows of image, label, score and corners."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.parts.boxes.cells import by_cell, check_maps, corners, decoded, placed
from converters.layers.parts.boxes.nms import suppressed
from converters.layers.parts.boxes.rows import nothing_found
from converters.layers.registry import Builder, Count, Shapes, free, layer
from converters.layers.spec import Spec, numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

B = TypeVar("B", bound=Builder)


def _most(module: Layer, bottoms: Shapes) -> Shapes:
    """A row a box (its classes overlap wholly), or an image where nothing is found."""
    boxes = sum(module.spec.num_box * shape[0] * shape[2] * shape[3] for shape in bottoms)
    return [torch.Size([1, 1, max(boxes, bottoms[0][0]), 7])]


def _rule(name: str, file: str, field: str, bottoms: Count) -> Callable[[B], B]:
    """Register a class that detects."""
    return layer(
        name,
        source=f"eric612/MobileNet-YOLO: {file}",
        fields=(field,),
        bottoms=bottoms,
        macs=free,
        most=_most,
        untraceable=True,
        rows=2,
    )


@dataclass(frozen=True)
class DetectionSpec(Spec):
    """Of what detects; ``biases`` are the widths and heights of anchors, by turns."""

    num_classes: int
    num_box: int
    confidence_threshold: float
    nms_threshold: float
    biases: tuple[float, ...]
    mask: tuple[int, ...] = ()
    anchors_scale: tuple[int, ...] = ()


class _Anchors(NamedTuple):
    """Of a map the numbers of its anchors, and how wide its cells are in their units."""

    numbers: Sequence[int]
    scale: int = 1


class _Detects(Layer):
    """What the two share: all boxes of a batch whose scores pass, best first, those suppressed that overlap a
    better one by nms_threshold or more, whatever their classes and images are: the image is always 0. Labels
    begin at 1. Nothing found: a row of -1 an image, but for its number. Of equal scores the order is theirs
    here and std::sort's in the fork.
    """

    spec: DetectionSpec
    anchors: list[_Anchors]  # of each map

    def _check(self, message: LayerParameter, param: Any, bottoms: Shapes) -> None:
        """Raise InputError for maps of other channels than the numbers have."""
        if not param.HasField("num_classes"):
            raise InputError("num_classes must be given", message.name)
        check_maps(message, bottoms, param.num_box, param.num_classes)

    @torch.no_grad()
    def forward(self, *maps: Tensor) -> Tensor:
        """(N, num_box·(5 + num_classes), H, W) to (1, 1, rows, 7)."""
        found = [self._found(x, of_map) for x, of_map in zip(maps, self.anchors, strict=True)]
        scores, labels, boxes = (torch.cat(parts) for parts in zip(*found, strict=True))
        order = scores.argsort(descending=True, stable=True)
        scores, labels, boxes = scores[order], labels[order], boxes[order]
        lines = corners(boxes)
        areas = boxes[:, 2] * boxes[:, 3]
        stays = suppressed(lines, self.spec.nms_threshold, equal_goes=True, areas=areas)
        if not stays.any():
            return nothing_found(len(maps[0]), maps[0])
        rows = [torch.zeros_like(scores), labels + 1.0, scores, *lines.unbind(1)]
        return torch.stack(rows, 1)[stays][None, None].to(maps[0].dtype)

    def _found(self, x: Tensor, anchors: _Anchors) -> tuple[Tensor, Tensor, Tensor]:
        """Of one map the scores (R,), classes (R,) and boxes (R, 4) that pass."""
        cells = by_cell(x, self.spec.num_box)
        sides = x.new_tensor(self.spec.biases).reshape(-1, 2)[list(anchors.numbers)]
        image = x.new_tensor([x.shape[3] * anchors.scale, x.shape[2] * anchors.scale])
        boxes = decoded(placed(cells), sides / image).flatten(0, -2)
        score, label, place = self._passing(cells[..., 4].sigmoid(), cells[..., 5:])
        return score, label, boxes[place]

    def _passing(self, is_object: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of chances (N, H, W, B) and raw values of classes (N, H, W, B, K) the scores that pass, their
        classes and the numbers of their boxes: (R,) each.
        """
        raise NotImplementedError


@_rule(
    "Yolov3DetectionOutput",
    "yolov3_detection_output_layer.cpp",
    "yolov3_detection_output_param",
    (1, None),
)
class Yolov3DetectionOutput(_Detects):
    """A row for every class whose score, the object's times its own, is above the threshold. Each map has its
    share of ``mask``, the numbers of its anchors, and its ``anchors_scale``, the pixels of a cell.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.yolov3_detection_output_param
        pairs = {"biases": tuple(param.biases)[: len(param.biases) // 2 * 2]}
        self.spec = DetectionSpec(**numbers_of(param, DetectionSpec) | pairs)
        maps, each = len(bottoms), len(param.mask) // max(param.mask_group_num, 1)
        if param.mask_group_num != maps or len(param.anchors_scale) < maps:
            raise InputError(
                f"mask_group_num, and anchors_scale, have to be as many as the {maps} bottoms", message.name
            )
        if each < param.num_box or any(2 * n + 1 >= len(param.biases) for n in param.mask):
            raise InputError(f"takes {param.num_box} of mask a bottom, each with two biases", message.name)
        masks = [self.spec.mask[at * each :][: param.num_box] for at in range(maps)]
        self.anchors = [_Anchors(*of_map) for of_map in zip(masks, param.anchors_scale, strict=False)]
        self._check(message, param, bottoms)

    def _passing(self, is_object: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = (classes.sigmoid() * is_object.unsqueeze(-1)).flatten(0, -2)
        place, label = (scores > self.spec.confidence_threshold).nonzero(as_tuple=True)
        return scores[place, label], label, place


@_rule("YoloDetectionOutput", "yolo_detection_output_layer.cpp", "yolo_detection_output_param", (1, 2))
class YoloDetectionOutput(_Detects):
    """A row for every box whose score, the object's times the softmax's greatest, reaches the threshold. The
    anchors, in cells, are the same for both maps, which are square. ``side`` and ``coords`` have no effect.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.yolo_detection_output_param
        used = {"biases": tuple(param.biases)[: 2 * param.num_box]}
        self.spec = DetectionSpec(**numbers_of(param, DetectionSpec) | used)
        if len(param.biases) < 2 * param.num_box:
            raise InputError(f"takes {2 * param.num_box} biases, not {len(param.biases)}", message.name)
        self._check(message, param, bottoms)
        if any(shape[2] != shape[3] for shape in bottoms):
            raise InputError("takes square maps: the fork reads others wrongly", message.name)
        self.anchors = [_Anchors(range(param.num_box))] * len(bottoms)

    def _passing(self, is_object: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        best, label = classes.softmax(-1).max(-1)
        scores = (is_object * best).flatten()
        place = (scores >= self.spec.confidence_threshold).nonzero()[:, 0]
        return scores[place], label.flatten()[place], place

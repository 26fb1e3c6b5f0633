"""MS-CNN's label maps, (N, 6, H, W): at a place a class, a box (middle and sides in pixels), an overlap."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.parts.boxes.fields import Field, checked_bounds
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


def drawn_labels(module: Layer, bottoms: Shapes, random: np.random.Generator) -> NDArray[Any]:
    """A label map: here and there a class, with a box of the field's size, and overlaps."""
    count, _, *size = bottoms[1]
    field = module.spec.field
    classes = random.integers(0, module.spec.cls_num, (count, 1, *size)) * (
        random.random((count, 1, *size)) < 0.1
    )
    middles = random.uniform(0, field.downsample_rate * max(size), (count, 2, *size))
    sides = random.uniform(0.5, 2, (count, 2, *size)) * max(field.field_w, field.field_h)
    return np.concatenate([classes, middles, sides, random.random((count, 1, *size))], 1)


def field_of(message: LayerParameter, param: Any) -> Field:
    """The field that a layer's own field of the message tells. Raises InputError for one without a size."""
    sizes = (param.field_w, param.field_h, param.downsample_rate)
    if not all(sizes):
        raise InputError("needs a field_w, a field_h and a downsample_rate of at least 1", message.name)
    return Field(*sizes, *checked_bounds(message, param.field_whr, param.field_xyr))


def _check_maps(message: LayerParameter, bottoms: Shapes, param: Any) -> None:
    """Raise InputError unless the maps are (N, cls_num + 4, H, W) and (N, 6, H, W)."""
    scores, labels = bottoms
    if param.coord_num != 4:
        raise InputError(f"coord_num {param.coord_num} is not 4, the numbers of a box", message.name)
    if len(scores) != 4 or scores[1] != param.cls_num + 4:
        raise InputError(f"takes (N, {param.cls_num + 4}, H, W), not {tuple(scores)}", message.name)
    if tuple(labels) != (scores[0], 6, *scores[2:]):
        raise InputError(f"takes labels {(scores[0], 6, *scores[2:])}, not {tuple(labels)}", message.name)
    if param.cls_num < 2 or (param.objectness and param.cls_num != 2):
        raise InputError("takes a cls_num of 2 or more, with objectness of 2", message.name)


class Labels(NamedTuple):
    """Of a label map the class of each place (N, H, W), whether it has an object, whether that one's box
    counts, whether a place counts as one of the background, and whether its class is left out.
    """

    label: Tensor
    is_object: Tensor
    is_box: Tensor
    is_ground: Tensor
    is_ignored: Tensor


class ReadsLabels(Layer):
    """Base of layers that compare maps of scores and boxes with a label map."""

    def start(self, message: LayerParameter, bottoms: Shapes, param: Any) -> None:
        """Read what ``param``, the layer's own field, says of labels; raise InputError for other maps."""
        _check_maps(message, bottoms, param)
        self.index = Index(message, "label", bottom=1)
        loss = message.loss_param
        self.ignored = loss.ignore_label if loss.HasField("ignore_label") else None
        self.is_binary, self.bg_threshold = param.objectness, param.bg_threshold

    def read(self, labels: Tensor, classes: int) -> Labels:
        """Read a label map; raise InputError for a class out of range. A box is left out by the class as the
        map has it, whatever objectness makes of it.
        """
        raw = labels[:, 0].trunc()
        label = self.index(raw.clamp(max=1) if self.is_binary else raw, classes, self.ignored)
        is_object, is_ground = raw != 0, (raw == 0) & (labels[:, 5] < self.bg_threshold)
        is_box = is_object & ~self._is_ignored(raw)
        return Labels(label, is_object, is_box, is_ground, self._is_ignored(label))

    def _is_ignored(self, label: Tensor) -> Tensor:
        return torch.zeros_like(label, dtype=torch.bool) if self.ignored is None else label == self.ignored

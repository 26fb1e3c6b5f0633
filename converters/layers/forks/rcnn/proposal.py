"""Regions that a network proposes: PVANet's Proposal, and py-faster-rcnn's layer in Python."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.parts.boxes.anchors import Anchors, by_place, checked_shapes, moved, within
from converters.layers.parts.boxes.nms import suppressed
from converters.layers.parts.python_options import python_anchors
from converters.layers.registry import Builder, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

B = TypeVar("B", bound=Builder)


@dataclass(frozen=True)
class ProposalSpec(Spec):
    """Of a layer that proposes regions: how many boxes go into suppression and come out, in TEST."""

    anchors: Anchors
    pre_nms_topn: int = 6000
    post_nms_topn: int = 300
    nms_thresh: float = 0.7
    min_size: int = 16


def _most(module: Layer, bottoms: Shapes) -> Shapes:
    assert isinstance(module, _Proposes)
    boxes = bottoms[1].numel() // 4
    count = min(module.limits()[1] or boxes, boxes)
    return [torch.Size([count, 5]), torch.Size(module.score_shape(count))][: module.tops]


def _rule(name: str, source: str, fields: tuple[str, ...] = ()) -> Callable[[B], B]:
    """Register a class that proposes regions."""
    return layer(
        name,
        source=source,
        fields=fields,
        bottoms=(3, 3),
        tops=(1, 2),
        macs=free,
        most=_most,
        untraceable=True,
        rows=0,
    )


class _Proposes(Layer):
    """What the two share: boxes of one image from anchors and deltas, cut off at the image, the best by score
    suppressed by those before them. No gradient.
    """

    spec: ProposalSpec
    equal_goes = False  # whether an overlap of exactly nms_thresh suppresses
    image_values = 3  # that im_info has to have

    def _start(self, message: LayerParameter, bottoms: Shapes, spec: ProposalSpec) -> None:
        self.spec, self.tops = spec, len(message.top)
        scores, deltas, image = bottoms
        count = spec.anchors.count
        if len(scores) != 4 or scores[:2] != (1, 2 * count):
            reason = f"takes scores of one image, (1, {2 * count}, H, W), two an anchor, not {tuple(scores)}"
            raise InputError(reason, message.name)
        if tuple(deltas) != (1, 4 * count, *scores[2:]):
            raise InputError(f"takes deltas (1, {4 * count}, H, W), not {tuple(deltas)}", message.name)
        if image.numel() < self.image_values:
            reason = f"takes im_info of {self.image_values} values or more, not {tuple(image)}"
            raise InputError(reason, message.name)

    def limits(self) -> tuple[int, int]:
        """The most boxes before and after suppression; 0: all."""
        return self.spec.pre_nms_topn, self.spec.post_nms_topn

    def score_shape(self, count: int) -> tuple[int, ...]:
        """Of the second top."""
        return (count,)

    @torch.no_grad()
    def forward(self, scores: Tensor, deltas: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        """(1, 2A, H, W), (1, 4A, H, W) and im_info to rois (R, 5), of image 0, and their scores."""
        info = image.flatten()
        anchors = self.spec.anchors.of_map(deltas, *scores.shape[2:])
        boxes = within(moved(anchors, by_place(deltas, 4)), info[:2])
        boxes, chances = self._big(boxes, by_place(scores[:, self.spec.anchors.count :], 1)[:, 0], info)
        before, after = self.limits()
        order = chances.argsort(descending=True, stable=True)[: before or None]
        boxes, chances = boxes[order], chances[order]
        stays = suppressed(
            boxes, self.spec.nms_thresh, plus=1, equal_goes=self.equal_goes, most=after or None
        )
        boxes, chances = boxes[stays], chances[stays]
        rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], 1)
        return (rois, chances.reshape(self.score_shape(len(boxes))))[: self.tops]

    def _big(self, boxes: Tensor, scores: Tensor, info: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


def _are_big(boxes: Tensor, least: Tensor) -> Tensor:
    """Which are as wide and as high as ``least``, a number or one of the width and one of the height."""
    return (boxes[:, 2:] - boxes[:, :2] + 1 >= least).all(1)


@_rule("Proposal", "sanghoon/caffe: proposal_layer.cpp", ("proposal_param",))
class Proposal(_Proposes):
    """PVANet's: im_info is height, width and their scales; boxes smaller than min_size, scaled, stay with a
    score of 0; an overlap above nms_thresh suppresses. Equal scores keep their order here; in the fork a
    quicksort of its own has its way with them.
    """

    image_values = 4

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.proposal_param
        shapes = checked_shapes(message, param.ratio, param.scale)
        anchors = Anchors(*shapes, param.base_size, param.feat_stride)
        numbers = (param.pre_nms_topn, param.post_nms_topn, param.nms_thresh, param.min_size)
        self._start(message, bottoms, ProposalSpec(anchors, *numbers))

    def _big(self, boxes: Tensor, scores: Tensor, info: Tensor) -> tuple[Tensor, Tensor]:
        return boxes, scores * _are_big(boxes, self.spec.min_size * info[2:4].flip(0))


@_rule("rpn.proposal_layer.ProposalLayer", "rbgirshick/py-faster-rcnn: rpn/proposal_layer.py")
class PythonProposal(_Proposes):
    """py-faster-rcnn's layer in Python, with its config's numbers: im_info is height, width and scale; boxes
    smaller than 16, scaled, go; an overlap of 0.7 or more suppresses (as its cpu_nms has it; on a GPU it is
    more than 0.7); 6000 boxes before and 300 after it in TEST, 12000 and 2000 in TRAIN. ``param_str`` has
    feat_stride and, where they are others than usual, scales and ratios.
    """

    equal_goes = True

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self._start(message, bottoms, ProposalSpec(python_anchors(message)))

    def limits(self) -> tuple[int, int]:
        """As config.py has them for the phase."""
        return (12000, 2000) if self.training else super().limits()

    def score_shape(self, count: int) -> tuple[int, ...]:
        """Of the second top: a column."""
        return count, 1

    def _big(self, boxes: Tensor, scores: Tensor, info: Tensor) -> tuple[Tensor, Tensor]:
        stays = _are_big(boxes, self.spec.min_size * info[2])
        return boxes[stays], scores[stays]

"""Layers of forks that work with boxes: SSD's, YOLO's and R-CNN's."""

from typing import Any

import torch

from converters.export.source.helpers.regions import PositionSensitiveRoiPool, Proposal, RoiPool
from converters.export.source.helpers.ssd import DetectionOutput as DetectionOutputHelper
from converters.export.source.helpers.ssd import PriorBox as PriorBoxHelper
from converters.export.source.helpers.yolo import YoloOutput
from converters.export.source.part import Call, Part, make, unless
from converters.export.source.rules import to_source
from converters.layers.forks.rcnn.proposal import Proposal as PVAProposal
from converters.layers.forks.rcnn.proposal import PythonProposal
from converters.layers.forks.rcnn.roi_pooling import PSROIPooling, ROIPooling
from converters.layers.forks.ssd.detection_output import DetectionOutput
from converters.layers.forks.ssd.prior_box import Permute, PriorBox
from converters.layers.forks.yolo.yolo_output import YoloDetectionOutput, Yolov3DetectionOutput

_LEAST = -torch.finfo(torch.float32).max


@to_source.register
def _(layer: Permute, c: Call) -> Part:
    return Part([f"{c.x}.permute({', '.join(map(str, layer.spec.order))})"])


@to_source.register
def _(layer: PriorBox, c: Call) -> Part:
    spec = layer.spec
    text = make(
        "PriorBox",
        [tuple(map(_whole, size)) for size in spec.sizes],
        spec.variance,
        image=tuple(map(_whole, spec.image)) if all(spec.image) else None,
        step=tuple(map(_whole, spec.step)) if all(spec.step) else None,
        offset=unless(spec.offset, 0.5),
        clip=unless(spec.clip, False),
    )
    return c.module(text, None, PriorBoxHelper)


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


@to_source.register
def _(layer: DetectionOutput, c: Call) -> Part:
    spec = layer.spec
    text = make(
        "DetectionOutput",
        spec.num_classes,
        background=unless(spec.background_label_id, 0),
        share_location=unless(spec.share_location, True),
        code=None if spec.code_type == "CORNER" else spec.code_type,
        variance_in_target=unless(spec.variance_encoded_in_target, False),
        threshold=unless(spec.confidence_threshold, _LEAST),
        nms_threshold=spec.nms_threshold,
        eta=unless(spec.eta, 1.0),
        top_k=spec.top_k,
        keep_top_k=spec.keep_top_k,
        objectness=spec.objectness_score if len(c.bottoms) > 3 else None,
    )
    return c.module(text, None, DetectionOutputHelper)


@to_source.register
def _(layer: Yolov3DetectionOutput, c: Call) -> Part:
    return _yolo(layer, c, False)


@to_source.register
def _(layer: YoloDetectionOutput, c: Call) -> Part:
    return _yolo(layer, c, True)


def _yolo(layer: Yolov3DetectionOutput | YoloDetectionOutput, c: Call, softmax: bool) -> Part:
    spec = layer.spec
    pairs = [tuple(map(_whole, spec.biases[at : at + 2])) for at in range(0, len(spec.biases), 2)]
    text = make(
        "YoloOutput",
        [[pairs[number] for number in of_map.numbers] for of_map in layer.anchors],
        [of_map.scale for of_map in layer.anchors],
        threshold=spec.confidence_threshold,
        nms_threshold=spec.nms_threshold,
        softmax=softmax or None,
    )
    return c.module(text, None, YoloOutput)


@to_source.register
def _(layer: ROIPooling, c: Call) -> Part:
    spec = layer.spec
    text = make(
        "RoiPool", spec.pooled_h, spec.pooled_w, scale=spec.spatial_scale, pad_ratio=spec.pad_ratio or None
    )
    return c.module(text, None, RoiPool)


@to_source.register
def _(layer: PSROIPooling, c: Call) -> Part:
    spec = layer.spec
    text = make("PositionSensitiveRoiPool", spec.output_dim, spec.group_size, scale=spec.spatial_scale)
    return c.module(text, None, PositionSensitiveRoiPool)


@to_source.register
def _(layer: PVAProposal, c: Call) -> Part:
    return _proposal(layer, c)


@to_source.register
def _(layer: PythonProposal, c: Call) -> Part:
    return _proposal(layer, c, equal_goes=True, drops_small=True)


def _proposal(layer: PVAProposal | PythonProposal, c: Call, **flags: Any) -> Part:
    spec = layer.spec
    base = spec.anchors.of_map(torch.empty(0), 1, 1).tolist()
    text = make(
        "Proposal",
        [tuple(map(_whole, box)) for box in base],
        stride=spec.anchors.feat_stride,
        before=spec.pre_nms_topn,
        after=spec.post_nms_topn,
        threshold=spec.nms_thresh,
        least=spec.min_size,
        **flags,
    )
    call = f"{c.me}({', '.join(c.bottoms)})"
    if c.tops == 1:
        return Part([f"{call}[0]"], text, {}, [Proposal])
    return Part([call], text, {}, [Proposal])

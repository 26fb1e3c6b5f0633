"""AnnotatedDatum: a record with an image and the boxes of what is in it (caffe.proto of SSD)."""

from dataclasses import dataclass, replace

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from converters.data.forks.boxes import Boxes, Mask, coverages, projected
from converters.data.forks.resizing import Size, extrapolated, resized_boxes
from prototxt.caffe_pb2 import AnnotatedDatum, EmitConstraint, TransformationParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class Objects:
    """What is in an image: classes and instances, (n, 2), boxes, (n, 4), and which are difficult, (n,)."""

    names: NDArray[np.int64]
    boxes: Boxes
    difficult: Mask

    def rows(self, item: int) -> NDArray[np.float32]:
        """(n, 8): the ``item`` of the batch, class, instance, box, and whether it is difficult."""
        items = np.full((len(self.boxes), 1), item)
        return np.concatenate([items, self.names, self.boxes, self.difficult[:, None]], 1).astype(np.float32)

    def only(self, which: Mask, boxes: Boxes) -> "Objects":
        """Some of them, in other boxes."""
        return replace(self, names=self.names[which], boxes=boxes[which], difficult=self.difficult[which])


def parse_annotated(record: bytes) -> AnnotatedDatum:
    """A record as an AnnotatedDatum. Raises InputError where it is none."""
    try:
        return AnnotatedDatum.FromString(record)
    except DecodeError:
        raise InputError("is no AnnotatedDatum") from None


def objects_of(record: AnnotatedDatum) -> Objects:
    """Those of all its groups, in order."""
    every = [(group.group_label, each) for group in record.annotation_group for each in group.annotation]
    boxes = [[each.bbox.xmin, each.bbox.ymin, each.bbox.xmax, each.bbox.ymax] for _, each in every]
    return Objects(
        np.array([[label, each.instance_id] for label, each in every], np.int64).reshape(-1, 2),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([each.bbox.difficult for _, each in every], bool),
    )


def within(objects: Objects, part: Boxes, param: TransformationParameter) -> Objects:
    """The objects that a part of the image shows and ``emit_constraint`` lets by, in the part's coordinates
    (TransformAnnotation without a resize).
    """
    boxes, is_seen = projected(objects.boxes, part)
    return objects.only(is_seen & _is_emitted(objects.boxes, part, param), boxes)


def placed(
    objects: Objects, part: Boxes, param: TransformationParameter, size: Size, is_mirrored: bool
) -> Objects:
    """The objects of an image of ``size`` after it was resized, the ``part`` cropped of that, and mirrored
    (TransformAnnotation).
    """
    policy = param.resize_param[0] if param.resize_param else None
    boxes = resized_boxes(objects.boxes, policy, size) if policy else objects.boxes
    seen = within(replace(objects, boxes=boxes), part, param)
    boxes = seen.boxes
    if is_mirrored:
        boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
    return replace(seen, boxes=extrapolated(boxes, policy, size, part) if policy else boxes)


def _is_emitted(boxes: Boxes, part: Boxes, param: TransformationParameter) -> Mask:
    if not param.HasField("emit_constraint"):
        return np.ones(len(boxes), bool)
    constraint = param.emit_constraint
    if constraint.emit_type == EmitConstraint.MIN_OVERLAP:
        covered: Mask = coverages(boxes, part) > np.float32(constraint.emit_overlap)
        return covered
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside: Mask = np.all((centre >= part[:2]) & (centre <= part[2:]), axis=1)
    return inside

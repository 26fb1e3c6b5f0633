"""DetectionOutput of SSD and of RefineDet."""

from collections.abc import Sequence

import numpy as np

from converters.export.nodes.families.boxes.coding import Priors, decoded, priors_of
from converters.export.nodes.families.boxes.rows import (
    Rows,
    best,
    best_of_groups,
    or_nothing,
    suppressed,
    uncrossed,
    with_one_more,
)
from converters.export.nodes.families.boxes.shrinking import shrinking
from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Copy, Tensor, Writer
from converters.layers.forks.ssd.detection_output import DetectionOutput, DetectionOutputSpec


@to_onnx.register
def _(layer: DetectionOutput, g: Writer, *bottoms: Tensor) -> Tops:
    """NonMaxSuppression's rows come image by image, class by class, the best first: Caffe's order."""
    images = g.side(bottoms[0], 0)
    boxes, scores = _grouped(g, layer.spec, bottoms)
    found = _found(g, layer.spec, boxes, scores, images)
    return [or_nothing(g, _written(g, layer.spec, boxes, found), images)]


def _grouped(g: Writer, spec: DetectionOutputSpec, bottoms: Sequence[Tensor]) -> tuple[str, Tensor]:
    """Boxes (G, P, 4) and scores (G, C, P): a group is an image or, where each class has boxes of its own, a
    class of an image.
    """
    numbers = bottoms[2].shape[2]
    places, classes = None if numbers is None else numbers // 4, len(spec.labels)
    boxes, scores = _boxes(g, spec, bottoms), Tensor(_scores(g, spec, bottoms), (None, classes, places))
    if spec.share_location:
        return boxes, scores
    by_class = g.reshape(Tensor(boxes, (None, classes, places, 4)), [-1, Copy(2), 4])
    return by_class, Tensor(g.reshape(scores, [-1, 1, Copy(2)]), (None, 1, places))


def _found(g: Writer, spec: DetectionOutputSpec, boxes: str, scores: Tensor, images: str) -> Rows:
    """What stays of each class, and of each image."""
    classes, places = len(spec.labels), scores.shape[2]
    each = None if places is None else classes * places
    if spec.eta < 1 and spec.top_k != 0:
        rows = shrinking(g, boxes, scores, spec)
        return with_one_more(g, best_of_groups(g, rows, scores, images, each, spec.keep_top_k), scores)
    few = Tensor(best(g, scores, spec.top_k), scores.shape)
    lines = boxes if spec.code_type == "CENTER_SIZE" else uncrossed(g, boxes)
    most = min((n for n in (spec.top_k, spec.keep_top_k) if n is not None), default=None)
    rows = suppressed(g, lines, few, most, spec.nms_threshold, spec.confidence_threshold)
    if classes == 1:
        return with_one_more(g, rows, scores)
    return with_one_more(g, best_of_groups(g, rows, scores, images, each, spec.keep_top_k), scores)


def _written(g: Writer, spec: DetectionOutputSpec, boxes: str, found: Rows) -> str:
    """Image, label, score and corners, (R, 7)."""
    group, label, place = g.split(found.at, [1, 1, 1], 1)
    image, classes = group, g.ints(len(spec.labels))
    if not spec.share_location:
        image, label = g.add("Div", group, classes), g.add("Mod", group, classes)
    parts = [
        g.cast(image),
        g.add("Gather", g.constant(spec.labels), label),
        g.add("Unsqueeze", found.scores, g.ints([1])),
        g.add("GatherND", boxes, g.add("Concat", group, place, axis=1)),
    ]
    return g.add("Concat", *parts, axis=1)


def _boxes(g: Writer, spec: DetectionOutputSpec, bottoms: Sequence[Tensor]) -> str:
    """(N, P, 4), or of each class but the background's (N, C, P, 4)."""
    location, priors = bottoms[0], priors_of(g, bottoms[2])
    if len(bottoms) > 4:
        moved = decoded(g, g.reshape(bottoms[4], [Copy(0), -1, 4]), priors, spec)
        priors = Priors(moved, priors.variance)
    if spec.share_location:
        return decoded(g, g.reshape(location, [Copy(0), -1, 4]), priors, spec)
    if len(bottoms) > 4:
        priors = priors._replace(boxes=g.add("Unsqueeze", priors.boxes, g.ints([1])))
    by_place = g.reshape(location, [Copy(0), -1, spec.num_classes, 4])
    by_class = g.add("Transpose", by_place, perm=[0, 2, 1, 3])
    return decoded(g, _of_objects(g, spec, by_class), priors, spec)


def _scores(g: Writer, spec: DetectionOutputSpec, bottoms: Sequence[Tensor]) -> str:
    """(N, classes but the background's, P)."""
    by_place = g.reshape(bottoms[1], [Copy(0), -1, spec.num_classes])
    if len(bottoms) > 3:
        by_place = _by_first_stage(g, spec, by_place, bottoms[3])
    return _of_objects(g, spec, g.add("Transpose", by_place, perm=[0, 2, 1]))


def _by_first_stage(g: Writer, spec: DetectionOutputSpec, scores: str, first: Tensor) -> str:
    """What the first stage takes for no object is background (class 0) alone."""
    chances = g.reshape(first, [Copy(0), -1, 2])
    second = g.add("Slice", chances, g.ints([1]), g.ints([2]), g.ints([2]))
    is_object = g.add("GreaterOrEqual", second, g.constant(spec.objectness_score))
    background = np.arange(spec.num_classes) == 0
    return g.add("Where", is_object, scores, g.constant(background))


def _of_objects(g: Writer, spec: DetectionOutputSpec, by_class: str) -> str:
    """Without the background, along axis 1."""
    if len(spec.labels) == spec.num_classes:
        return by_class
    if spec.background_label_id == 0:
        return g.add("Slice", by_class, g.ints([1]), g.ints([spec.num_classes]), g.ints([1]))
    return g.add("Gather", by_class, g.ints(spec.labels), axis=1)

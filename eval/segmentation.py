"""How well a net tells each pixel's class: counts of pixels an image, and the figures that follow from sums
of them.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from torch import Tensor

from eval.statistics import Floats
from prototxt.errors import InputError


def pixel_counts(scores: Tensor, labels: Tensor, ignored: Collection[int] = ()) -> Floats:
    """(N, 3·C): of each image how many pixels of each class are told rightly, told, and there.

    ``scores`` are (N, C, H, W), of which the highest, of equals the first, names a pixel's class; ``labels``
    (N, 1, H, W) whole numbers. Pixels whose label is ``ignored`` count nowhere, as in Caffe's losses and
    Accuracy. Raises InputError for a label map of another size than the scores, and for another label than
    of a class.
    """
    if scores.shape[2:] != labels.shape[2:]:
        sizes = ("×".join(map(str, each.shape[2:])) for each in (scores, labels))
        raise InputError("the scores are of {} pixels, the label map of {}".format(*sizes))
    images, classes = scores.shape[:2]
    named, true = scores.argmax(1).numpy(), labels[:, 0].long().numpy()
    counted = ~np.isin(true, list(ignored))
    strange = true[counted & ((true < 0) | (true >= classes))]
    if len(strange):
        raise InputError(f"label {strange[0]} is out of range for {classes} classes, and is not ignored")
    image = np.broadcast_to(np.arange(images)[:, None, None], true.shape)

    def by_class(values: Any, chosen: Any) -> Floats:
        places = (image * classes + values)[chosen]
        return np.bincount(places, minlength=images * classes).reshape(images, classes).astype(float)

    kinds = (by_class(true, counted & (named == true)), by_class(named, counted), by_class(true, counted))
    return np.concatenate(kinds, 1)


def pixel_accuracy(sums: Floats) -> Floats:
    """(…, 3·C) sums of :func:`pixel_counts` to (…, 1): the share of pixels that are told rightly."""
    right, _, true = _kinds(sums)
    return _ratio(right.sum(-1, keepdims=True), true.sum(-1, keepdims=True))


def class_ious(sums: Floats) -> Floats:
    """The same sums to (…, C): of each class the pixels told rightly by those that are told or are there
    (intersection over union, as PASCAL VOC has it: M. Everingham et al., IJCV 111, 2015, section 5.1.3); nan
    of a class that is neither.
    """
    right, told, true = _kinds(sums)
    return _ratio(right, told + true - right)


def mean_iou(sums: Floats) -> Floats:
    """The same sums to (…, 1): the mean of :func:`class_ious` over the classes that have one."""
    ious = class_ious(sums)
    known = ~np.isnan(ious)
    return _ratio(np.where(known, ious, 0).sum(-1, keepdims=True), known.sum(-1, keepdims=True).astype(float))


def _kinds(sums: Floats) -> tuple[Floats, Floats, Floats]:
    right, told, true = np.split(np.asarray(sums, float), 3, -1)
    return right, told, true


def _ratio(above: Floats, below: Floats) -> Floats:
    shares: Floats = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return shares

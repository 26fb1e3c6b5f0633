"""Parts of an image that SSD's ``batch_sampler`` chooses by what they have of its objects (sampler.cpp)."""

from collections.abc import Iterable

import numpy as np

from converters.data.forks.boxes import Boxes, Mask, Numbers, coverages, overlaps
from prototxt.caffe_pb2 import BatchSampler, SampleConstraint, Sampler
from prototxt.errors import InputError


def check_samplers(samplers: Iterable[BatchSampler], layer: str) -> None:
    """Raise InputError for bounds that SSD refuses."""
    for each in samplers:
        sampler = each.sampler
        if not 0 < sampler.min_scale <= sampler.max_scale <= 1:
            raise InputError("a batch_sampler's scales are above 0, at most 1, and the least first", layer)
        if not 0 < sampler.min_aspect_ratio <= sampler.max_aspect_ratio:
            raise InputError("a batch_sampler's aspect ratios are above 0, and the least first", layer)


def sampled(samplers: Iterable[BatchSampler], objects: Boxes, drawn: np.random.Generator) -> Boxes:
    """(n, 4): of each sampler the first ``max_sample`` of ``max_trials`` parts drawn that meet its constraint
    with the ``objects``; a sampler that does not use the original image gives none.
    """
    parts = [np.zeros((0, 4), np.float32)]
    for each in samplers:
        if each.use_original_image:
            tried = _drawn_parts(each.sampler, each.max_trials, drawn)
            good = tried[satisfied(tried, objects, each.sample_constraint)]
            parts.append(good[: each.max_sample] if each.HasField("max_sample") else good)
    return np.concatenate(parts)


def _drawn_parts(sampler: Sampler, count: int, drawn: np.random.Generator) -> Boxes:
    """``count`` parts: the scale, and the ratio of width to height cut so that the part fits, are drawn
    between their bounds, then the place. (The last state of SSD's branch takes the whole image every time, by
    a slip; this is what its models were trained by.)
    """
    scale = drawn.uniform(sampler.min_scale, sampler.max_scale, count)
    ratio = drawn.uniform(sampler.min_aspect_ratio, sampler.max_aspect_ratio, count)
    root = np.sqrt(np.clip(ratio, scale**2, 1 / scale**2))
    size = np.minimum(np.stack([scale * root, scale / root], 1), 1)
    corner = drawn.random((count, 2)) * (1 - size)
    return np.concatenate([corner, corner + size], 1).astype(np.float32)


def satisfied(parts: Boxes, objects: Boxes, constraint: SampleConstraint) -> Mask:
    """Which parts meet a constraint with at least one object; all where it says nothing. Of a constraint with
    several measures the first alone decides, for a part that has met it is taken whatever comes after
    (SatisfySampleConstraint).
    """
    for measure in ("jaccard_overlap", "sample_coverage", "object_coverage"):
        bounds = [f"min_{measure}", f"max_{measure}"]
        if any(map(constraint.HasField, bounds)):
            values = _measured(measure, parts[:, None], objects[None])
            good: Mask = np.any(_between(values, constraint, *bounds), axis=1)
            return good
    return np.ones(len(parts), bool)


def _measured(measure: str, parts: Boxes, objects: Boxes) -> Numbers:
    if measure == "jaccard_overlap":
        return overlaps(parts, objects)
    if measure == "sample_coverage":
        return coverages(parts, objects)
    return coverages(objects, parts)


def _between(values: Numbers, constraint: SampleConstraint, least: str, most: str) -> Mask:
    """Not below the least and not above the most, of those that are said."""
    within = np.ones(values.shape, bool)
    if constraint.HasField(least):
        within &= values >= np.float32(getattr(constraint, least))
    if constraint.HasField(most):
        within &= values <= np.float32(getattr(constraint, most))
    return within

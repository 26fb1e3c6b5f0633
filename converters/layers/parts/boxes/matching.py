"""Which prior stands for which true box (bbox_util.cpp: GetGroundTruth, MatchBBox)."""

from typing import NamedTuple

import torch
from torch import Tensor

from converters.layers.parts.boxes.nms import overlaps
from converters.layers.parts.boxes.rows import places

NONE, IGNORED = -1, -2  # instead of the number of a true box
_LEAST = 1e-6  # of an overlap that counts


class Truths(NamedTuple):
    """The true boxes of each image, as many places as the most that one has, and at least one: corners
    (N, G, 4), labels (N, G), and which places are taken (N, G).
    """

    boxes: Tensor
    labels: Tensor
    is_one: Tensor


class Matches(NamedTuple):
    """Of each prior, by groups (…, P): the number of its true box, NONE or IGNORED; its overlap with that,
    else the greatest that it has with any.
    """

    truth: Tensor
    overlap: Tensor


def by_image(rows: Tensor, labels: Tensor, images: int) -> Truths:
    """Rows (R, 8) of (image, label, instance, xmin, ymin, xmax, ymax, difficult), whose labels (R,) are
    whole, image by image in their order; those of images from ``images`` on are left out.
    """
    image = rows[:, 0].long()
    is_one = (image >= 0) & (image < images)
    rows, image, labels = rows[is_one], image[is_one], labels[is_one]
    image, order = image.sort(stable=True)
    sizes = image.bincount(minlength=images)
    most = max([1, *sizes.tolist()])
    boxes, of_box = rows.new_zeros(images, most, 4), labels.new_zeros(images, most)
    place = places(image)
    boxes[image, place] = rows[order, 3:7]
    of_box[image, place] = labels[order]
    return Truths(boxes, of_box, torch.arange(most, device=rows.device) < sizes[:, None])


def crosses_border(boxes: Tensor) -> Tensor:
    """Whether a box (…, 4) has a corner outside the image."""
    return ((boxes < 0) | (boxes > 1)).any(-1)


def matched(
    boxes: Tensor, truths: Tensor, is_one: Tensor, threshold: float | None, ignored: Tensor | None = None
) -> Matches:
    """Match boxes (…, P, 4) with true ones (…, G, 4), at least one place, of which (…, G) are any: first each
    true box with the one that overlaps it most, the greatest overlaps first; then, with a ``threshold``, each
    box that is left with the true one that it overlaps most, from that overlap on. ``ignored`` (…, P): boxes
    that take no part.
    """
    shared = overlaps(boxes, truths)
    takes_part = is_one.unsqueeze(-2) if ignored is None else is_one.unsqueeze(-2) & ~ignored.unsqueeze(-1)
    shared = torch.where(takes_part & (shared > _LEAST), shared, 0.0)
    best, nearest = shared.max(-1)
    index = _one_each(shared)
    own = shared.gather(-1, index.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    overlap = torch.where(index >= 0, own, best)
    if threshold is not None:
        index = torch.where((index < 0) & (best >= threshold) & (best > 0), nearest, index)
    if ignored is not None:
        index = torch.where(ignored, IGNORED, index)
    return Matches(index, overlap)


def _one_each(shared: Tensor) -> Tensor:
    """The greatest overlap of all makes a pair, then the greatest of the boxes and true ones that are left:
    a round a pair, of all groups at once. (…, P, G) to the true box of each box (…, P), or NONE.
    """
    groups = shared[None].flatten(0, -3).clone()
    truths = groups.shape[2]
    index = torch.full(groups.shape[:2], NONE, device=shared.device)
    every = torch.arange(len(groups), device=shared.device)
    for _ in range(min(groups.shape[1:])):
        best, place = groups.flatten(1).max(1)
        some = best > 0
        if not some.any():
            break
        box, truth = place // truths, place % truths
        index[every[some], box[some]] = truth[some]
        groups[every[some], box[some]] = 0
        groups[every[some], :, truth[some]] = 0
    return index.reshape(shared.shape[:-1])

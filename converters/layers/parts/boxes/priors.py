"""Boxes of SSD's line: priors, and locations coded by them (bbox_util.cpp)."""

from typing import NamedTuple

import torch
from torch import Tensor


class Priors(NamedTuple):
    """Boxes (…, P, 4) of corners as shares of the image, and the variance (P, 4) of each coordinate."""

    boxes: Tensor
    variance: Tensor


def priors_of(blob: Tensor) -> Priors:
    """A PriorBox layer's top (1, 2, 4P) taken apart."""
    rows = blob.detach().reshape(2, -1, 4)
    return Priors(rows[0], rows[1])


def _centres(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _sides(boxes: Tensor) -> Tensor:
    return boxes[..., 2:] - boxes[..., :2]


def decoded(location: Tensor, priors: Priors, code: str, in_target: bool) -> Tensor:
    """Locations (…, P, 4) as boxes of corners (…, P, 4), by a code_type's name (DecodeBBox). ``in_target``:
    the variance went into what the locations were trained on, so they are taken as they are.
    """
    boxes, steps = priors.boxes, location if in_target else priors.variance * location
    sides = _sides(boxes)
    if code == "CORNER":
        return boxes + steps
    if code == "CORNER_SIZE":
        return boxes + steps * torch.cat([sides, sides], -1)
    centre, half = steps[..., :2] * sides + _centres(boxes), steps[..., 2:].exp() * sides / 2
    return torch.cat([centre - half, centre + half], -1)


def encoded(truth: Tensor, priors: Priors, code: str) -> Tensor:
    """Boxes (…, 4) as locations of priors (…, 4) each, divided by the variance (EncodeBBox, with which
    EncodeLocPrediction divides where the variance is in the target).
    """
    boxes, sides = priors.boxes, _sides(priors.boxes)
    if code == "CORNER":
        steps = truth - boxes
    elif code == "CORNER_SIZE":
        steps = (truth - boxes) / torch.cat([sides, sides], -1)
    else:
        shift = (_centres(truth) - _centres(boxes)) / sides
        steps = torch.cat([shift, (_sides(truth) / sides).log()], -1)
    return steps / priors.variance

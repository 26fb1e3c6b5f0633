"""Which detections find a true box."""

from typing import NamedTuple

import torch
from torch import Tensor


class Found(NamedTuple):
    """Of each detection (D,): the true box that it overlaps most, whether it finds that, and whether it is
    the first to.
    """

    place: Tensor
    is_any: Tensor
    is_first: Tensor


def found_by(shared: Tensor, threshold: float) -> Found:
    """What detections find, in their order, by their overlaps with true boxes (D, R), R at least 1: one that
    is at least ``threshold``; below 0 where the two are not of one image and class.
    """
    best, place = shared.max(1)
    is_any = (best >= threshold) & (best >= 0)
    numbers = torch.where(is_any, place, shared.shape[1])
    order = torch.arange(len(numbers), device=numbers.device)
    first = torch.full((shared.shape[1] + 1,), len(numbers), device=numbers.device)
    first = first.scatter_reduce(0, numbers, order, "amin")
    return Found(place, is_any, is_any & (first[numbers] == order))

"""Rows of boxes: which place each has among its image's, some of them, and what stands where none is."""

import torch
from torch import Tensor


def places(image: Tensor) -> Tensor:
    """The place of each row among its image's, from 0, of rows image by image: (R,) to (R,)."""
    return torch.arange(len(image), device=image.device) - torch.searchsorted(image, image)


def ranks(image: Tensor, scores: Tensor) -> Tensor:
    """The place of each row among its image's by score, the greatest first, of equal ones the first: (R,) and
    (R,) to (R,).
    """
    order = scores.argsort(descending=True, stable=True)
    order = order[image[order].argsort(stable=True)]
    return torch.empty_like(order).scatter(0, order, places(image[order]))


def some(rows: Tensor, count: int | None) -> Tensor:
    """The numbers of rows (R,), or ``count`` of them where there are more, drawn by torch's default generator
    of the device; None: all.
    """
    if count is None or len(rows) <= count:
        return rows
    return rows[torch.randperm(len(rows), device=rows.device)[:count]]


def nothing_found(images: int, like: Tensor) -> Tensor:
    """A detector's rows where it finds nothing in any image: of each its number, and -1: (1, 1, N, 7)."""
    rows = like.new_full((images, 7), -1)
    rows[:, 0] = torch.arange(images, device=like.device)
    return rows[None, None]

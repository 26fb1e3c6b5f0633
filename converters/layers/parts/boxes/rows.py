"""Rows of several images: which place each has among its image's, and what stands where there are none."""

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


def nothing_found(images: int, like: Tensor) -> Tensor:
    """A detector's rows where it finds nothing in any image: of each its number, and -1: (1, 1, N, 7)."""
    rows = like.new_full((images, 7), -1)
    rows[:, 0] = torch.arange(images, device=like.device)
    return rows[None, None]

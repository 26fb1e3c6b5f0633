"""Boxes of corners, and which of them overlap better ones."""

import torch
from torch import Tensor


def box_areas(boxes: Tensor, plus: float = 0.0) -> Tensor:
    """Width times height, each with ``plus``, of corners (..., 4); 0 where crossed."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return torch.where(sides < 0, 0.0, sides + plus).prod(-1)


def suppress(
    boxes: Tensor,
    threshold: float,
    plus: float = 0.0,
    equal_goes: bool = False,
    eta: float = 1.0,
    areas: Tensor | None = None,
    most: int | None = None,
) -> Tensor:
    """The numbers of the boxes that stay, of corners (N, 4) that stand best first: one
    goes that overlaps one before it that stays by more than ``threshold`` (or by as
    much). ``eta`` shrinks a threshold above 0.5 after each that stays.
    """
    areas = box_areas(boxes, plus) if areas is None else areas
    worst = torch.zeros_like(areas)
    left = torch.ones_like(areas, dtype=torch.bool)
    chosen: list[Tensor] = []
    while most is None or len(chosen) < most:
        fits = left & (worst < threshold if equal_goes else worst <= threshold)
        if not fits.any():
            break
        best = fits.to(torch.uint8).argmax()
        chosen.append(best)
        left[: int(best) + 1] = False
        corner = torch.minimum(boxes[:, 2:], boxes[best, 2:])
        sides = corner - torch.maximum(boxes[:, :2], boxes[best, :2]) + plus
        shared = sides.clamp(min=0).prod(-1)
        overlaps = (shared / (areas + areas[best] - shared)).nan_to_num(0.0)
        worst = torch.maximum(worst, overlaps)
        threshold = threshold * eta if threshold > 0.5 else threshold
    numbers = torch.stack(chosen) if chosen else torch.zeros(0, dtype=torch.long)
    return numbers.to(boxes.device)


def nothing_found(images: int, like: Tensor) -> Tensor:
    """A detector's rows without detections: each image's number, and -1."""
    rows = like.new_full((1, 1, images, 7), -1)
    rows[..., 0] = torch.arange(images, device=like.device)
    return rows

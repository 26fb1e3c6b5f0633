"""YOLO's maps: a cell a pixel, some boxes a cell, and what each box's channels say."""

from typing import NamedTuple

import torch
from torch import Tensor


class Boxes(NamedTuple):
    """Middles and sides as shares of the image: each (N, H, W, B), which is also YOLO's order of boxes."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor

    def flat(self) -> Tensor:
        """(N·H·W·B, 4), x, y, width and height."""
        return torch.stack(list(self), -1).reshape(-1, 4)


def by_cell(x: Tensor, boxes: int) -> Tensor:
    """(N, boxes·V, H, W) to (N, H, W, boxes, V)."""
    count, channels, height, width = x.shape
    return x.reshape(count, boxes, channels // boxes, height, width).permute(0, 3, 4, 1, 2)


def decoded(cells: Tensor, sides: Tensor) -> Boxes:
    """The boxes of (N, H, W, B, V), of which the first four values are the place of the middle in its cell
    and the logarithms of the sides in units of ``sides`` (B, 2), shares of the image.
    """
    height, width = cells.shape[1:3]
    columns = torch.arange(width, device=cells.device)[:, None]
    rows = torch.arange(height, device=cells.device)[:, None, None]
    grown = cells[..., 2:4].exp() * sides
    return Boxes(
        (columns + cells[..., 0]) / width, (rows + cells[..., 1]) / height, grown[..., 0], grown[..., 1]
    )


def corners(boxes: Tensor) -> Tensor:
    """(…, 4) of middles and sides to left, top, right and bottom."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)

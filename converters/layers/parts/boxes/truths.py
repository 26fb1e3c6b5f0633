"""The labels of YOLO's losses, and the cells that they fall into."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.layers.parts.boxes.box_overlap import overlap
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

COUNT = 300  # rows of label, x, y, width and height an image; what comes behind one of zeros does not count


class Truths(NamedTuple):
    """Of every image's truths the boxes (N, T, 4), of middles and sides as shares of the image, the classes,
    the columns and rows of their cells, and which there are: the rest (N, T).
    """

    boxes: Tensor
    label: Tensor
    column: Tensor
    row: Tensor
    is_there: Tensor


class TruthReader:
    """Reads a label blob. Raises InputError for a class, or a middle, that no cell has."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        if bottoms[1].numel() != bottoms[0][0] * COUNT * 5:
            reason = f"takes {COUNT} rows of 5 numbers an image as labels, not {tuple(bottoms[1])}"
            raise InputError(reason, message.name)
        self.label, self.place = Index(message, "label", bottom=1), Index(message, "cell", bottom=1)

    def __call__(self, labels: Tensor, classes: int, height: int, width: int) -> Truths:
        """(N, 300·5) as truths; where values may be looked at only as many as the fullest image has."""
        rows = labels.detach().reshape(len(labels), COUNT, 5)
        is_there = (rows[..., 3] != 0).cumprod(1).bool()
        if not torch.compiler.is_compiling() and not rows.is_meta:
            most = max(1, int(is_there.any(0).sum()))
            rows, is_there = rows[:, :most], is_there[:, :most]
        here = rows * is_there[..., None]
        column, row = self.place(here[..., 1] * width, width), self.place(here[..., 2] * height, height)
        return Truths(rows[..., 1:], self.label(here[..., 0], classes), column, row, is_there)


def drawn_labels(labels: torch.Size, classes: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Labels for a net that is tried without its data: one truth an image, of any class, then zeros."""
    truth = [random.integers(0, max(classes, 1)), *random.uniform(0.3, 0.7, 2), *random.uniform(0.1, 0.5, 2)]
    rows = np.zeros((labels[0], COUNT, 5))
    rows[:, 0] = truth
    return rows.reshape(labels)


def best_overlap(boxes: Tensor, truths: Truths, how: Callable[[Tensor, Tensor], Tensor] = overlap) -> Tensor:
    """The greatest overlap of each box (N, …, 4) with a truth before the first without an x: (N, …)."""
    flat = boxes.flatten(1, -2).unsqueeze(2)
    is_seen = (truths.boxes[..., 0] != 0).cumprod(1).bool() & truths.is_there
    found = how(flat, truths.boxes[:, None])
    return torch.where(is_seen[:, None], found, 0.0).amax(-1).reshape(boxes.shape[:-1])


def last_in_cell(cell: Tensor, is_hit: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Of truths (N, T, …) that hit cells, numbers below ``cells``, which are the last there; and which cells
    are hit (cells,).
    """
    turn = _turns(cell)
    last = _by_cell(cell, is_hit, turn, torch.full((cells + 1,), -1, device=cell.device), "amax")
    return is_hit & (last[cell] == turn), last[:cells] >= 0


def first_in_cell(cell: Tensor, is_hit: Tensor, cells: int) -> Tensor:
    """Of truths (N, T, …) that hit cells, numbers below ``cells``, which are the first there."""
    turn = _turns(cell)
    none = torch.full((cells + 1,), cell.shape[1], device=cell.device)
    return is_hit & (_by_cell(cell, is_hit, turn, none, "amin")[cell] == turn)


def _turns(cell: Tensor) -> Tensor:
    turn = torch.arange(cell.shape[1], device=cell.device)
    return turn.reshape(1, -1, *(1,) * (cell.dim() - 2)).expand_as(cell)


def _by_cell(cell: Tensor, is_hit: Tensor, turn: Tensor, none: Tensor, which: str) -> Tensor:
    """The least or the greatest turn of each cell; what does not hit goes behind the last of ``none``."""
    at = torch.where(is_hit, cell, len(none) - 1).flatten()
    return none.scatter_reduce(0, at, turn.flatten(), which)

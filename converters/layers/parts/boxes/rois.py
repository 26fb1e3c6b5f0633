"""Regions of interest, rows of (image, x1, y1, x2, y2), as R-CNN's layers read them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.parts.indexing import Index
from converters.layers.registry import Shapes
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


def check_rois(message: LayerParameter, bottoms: Shapes) -> None:
    """Raise InputError unless the bottoms are (N, C, H, W) and rois of 5 values, (R, 5, …)."""
    if len(bottoms[0]) != 4:
        raise InputError(f"pools (N, C, H, W), not {len(bottoms[0])} axes", message.name)
    check_rows(message, "rois", bottoms[1], 5)


def check_rows(message: LayerParameter, what: str, shape: torch.Size, width: int) -> None:
    """Raise InputError unless a bottom has rows of so many values, (R, width, …)."""
    if not shape or shape.numel() != width * shape[0]:
        raise InputError(f"takes {what} of {width} values, not {tuple(shape)}", message.name)


def round_half_away(x: Tensor) -> Tensor:
    """C's round: to the nearest whole number, halves away from zero; float64."""
    x = x.double()
    return x.sign() * (x.abs() + 0.5).floor()


class Images:
    """The image that each roi names, checked against how many there are."""

    def __init__(self, message: LayerParameter) -> None:
        self.index = Index(message, "image", bottom=1)

    def __call__(self, rois: Tensor, x: Tensor) -> Tensor:
        """(R,) whole numbers of (R, 5). Raises InputError for one that ``x`` (N, …) does not have."""
        return self.index(rois[:, 0], x.shape[0])


def drawn_rois(module: Layer, bottoms: Shapes, random: np.random.Generator) -> NDArray[Any]:
    """Rois of the first image, some of whose corners lie outside: (R, 5)."""
    count, (height, width) = bottoms[1][0], bottoms[0][2:4]
    size = np.array([width, height]) / module.spec.spatial_scale
    first, last = random.uniform(-0.1, 0.9, (count, 2)), random.uniform(0.1, 1.1, (count, 2))
    return np.hstack([np.zeros((count, 1)), first * size, np.maximum(first, last) * size])


def drawn_rois_alone(module: Layer, bottoms: Shapes, random: np.random.Generator) -> NDArray[Any]:
    """Rois of the first image, of a layer that reads no map: (R, 5)."""
    return np.hstack([np.zeros((bottoms[0][0], 1)), _corners(bottoms[0][0], random)])


def drawn_truths(module: Layer, bottoms: Shapes, random: np.random.Generator) -> NDArray[Any]:
    """True boxes of the first image, of label 1, none to be ignored: (G, 7)."""
    count = bottoms[1][0]
    corners, ends = _corners(count, random), [np.ones((count, 1)), np.zeros((count, 1))]
    return np.hstack([np.zeros((count, 1)), corners, *ends])


def _corners(count: int, random: np.random.Generator) -> NDArray[Any]:
    first = random.uniform(0, 100, (count, 2))
    return np.hstack([first, first + random.uniform(20, 100, (count, 2))])

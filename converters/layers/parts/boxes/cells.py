"""YOLO's maps: a cell a pixel, some boxes a cell, and what each box's channels say."""

import torch
from torch import Tensor

from converters.layers.registry import Shapes
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


def check_maps(message: LayerParameter, maps: Shapes, boxes: int, classes: int) -> None:
    """Raise InputError unless ``maps`` are (N, boxes·(5 + classes), H, W), of a box and a class at least."""
    channels = boxes * (5 + classes)
    if not (boxes and classes):
        raise InputError("takes maps of one box and one class at least", message.name)
    for shape in maps:
        if len(shape) != 4 or shape[1] != channels:
            raise InputError(f"takes maps of {channels} channels, not {tuple(shape)}", message.name)


def by_cell(x: Tensor, boxes: int) -> Tensor:
    """(N, boxes·V, H, W) to (N, H, W, boxes, V)."""
    count, channels, height, width = x.shape
    return x.reshape(count, boxes, channels // boxes, height, width).permute(0, 3, 4, 1, 2)


def placed(cells: Tensor) -> Tensor:
    """Of (…, V) the middle's place in its cell, by a sigmoid, and the logarithms of the sides: (…, 4)."""
    return torch.cat([cells[..., :2].sigmoid(), cells[..., 2:4]], -1)


def decoded(places: Tensor, sides: Tensor) -> Tensor:
    """Boxes of middles and sides as shares of the image, (N, H, W, B, 4), of what :func:`placed` tells as
    many; logarithms are of units of ``sides`` (B, 2), shares of the image.
    """
    height, width = places.shape[1:3]
    columns = torch.arange(width, device=places.device)[:, None]
    rows = torch.arange(height, device=places.device)[:, None, None]
    middles = [(columns + places[..., 0]) / width, (rows + places[..., 1]) / height]
    return torch.cat([torch.stack(middles, -1), places[..., 2:].exp() * sides], -1)


def corners(boxes: Tensor) -> Tensor:
    """(…, 4) of middles and sides to left, top, right and bottom."""
    half = boxes[..., 2:] / 2
    return torch.cat([boxes[..., :2] - half, boxes[..., :2] + half], -1)

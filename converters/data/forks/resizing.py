"""SSD's ``resize_param``: images, and the boxes of what is in them (im_transforms.cpp, bbox_util.cpp)."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.data.forks.boxes import Boxes
from converters.data.forks.cropping import resizable
from prototxt.caffe_pb2 import ResizeParameter
from prototxt.errors import InputError

Array = NDArray[Any]
Size = tuple[int, int]  # height and width

_WAYS = {
    ResizeParameter.LINEAR: cv2.INTER_LINEAR,
    ResizeParameter.AREA: cv2.INTER_AREA,
    ResizeParameter.NEAREST: cv2.INTER_NEAREST,
    ResizeParameter.CUBIC: cv2.INTER_CUBIC,
    ResizeParameter.LANCZOS4: cv2.INTER_LANCZOS4,
}
_EDGES = {
    ResizeParameter.CONSTANT: cv2.BORDER_CONSTANT,
    ResizeParameter.MIRRORED: cv2.BORDER_REFLECT_101,
    ResizeParameter.REPEAT_NEAREST: cv2.BORDER_REPLICATE,
}


def resized(image: Array, param: ResizeParameter, drawn: np.random.Generator) -> Array:
    """An image in the new size, by one of the interpolations listed, each as likely. WARP takes no account of
    its shape; FIT_LARGE_SIZE_AND_PAD fits it in and pads both sides, FIT_SMALL_SIZE covers the new size.
    """
    ways = list(param.interp_mode)
    way = _WAYS[ways[drawn.integers(len(ways))]] if ways else cv2.INTER_LINEAR
    height, width = fitted(param, (image.shape[0], image.shape[1]))
    with resizable(f"to {height}×{width}"):
        scaled = cv2.resize(image, (width, height), interpolation=way)
    if param.resize_mode == ResizeParameter.FIT_LARGE_SIZE_AND_PAD:
        scaled = _padded(scaled, param, image.shape[2])
    return scaled.reshape(scaled.shape[0], scaled.shape[1], image.shape[2])


def fitted(param: ResizeParameter, size: Size) -> Size:
    """What an image of ``size`` is resized to, before any padding: the side that follows is cut to pixels."""
    if param.resize_mode == ResizeParameter.WARP:
        return param.height, param.width
    aspect, new_aspect = _aspect(size), np.float32(param.width) / np.float32(param.height)
    is_padded = param.resize_mode == ResizeParameter.FIT_LARGE_SIZE_AND_PAD
    if aspect > new_aspect if is_padded else aspect < new_aspect:
        return int(np.float32(param.width) / aspect), param.width
    return param.height, int(aspect * np.float32(param.height))


def _aspect(size: Size) -> np.float32:
    return np.float32(np.float32(size[1]) / np.float32(size[0]))


def _padded(image: Array, param: ResizeParameter, channels: int) -> Array:
    """In the middle of the new size; of an odd number of rows or columns the greater half comes after."""
    values = list(param.pad_value) or [0]
    if len(values) not in (1, channels):
        raise InputError(f"{len(values)} pad_value entries for {channels} channels")
    above, left = (
        (side - had) // 2 for side, had in zip((param.height, param.width), image.shape[:2], strict=True)
    )
    below, right = param.height - image.shape[0] - above, param.width - image.shape[1] - left
    colour = values * channels if len(values) == 1 else values
    edge = _EDGES[param.pad_mode]
    return cv2.copyMakeBorder(image, above, below, left, right, edge, value=colour)


def resized_boxes(boxes: Boxes, param: ResizeParameter, size: Size) -> Boxes:
    """Where the boxes of an image of ``size`` lie in the resized one. Of one that is padded at its sides SSD
    works out another place than the pixels' (UpdateBBoxByResizePolicy), and so it is here.
    """
    old, new = _sides(size), _sides((param.height, param.width))
    if param.resize_mode == ResizeParameter.FIT_LARGE_SIZE_AND_PAD:
        return _padded_boxes(boxes, old, new)
    if param.resize_mode == ResizeParameter.FIT_SMALL_SIZE:
        new = _covering(old, new)
    old, new = np.tile(old, 2), np.tile(new, 2)
    moved: Boxes = (np.clip(boxes * old * new / old, np.float32(0), new) / new).astype(np.float32)
    return moved


def _sides(size: Size) -> Array:
    """Width and height."""
    return np.array([size[1], size[0]], np.float32)


def _covering(old: Array, new: Array) -> Array:
    aspect = old[0] / old[1]
    if aspect < new[0] / new[1]:
        return np.array([new[0], new[0] / aspect], np.float32)
    return np.array([aspect * new[1], new[1]], np.float32)


def _padded_boxes(boxes: Boxes, old: Array, new: Array) -> Boxes:
    aspect = old[0] / old[1]
    if aspect > new[0] / new[1]:
        padding = np.array([0, (new[1] - new[0] / aspect) / 2], np.float32)
    else:
        padding = np.array([new[0] - aspect * new[1] / 2, 0], np.float32)
    inner = boxes * np.tile(old, 2) * np.tile(new - 2 * padding, 2) / np.tile(old, 2)
    low = padding + np.maximum(inner[:, :2], np.float32(0))
    high = padding + np.minimum(inner[:, 2:], new)
    placed: Boxes = (np.concatenate([low, high], 1) / np.tile(new, 2)).astype(np.float32)
    return placed


def extrapolated(boxes: Boxes, param: ResizeParameter, size: Size, crop: Boxes) -> Boxes:
    """Boxes within the part ``crop`` as shares of height_scale × width_scale pixels, where FIT_SMALL_SIZE
    gives them. Raises InputError where the part is smaller than that.
    """
    scale = _sides((param.height_scale, param.width_scale))
    if param.resize_mode != ResizeParameter.FIT_SMALL_SIZE or not all(scale):
        return boxes
    pixels = _covering(_sides(size), _sides((param.height, param.width))) * (crop[2:] - crop[:2])
    if (pixels < scale).any():
        raise InputError("the crop is smaller than height_scale × width_scale")
    larger: Boxes = (boxes * np.tile(pixels / scale, 2)).astype(np.float32)
    return larger

"""An image with its objects, as SSD's AnnotatedData changes both (data_transformer.cpp)."""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.data.forks.annotations import Objects, placed, within
from converters.data.forks.boxes import Boxes, clipped
from converters.data.forks.colours import distorted, noised, through_jpeg
from converters.data.forks.cropping import crop_corner
from converters.data.forks.resizing import fitted, resized
from converters.data.forks.sampling import sampled
from converters.data.images.transform import means
from converters.layers.parts.fed import cropped
from prototxt.caffe_pb2 import LayerParameter, TransformationParameter
from prototxt.errors import InputError

Array = NDArray[Any]
Drawn = np.random.Generator
_BLANK = 32  # what SSD puts around a raw image: a blank


@dataclass(frozen=True)
class Picture:
    """An image, (height, width, channels) uint8, and its objects. One that ``is_encoded`` was a JPEG or PNG
    in its record, and SSD makes a JPEG of it anew after each change, which costs it some of its detail.
    """

    image: Array
    objects: Objects
    is_encoded: bool

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]


def varied(picture: Picture, layer: LayerParameter, drawn: Drawn) -> Picture:
    """Distorted, expanded, and one of the parts that the samplers choose cut out, in TEST as in TRAIN, where
    the layer says so (AnnotatedDataLayer::load_batch). Raw images are not distorted.
    """
    param = layer.transform_param
    if param.HasField("distort_param") and picture.is_encoded:
        picture = _recoded(picture, distorted(picture.image, param.distort_param, drawn), param)
    picture = _expanded(picture, layer, drawn)
    parts = sampled(layer.annotated_data_param.batch_sampler, picture.objects.boxes, drawn)
    return _cut(picture, parts[drawn.integers(len(parts))], param) if len(parts) else picture


def _recoded(picture: Picture, image: Array, param: TransformationParameter) -> Picture:
    """The picture with another image, which goes through a JPEG where it came from one."""
    if not picture.is_encoded:
        return replace(picture, image=image)
    flag = cv2.IMREAD_COLOR if param.force_color else cv2.IMREAD_UNCHANGED
    flag = cv2.IMREAD_GRAYSCALE if param.force_gray else flag
    return replace(picture, image=through_jpeg(image, flag).reshape(image.shape[0], image.shape[1], -1))


def _expanded(picture: Picture, layer: LayerParameter, drawn: Drawn) -> Picture:
    """By its probability, the picture somewhere in a larger one, up to ``max_expand_ratio`` times as large,
    that has the mean's colour.
    """
    param, expand = layer.transform_param, layer.transform_param.expand_param
    if not param.HasField("expand_param") or drawn.random() > expand.prob:
        return picture
    if abs(expand.max_expand_ratio - 1) < 1e-2:
        return picture
    ratio = np.float32(drawn.uniform(1, expand.max_expand_ratio))
    height, width = (int(np.float32(side) * ratio) for side in picture.size)
    row, column = (
        int(drawn.uniform(0, after - before))
        for after, before in zip((height, width), picture.size, strict=True)
    )
    image = np.empty((height, width, picture.image.shape[2]), np.uint8)
    image[:] = _ground(picture, layer)
    image[row : row + picture.size[0], column : column + picture.size[1]] = picture.image
    corner, sides = np.array([column, row], np.float32), np.array(picture.size[::-1], np.float32)
    part = np.concatenate([-corner / sides, (np.array([width, height], np.float32) - corner) / sides])
    return replace(_recoded(picture, image, param), objects=within(picture.objects, part, param))


def _ground(picture: Picture, layer: LayerParameter) -> Array | int:
    """The colour around an expanded picture: a value a channel, or one of all."""
    if not picture.is_encoded:
        return _BLANK
    each = means(layer, picture.image.shape[2])
    return 0 if each is None else np.clip(np.rint(each), 0, 255).astype(np.uint8)


def _cut(picture: Picture, part: Boxes, param: TransformationParameter) -> Picture:
    """A part of the picture: its corner and its sides are cut to pixels."""
    part = clipped(part)
    sides = np.tile(np.array(picture.size[::-1], np.float32), 2)
    left, top, right, bottom = part * sides
    width, height = int(right - left), int(bottom - top)
    if min(width, height) < 1:
        raise InputError("the part chosen has no pixel")
    image = picture.image[int(top) : int(top) + height, int(left) : int(left) + width]
    return replace(_recoded(picture, image, param), objects=within(picture.objects, part, param))


def served(picture: Picture, layer: LayerParameter, is_random: bool, drawn: Drawn) -> tuple[Array, Objects]:
    """The image resized, with noise, cropped (at random, or in the middle) and mirrored, (height, width,
    channels), and its objects in it (DataTransformer::Transform).
    """
    param, image = layer.transform_param, picture.image
    is_mirrored = param.mirror and bool(drawn.random() < 0.5)
    if param.resize_param and picture.is_encoded:
        image = resized(image, param.resize_param[0], drawn)
    elif param.resize_param and fitted(param.resize_param[0], picture.size) != picture.size:
        raise InputError("holds a raw image, which resize_param does not resize, of another size")
    if param.HasField("noise_param") and picture.is_encoded:
        image = noised(image, param.noise_param, drawn)
    row, column, size = _crop(layer, image.shape[:2], drawn if is_random else None)
    part = np.array([column, row, column + size[1], row + size[0]], np.float32)
    part /= np.tile(np.array([image.shape[1], image.shape[0]], np.float32), 2)
    objects = placed(picture.objects, part, param, picture.size, is_mirrored)
    image = image[row : row + size[0], column : column + size[1]]
    return image[:, ::-1] if is_mirrored else image, objects


def _crop(
    layer: LayerParameter, size: tuple[int, ...], drawn: Drawn | None
) -> tuple[int, int, tuple[int, ...]]:
    """Row, column and size of the crop; all of the image where none is said."""
    crop = cropped(layer)
    if crop is None:
        return 0, 0, size
    return *crop_corner(size, crop, drawn), crop

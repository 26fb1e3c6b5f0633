"""How examples/cpp_classification/classification.cpp reads a picture (main, Classifier::Preprocess)."""

from pathlib import Path
from typing import Any

import numpy as np

from converters.data.images.lists import image_bytes, read_image
from prototxt.errors import InputError
from zoo.preparation import Preparation

Array = np.ndarray[Any, np.dtype[Any]]


def picture_of(preparation: Preparation, path: Path, by_layer: bool) -> Array:
    """The pixels as the net's data layer reads them (``by_layer``), or else :func:`read_picture`."""
    param = preparation.layer.image_data_param
    if by_layer:
        return read_image(path, param)
    return read_picture(path, preparation.shape[0], (param.new_height, param.new_width))


def read_picture(path: Path, channels: int, size: tuple[int, int] | None = None) -> Array:
    """(height, width, channels) of a file that is decoded as it is: grey made BGR or BGR grey, where the net
    has the other, and an alpha channel dropped; then all of it resized to ``size`` (height, width), if given.
    uint8, or float32 of a file with more bits.

    Raises InputError for a file that is missing or no image.
    """
    import cv2

    image = _converted(_decoded(path), channels, path)
    if size is not None and image.shape[:2] != size:
        image = cv2.resize(image, (size[1], size[0]))
    image = image.reshape(*image.shape[:2], channels)
    return image if image.dtype == np.uint8 else image.astype(np.float32)


def _decoded(path: Path) -> Array:
    import cv2

    data = image_bytes(path)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    except cv2.error as error:
        raise InputError(f"image {path} cannot be decoded ({' '.join(str(error.err).split())})") from None
    if image is None:
        raise InputError(f"image {path} cannot be decoded")
    return image


def _converted(image: Array, channels: int, path: Path) -> Array:
    import cv2

    has = image.shape[2] if image.ndim == 3 else 1
    codes = {
        (3, 1): cv2.COLOR_BGR2GRAY,
        (4, 1): cv2.COLOR_BGRA2GRAY,
        (4, 3): cv2.COLOR_BGRA2BGR,
        (1, 3): cv2.COLOR_GRAY2BGR,
    }
    if has == channels:
        return image
    if (has, channels) not in codes:
        raise InputError(f"image {path} has {has} channels")
    return cv2.cvtColor(image, codes[has, channels])

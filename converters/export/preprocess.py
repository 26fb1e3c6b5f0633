"""What a net's pictures go through before its first layer, put into the file itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.data.images.transform import open_mean
from converters.export.metadata import COLOURS, Transform, image_input, with_mean
from converters.graph import Value
from converters.network import Network
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Preprocess:
    """Of the input ``value``: pixels from 0 to 255 in RGB (or grey) become what the net takes, (BGR - mean)
    · scale (data_transformer.cpp). ``mean`` is a number a channel, (C, 1, 1), or an image of the input's
    size (C, H, W), None where nothing is subtracted; ``is_swapped`` is whether RGB becomes BGR.
    """

    value: Value
    mean: Array | None = None
    scale: float = 1.0
    is_swapped: bool = True

    def __call__(self, pixels: Array) -> Array:
        """(N, C, H, W) to the same."""
        image = pixels[:, ::-1] if self.is_swapped else pixels
        image = image if self.mean is None else image - self.mean
        scaled: Array = np.ascontiguousarray(image * np.float32(self.scale), np.float32)
        return scaled


def preprocess_of(net: Network, told: Transform, is_any_size: bool = False) -> Preprocess:
    """What the net's data layer does to its pictures, or what ``told`` says instead. ``is_any_size``: a mean
    image counts as a number a channel.

    Raises InputError where no input is a picture, and for a mean that cannot be read or does not fit.
    """
    served = image_input(net)
    if served is None or len(served[2]) != 4 or served[2][1] not in COLOURS:
        raise InputError("the net has no input that is a picture, so that there is nothing to preprocess")
    layer, value, shape = served
    numbers = _mean(with_mean(told.mean) if told.mean else layer, shape, told.places)
    if numbers is not None and is_any_size:
        numbers = _per_channel(numbers)
    scale = layer.transform_param.scale if told.scale is None else told.scale
    return Preprocess(value, numbers, scale, shape[1] == 3 and told.order == COLOURS[3])


def _mean(layer: LayerParameter, shape: tuple[int, ...], places: Sequence[Path]) -> Array | None:
    """(C, 1, 1), or the middle of the mean image, which a crop in TEST has (data_transformer.cpp)."""
    image = open_mean(layer, places)
    if image is not None:
        return _middle(layer, image.numpy().transpose(2, 0, 1), shape)
    values = np.array(layer.transform_param.mean_value, np.float32)
    if not len(values):
        return None
    if len(values) not in (1, shape[1]):
        raise InputError(f"{len(values)} mean_value for {shape[1]} channels", layer.name)
    return np.broadcast_to(values, shape[1]).reshape(-1, 1, 1)


def _middle(layer: LayerParameter, image: Array, shape: tuple[int, ...]) -> Array:
    channels, height, width = shape[1:]
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    if image.shape[0] != channels:
        raise InputError(f"the mean image has {image.shape[0]} channels, the input {channels}", layer.name)
    if min(top, left) < 0:  # as pycaffe's Transformer takes the mean of a smaller image
        return _per_channel(image)
    return np.asarray(image[:, top : top + height, left : left + width])


def _per_channel(image: Array) -> Array:
    return np.asarray(image.mean((1, 2), keepdims=True))

"""What is served of images that are each treated by themselves: varied, or of sizes of their own."""

from collections.abc import Callable
from concurrent.futures import Executor
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from converters.data.images.transform import check, means, mirrors
from converters.host.machine import cores
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Array = NDArray[Any]
Size = tuple[int, int]  # height and width
_MOST = 4  # channels of which OpenCV subtracts a number each


class Cutter:
    """Serves images one by one as :func:`transform` serves many of one size at once. Without crop_size it
    takes the top left corner of an image that is too large.

    What the layer says is read once: for a small image that would take longer than the image does.
    """

    def __init__(self, layer: LayerParameter, train: bool, mean: Tensor | None = None) -> None:
        param = layer.transform_param
        self.layer, self.train = layer, train
        self.mean = None if mean is None else mean.numpy()
        self.crop, self.scale = param.crop_size, param.scale
        self.mirrors = mirrors(layer, train)
        self._amounts = cache(self._read_amounts)

    def size(self, first: tuple[int, ...]) -> Size:
        """What is served of a batch whose first image was read as (height, width, …)."""
        return (self.crop, self.crop) if self.crop else (first[0], first[1])

    def cut(self, image: Array, drawn: Array, size: Size) -> tuple[Array, Array | None]:
        """A part of ``size`` of an image, (height, width, channels), and of the mean image the same: where,
        and whether mirrored, say the numbers ``drawn``, a row of :func:`draw`'s.

        Raises InputError for an image that is smaller, and for a mean image of another size.
        """
        if self.mean is not None or image.shape[0] < size[0] or image.shape[1] < size[1]:
            self._check(image.shape, size)
        row, column = (self._first(image.shape[axis] - size[axis], drawn[axis]) for axis in (0, 1))
        part = np.s_[row : row + size[0], column : column + size[1]]
        mean = None if self.mean is None else self.mean[part]
        if not (self.mirrors and drawn[2] < 0.5):
            return image[part], mean
        return _mirrored(image[part]), None if mean is None else _mirrored(mean)

    def _first(self, spare: int, drawn: float) -> int:
        if not self.crop:
            return 0
        return int(drawn * (spare + 1)) if self.train else spare // 2

    def serve(self, image: Array, drawn: Array, into: NDArray[np.float32]) -> None:
        """:meth:`cut`, less the mean and scaled, put ``into`` an array of its size."""
        part, mean = self.cut(image, drawn, (into.shape[0], into.shape[1]))
        if mean is not None:
            np.subtract(part, mean, out=into)
        elif (amounts := self._amounts(part.shape[2])) is None:
            into[:] = part
        elif part.shape[2] > _MOST:
            np.subtract(part, amounts.astype(np.float32), out=into)
        else:
            cv2.subtract(part, amounts, into, dtype=cv2.CV_32F)  # numpy takes ten times as long
        if self.scale != 1:
            into *= np.float32(self.scale)

    def _read_amounts(self, channels: int) -> Array | None:
        """mean_value by channel, (1, channels); None where none is said. OpenCV takes what has one axis for
        the pixels of a grey image of 4×1.
        """
        each = means(self.layer, channels)
        return None if each is None else each.astype(np.float64)[None]

    def _check(self, shape: tuple[int, ...], size: Size) -> None:
        mean = None if self.mean is None else torch.from_numpy(self.mean)
        check(self.layer, shape[0], shape[1], shape[2], mean)
        if shape[0] < size[0] or shape[1] < size[1]:
            first = f"{size[0]}×{size[1]}"
            raise InputError(f"is {shape[0]}×{shape[1]}, the first of its batch {first}", self.layer.name)


def _mirrored(image: Array) -> Array:
    flipped: Array = cv2.flip(image, 1).reshape(image.shape)  # numpy takes ten times as long
    return flipped


def in_threads(pool: Executor, work: Callable[[int], None], count: int) -> None:
    """``work`` of every number below ``count``, in as many threads as there are cores. Of several errors the
    one of the least number is raised.
    """
    places = iter(range(count))  # threads may share it: taking the next is one step
    failed: dict[int, InputError] = {}

    def go_on(_: int) -> None:
        for place in places:
            try:
                work(place)
            except InputError as error:
                failed[place] = error
                return

    list(pool.map(go_on, range(min(cores(), count))))
    if failed:
        raise failed[min(failed)]

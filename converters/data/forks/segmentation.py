"""ImageSegData of DeepLab and of PSPNet, and SegNet's DenseImageData
(image_seg_data_layer.cpp, dense_image_data_layer.cpp, data_transformer.cpp)."""

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.data.forks.cropping import crop_corner, resizable
from converters.data.forks.pairs import Pair, PairEntry, PairSource, Varied
from converters.data.images.transform import means
from converters.data.source import SourceOptions
from converters.layers.parts.fed import cropped
from prototxt.caffe_pb2 import ImageDataParameter, LayerParameter
from prototxt.errors import InputError

Array = NDArray[Any]
Size = tuple[int, int]
Two = tuple[Array, Array]


class DeepLabSource(PairSource):
    """Image and label map resized by one of ``scale_factors``, padded below and on the right to the crop with
    the mean and ``ignore_label``, cropped at random in TRAIN and in the middle in TEST, and mirrored in both.

    The labels of an image may be one number for all pixels (IMAGE) or none, all of them ``ignore_label``
    (NONE). With a new size label maps are interpolated as images are: classes are blended, as in DeepLab.
    """

    resize_labels = cv2.INTER_LINEAR

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        param, transform = layer.image_data_param, layer.transform_param
        if transform.mean_file:
            raise InputError(f"{layer.type} takes no mean_file", layer.name)
        if not all(0 < factor < np.inf for factor in transform.scale_factors):
            raise InputError("scale_factors are above 0", layer.name)
        self.crop = cropped(layer)
        others = (transform.crop_h, transform.crop_w, transform.crop_height, transform.crop_width)
        if any(others) and (transform.crop_size or not self.crop):
            raise InputError("crops by crop_size, or by a height and a width", layer.name)
        super().__init__(layer, options, param, param.label_type != ImageDataParameter.NONE)

    def label_map(self, entry: PairEntry, size: Size) -> Array:
        """As ``label_type`` says; where it says nothing, a whole number is of all pixels and another word a
        file (forks differ in what is meant then).
        """
        param = self.layer.image_data_param
        kind, is_number = param.label_type, re.fullmatch(r"[+-]?[0-9]+", entry.label)
        if not param.HasField("label_type"):
            kind = ImageDataParameter.IMAGE if is_number else ImageDataParameter.PIXEL
        if kind == ImageDataParameter.PIXEL:
            return super().label_map(entry, size)
        if kind == ImageDataParameter.IMAGE and not is_number:
            raise InputError(f'"{entry.label}" is no whole number')
        value = int(entry.label) if kind == ImageDataParameter.IMAGE else param.ignore_label
        return np.full(size, _byte(value), np.uint8)

    def varied(self, pair: Pair, drawn: np.random.Generator) -> Varied:
        """Resized, padded, cropped and mirrored."""
        is_mirrored = self.layer.transform_param.mirror and drawn.random() < 0.5
        image, labels = self.resized(pair.image, pair.labels, drawn)
        image = self.blurred(image.reshape(*labels.shape, -1).astype(np.float64), drawn)
        if self.crop:
            image, labels = self._padded(image, labels)
            image, labels = _crop((image, labels), self.crop, drawn if self.options.train else None)
        if is_mirrored:
            image, labels = image[:, ::-1], labels[:, ::-1]
        return Varied(pair.name, image, labels, (pair.image.shape[0], pair.image.shape[1]))

    def resized(self, image: Array, labels: Array, drawn: np.random.Generator) -> Two:
        """By one of the factors, each as likely: the sides are cut to whole pixels."""
        factors = self.layer.transform_param.scale_factors
        factor = np.float32(factors[drawn.integers(len(factors))]) if factors else np.float32(1)
        height, width = (int(np.float32(side) * factor) for side in labels.shape)
        if factor == 1 or not (height and width):
            return image, labels
        with resizable(f"to {height}×{width}"):
            return _resized(image, labels, (width, height))

    def blurred(self, image: Array, drawn: np.random.Generator) -> Array:
        """As it is: PSPNet blurs."""
        return image

    def _padded(self, image: Array, labels: Array) -> Two:
        """As large as the crop. Raises InputError where that takes a mean and there is none."""
        assert self.crop
        missing = [max(side - had, 0) for side, had in zip(self.crop, labels.shape, strict=True)]
        if not any(missing):
            return image, labels
        each = means(self.layer, image.shape[2])
        if each is None:
            raise InputError("an image smaller than the crop is padded with mean_value, and none is said")
        sides = [self.before(length) for length in missing]
        around = [(before, length - before) for before, length in zip(sides, missing, strict=True)]
        padded = np.stack(
            [np.pad(image[:, :, c], around, constant_values=mean) for c, mean in enumerate(each)], 2
        )
        return padded, np.pad(labels, around, constant_values=_byte(self.layer.image_data_param.ignore_label))

    def before(self, length: int) -> int:
        """How many of ``length`` rows or columns of padding stand before the image."""
        return 0


class PspSource(DeepLabSource):
    """As DeepLab's, but resized by ``rand_resize`` and ``rand_aspect_ratio``, blurred, padded on all sides,
    and label maps take the nearest pixel's class in a new size.
    """

    resize_labels = cv2.INTER_NEAREST

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        param = layer.image_data_param
        if {param.new_height, param.new_width} & {1, 2}:  # the shorter or longer side alone, in that fork
            raise InputError(
                "a new_height or new_width of 1 or 2 means a side's length, not done here", layer.name
            )
        for name in ("rand_resize", "rand_aspect_ratio"):
            bounds = getattr(layer.transform_param, name)
            if bounds and not (len(bounds) == 2 and 0 < bounds[0] < bounds[1] < np.inf):
                raise InputError(f"{name} takes two numbers, the smaller first, above 0", layer.name)
        super().__init__(layer, options)

    def resized(self, image: Array, labels: Array, drawn: np.random.Generator) -> Two:
        """By a factor between the bounds in a hundred steps; every other time in another shape, too."""
        param = self.layer.transform_param
        if not param.rand_resize:
            return image, labels
        factor, ratio = _step(param.rand_resize, drawn), np.float32(1)
        if param.rand_aspect_ratio and drawn.random() < 0.5:
            ratio = np.sqrt(_step(param.rand_aspect_ratio, drawn))
        fx, fy = float(factor * ratio), float(factor / ratio)
        with resizable(f"by {fy:g}×{fx:g}"):
            return _resized(image, labels, None, fx, fy)

    def blurred(self, image: Array, drawn: np.random.Generator) -> Array:
        """Every other time, with a deviation below 0.6."""
        if not self.layer.transform_param.gaussian_blur or drawn.random() < 0.5:
            return image
        deviation = int(drawn.integers(100)) / 100 * 0.6
        return cv2.GaussianBlur(image, (5, 5), deviation).reshape(image.shape)

    def before(self, length: int) -> int:
        """Half of it."""
        return length // 2


class DenseSource(PairSource):
    """SegNet's: mirrored and cropped at random, in TEST too; label maps take the nearest pixel's class in a
    new size. With ``label_divide_factor``, ENet's, a label map is by that factor smaller than its image.
    """

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        param, transform = layer.dense_image_data_param, layer.transform_param
        if transform.mirror or transform.crop_size:
            raise InputError(
                "mirrors and crops by dense_image_data_param, not by transform_param, which has no part in "
                "the label map",
                layer.name,
            )
        if transform.mean_file:
            raise InputError(f"{layer.type} with a mean_file is not read here: mean_value is", layer.name)
        if bool(param.crop_height) != bool(param.crop_width):
            raise InputError("crop_height and crop_width are given together or not at all", layer.name)
        if param.label_divide_factor < 1 or (param.label_divide_factor > 1 and param.crop_height):
            raise InputError("label_divide_factor is 1 or more, and 1 where crops are taken", layer.name)
        super().__init__(layer, options, param)

    def label_map(self, entry: PairEntry, size: Size) -> Array:
        """In the size of its image over label_divide_factor, the remainder left out."""
        factor = self.layer.dense_image_data_param.label_divide_factor
        return super().label_map(entry, (size[0] // factor, size[1] // factor))

    def varied(self, pair: Pair, drawn: np.random.Generator) -> Varied:
        """Mirrored and cropped."""
        param, two = self.layer.dense_image_data_param, (pair.image, pair.labels)
        if param.mirror and drawn.random() < 0.5:
            two = (two[0][:, ::-1], two[1][:, ::-1])
        if param.crop_height:
            two = _crop(two, (param.crop_height, param.crop_width), drawn)
        return Varied(pair.name, *two, (pair.image.shape[0], pair.image.shape[1]))


def _resized(image: Array, labels: Array, size: Size | None, fx: float = 0, fy: float = 0) -> Two:
    """To a size, (width, height), or by factors: the image is blended, of labels the nearest is taken."""
    nearest = cv2.INTER_NEAREST
    return cv2.resize(image, size, fx=fx, fy=fy), cv2.resize(
        labels, size, fx=fx, fy=fy, interpolation=nearest
    )


def _crop(two: Two, size: Size, drawn: np.random.Generator | None) -> Two:
    """Both at one place, drawn or in the middle. Raises InputError where the crop is larger."""
    row, column = crop_corner(two[1].shape, size, drawn)
    part = np.s_[row : row + size[0], column : column + size[1]]
    return two[0][part], two[1][part]


def _step(bounds: Any, drawn: np.random.Generator) -> np.float32:
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    return np.float32(low + (high - low) * np.float32(drawn.integers(101)) / np.float32(100))


def _byte(value: int) -> int:
    """What OpenCV puts into a byte."""
    return max(0, min(value, 255))

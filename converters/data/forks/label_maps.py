"""ImageSegData and ImageProbData of the tuning series' author's fork (longpeng2008/Caffe_Long:
image_seg_data_layer.cpp, image_prob_data_layer.cpp; data_transformer.cpp, TransformImageSeg)."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from converters.data.forks.augment import (
    check_contrast,
    check_drawn_side,
    check_generator,
    contrasted,
    drawn_side,
    is_deformed,
    keeps_aspect,
    may_deform,
    shifted,
)
from converters.data.forks.cropping import crop_corner, resizable
from converters.data.forks.pairs import Pair, PairSource, Varied
from converters.data.images.transform import check_mean, open_mean
from converters.data.source import SourceOptions
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Array = NDArray[Any]
Two = tuple[Array, Array]
Drawn = np.random.Generator
_IGNORED = 255  # what pads label maps
_SHARE = 0.0039  # of a label map's values, by which 255 is nearly 1


class SegmentSource(PairSource):
    """Image and label map resized, in TEST too; the image's colours changed in TRAIN; both padded below and
    on the right to the crop, cropped at random in TRAIN and in the middle in TEST, and mirrored in both.

    With a new size label maps are interpolated as images are: classes are blended.
    """

    resize_labels = cv2.INTER_LINEAR

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        _check_fields(layer, options.train)
        self.mean = open_mean(layer, options.places)
        super().__init__(layer, options, layer.image_data_param)

    def batch(self, index: int) -> dict[str, Tensor]:
        """(batch, channels, height, width), (batch, 1, height, width). Raises InputError naming the record
        that is broken or, without a crop, has another size than the list's first.
        """
        batch = super().batch(index)
        for top, shape in self.shapes.items():
            if batch[top].shape != shape:
                sizes = f"{tuple(batch[top].shape)}, of the list's first image {shape}"
                raise InputError(f'without crop_size top "{top}" would be {sizes}', self.layer.name)
        return batch

    def varied(self, pair: Pair, drawn: Drawn) -> Varied:
        """Resized, with other colours, padded, cropped and mirrored."""
        size, param, train = pair.image.shape[:2], self.layer.transform_param, self.options.train
        is_mirrored = param.mirror and drawn.random() < 0.5
        check_mean(self.layer, pair.image.shape, self.mean)
        image, labels = _resized(pair.image, pair.labels, self.layer, drawn)
        if train:
            image = shifted(contrasted(image, param, drawn), param, drawn)
        image, labels = _padded(image, labels, self.layer)
        if labels.shape != size and (self.mean is not None or not param.crop_size):
            why = "mean_file is of its own size" if param.crop_size else "without crop_size it keeps its size"
            raise InputError(f"is resized to {labels.shape[0]}×{labels.shape[1]}, but {why}")
        image, labels = self._cropped(image, labels, drawn if train else None)
        if is_mirrored:
            image, labels = image[:, ::-1], labels[:, ::-1]
        return Varied(pair.name, image, labels, (size[0], size[1]))

    def _cropped(self, image: Array, labels: Array, drawn: Drawn | None) -> Two:
        """Where a crop is said, less the mean image at its place where there is one."""
        side = self.layer.transform_param.crop_size
        crop = (side, side) if side else labels.shape
        row, column = crop_corner(labels.shape, crop, drawn)
        part = np.s_[row : row + crop[0], column : column + crop[1]]
        image, labels = image[part], labels[part]
        return (image if self.mean is None else image.astype(np.float32) - self.mean.numpy()[part]), labels


class ProbabilitySource(SegmentSource):
    """The label map as shares of 255, almost, padding too."""

    def varied(self, pair: Pair, drawn: Drawn) -> Varied:
        """As a SegmentSource's, with labels in double precision."""
        varied = super().varied(pair, drawn)
        return replace(varied, labels=varied.labels * _SHARE)


def _resized(image: Array, labels: Array, layer: LayerParameter, drawn: Drawn) -> Two:
    """Both by the nearest pixel: to a square, or the shorter side to a length, either way to one drawn."""
    param = layer.transform_param
    deformed = is_deformed(param, drawn)
    if not (deformed or keeps_aspect(param)):
        return image, labels
    side = drawn_side(param, drawn)
    height, width = (side, side) if deformed else _fitted(labels.shape, side)
    nearest = cv2.INTER_NEAREST
    with resizable(f"to {height}×{width}"):
        smaller = cv2.resize(image, (width, height), interpolation=nearest)
        return smaller.reshape(height, width, -1), cv2.resize(labels, (width, height), interpolation=nearest)


def _fitted(size: tuple[int, ...], side: int) -> tuple[int, int]:
    """Of a size the one whose shorter side is ``side``. The other is cut from a product in float32, which may
    lie below a whole number: 37×37 becomes 23×24.
    """
    height, width = size
    if height < width:
        return side, int(np.float32(width) * (np.float32(side) / np.float32(height)))
    return int(np.float32(height) * (np.float32(side) / np.float32(width))), side


def _padded(image: Array, labels: Array, layer: LayerParameter) -> Two:
    """As large as the crop: the image with its mean_value in whole numbers. Raises InputError where there is
    none, of which a grey image has too few.
    """
    param = layer.transform_param
    down, right = (max(param.crop_size - side, 0) for side in labels.shape)
    if not (down or right):
        return image, labels
    values = list(param.mean_value) * (3 if len(param.mean_value) == 1 else 1)
    if len(values) != image.shape[2]:
        what = "one smaller than the crop is padded with mean_value"
        raise InputError(
            f"{what}, and none is said" if not values else f"a grey image: {what} in colour alone"
        )
    return (
        cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_CONSTANT, value=values),
        cv2.copyMakeBorder(labels, 0, down, 0, right, cv2.BORDER_CONSTANT, value=_IGNORED),
    )


def _check_fields(layer: LayerParameter, train: bool) -> None:
    """Raise InputError for what the fork aborts on, at the first image or at the first that draws it."""
    param = layer.transform_param
    if may_deform(param) and param.min_side_min < param.crop_size:
        reason = f"min_side_min {param.min_side_min} is less than crop_size {param.crop_size}"
        raise InputError(reason, layer.name)
    if may_deform(param) or keeps_aspect(param):
        check_drawn_side(layer)
    if train and param.apply_probability > 0 and param.contrast_brightness_adjustment:
        check_contrast(layer)
    check_generator(layer, train, without=("max_rotation_angle", "smooth_filtering"))

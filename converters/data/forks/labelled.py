"""ImageData, ImageRegressionData and Data of the tuning series' author's fork (longpeng2008/Caffe_Long:
image_data_layer.cpp, image_regressiondata_layer.cpp, data_layer.cpp, data_transformer.cpp)."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from converters.data.forks.augment import augmented, check_augmentation
from converters.data.images.cut import Cutter, in_threads
from converters.data.images.lists import Entry
from converters.data.images.pixels import Array, PixelSource, Sample
from converters.data.images.source import ImageSource
from converters.data.images.transform import check, draw
from converters.data.order import sample_generator
from converters.data.records import RecordSource
from converters.data.rows import sized
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class _Varied:
    """A sample whose image was varied, and the shape that the image had before."""

    sample: Sample
    shape: tuple[int, ...]


class AugmentedSource(PixelSource):
    """A source whose images are varied, each by numbers drawn for it, before they are cropped. Without a crop
    a batch has the size that its first image was read in, and of each image the upper left corner.
    """

    def batch(self, index: int) -> dict[str, Tensor]:
        """(batch, channels, crop or height, crop or width), channels last in memory; labels.

        Raises InputError naming the record that is broken, or that is too small after it was varied.
        """
        every = self.of_batch(lambda place, sample: self._varied(index, place, sample), index)
        drawn, first = draw(self.options.seed, index, self.batch_size), every[0]
        data = np.empty((len(every), *self._cutter.size(first.shape), first.shape[2]), np.float32)
        in_threads(
            self._pool, lambda place: self._serve(every[place], first, drawn[place], data[place]), len(every)
        )
        labels = self.labels([each.sample for each in every])
        return dict(zip(self.layer.top, (torch.from_numpy(data).permute(0, 3, 1, 2), labels), strict=False))

    def _varied(self, index: int, place: int, sample: Sample) -> _Varied:
        """Raw pixels of a record are as they are in BVLC's Caffe."""
        if not sample.is_encoded:
            return _Varied(sample, sample.pixels.shape)
        drawn = sample_generator(self.options.seed, index, place)
        try:
            pixels = augmented(sample.pixels, self.layer, self.options.train, drawn)
        except InputError as error:
            raise InputError(f"{sample.name}: {error}", self.layer.name) from None
        return _Varied(replace(sample, pixels=pixels), sample.pixels.shape)

    def _serve(self, varied: _Varied, first: _Varied, drawn: Array, into: Array) -> None:
        """Cropped, mirrored, less the mean and scaled: a row of a batch, (height, width, channels)."""
        cutter = self._cutter if varied.sample.is_encoded else self._caffes
        height, width, channels = varied.sample.pixels.shape
        try:
            check(cutter.layer, height, width, channels, self.mean)
        except InputError as error:
            raise InputError(f"{varied.sample.name}: {error}", self.layer.name) from None
        self._check_fit(varied, first)
        cutter.serve(varied.sample.pixels, drawn, into)

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self.layer, self.options.train, self.mean)

    @cached_property
    def _caffes(self) -> Cutter:
        return Cutter(as_caffes(self.layer), self.options.train, self.mean)

    def _check_fit(self, varied: _Varied, first: _Varied) -> None:
        """Raise InputError for an image that cannot stand in a batch beside its ``first`` one."""
        shape, size = varied.sample.pixels.shape, first.shape
        crops = bool(self.layer.transform_param.crop_size)
        is_larger = varied.sample.is_encoded and shape[0] >= size[0] and shape[1] >= size[1]
        if shape[2] != size[2] or not (crops or is_larger or shape == size):
            raise InputError(
                f"{varied.sample.name} is {sized(shape)}, the first of its batch, {first.sample.name}, was "
                f"{sized(size)} when it was read: they do not fit in one batch",
                self.layer.name,
            )

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        sample = self.sample(0)
        if sample.is_encoded:  # by itself, so that the layer is named and no image
            check_augmentation(self.layer, self.options.train)
        first = self._varied(0, 0, sample)
        height, width = self._cutter.size(first.shape)
        data = np.empty((height, width, first.shape[2]), np.float32)
        self._serve(first, first, draw(self.options.seed, 0, 1)[0], data)
        labels = self.labels([first.sample] * self.batch_size)
        shapes = ((self.batch_size, first.shape[2], height, width), tuple(labels.shape))
        return dict(zip(self.layer.top, shapes, strict=False))


def as_caffes(layer: LayerParameter) -> LayerParameter:
    """The layer with Caffe 1.0's rules."""
    copy = LayerParameter()
    copy.CopyFrom(layer)
    copy.ClearField("dialect")
    return copy


class LabelledSource(AugmentedSource, ImageSource):
    """ImageData and ImageRegressionData: images of a list, each with ``label_size`` numbers."""

    def label_of(self, entry: Entry) -> tuple[float, ...]:
        """All labels of a line."""
        return entry.labels

    def labels(self, samples: list[Sample]) -> Tensor:
        """(batch, label_size, 1, 1), of one label too."""
        return super().labels(samples)[:, :, None, None]


class AugmentedRecords(AugmentedSource, RecordSource):
    """Data: records whose encoded images are varied."""

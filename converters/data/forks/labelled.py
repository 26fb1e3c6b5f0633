"""ImageData, ImageRegressionData and Data of the tuning series' author's fork (longpeng2008/Caffe_Long:
image_data_layer.cpp, image_regressiondata_layer.cpp, data_layer.cpp, data_transformer.cpp)."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from converters.data.forks.augment import augmented, check_augmentation
from converters.data.images.lists import Entry
from converters.data.images.pixels import Array, PixelSource, Sample
from converters.data.images.source import ImageSource
from converters.data.images.transform import check, choose_crops, draw, transform
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
        drawn = draw(self.options.seed, index, self.batch_size)
        parts = [self._served(each, every[0], drawn[i : i + 1]) for i, each in enumerate(every)]
        labels = self.labels([each.sample for each in every])
        return dict(zip(self.layer.top, (torch.cat(parts), labels), strict=False))

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

    def _served(self, varied: _Varied, first: _Varied, drawn: Array) -> Tensor:
        """(1, channels, height, width): cropped, mirrored, less the mean and scaled."""
        sample = varied.sample
        layer = self.layer if sample.is_encoded else as_caffes(self.layer)
        height, width, channels = sample.pixels.shape
        try:
            check(layer, height, width, channels, self.mean)
        except InputError as error:
            raise InputError(f"{sample.name}: {error}", self.layer.name) from None
        pixels = self._fitted(varied, first)
        choices = choose_crops(layer, self.options.train, (pixels.shape[0], pixels.shape[1]), drawn)
        return transform(layer, torch.from_numpy(np.stack([pixels])), choices, self.mean)

    def _fitted(self, varied: _Varied, first: _Varied) -> Array:
        """The pixels that a crop is taken of, or all that are served."""
        shape, size = varied.sample.pixels.shape, first.shape
        crops = bool(self.layer.transform_param.crop_size)
        is_larger = varied.sample.is_encoded and shape[0] >= size[0] and shape[1] >= size[1]
        if shape[2] != size[2] or not (crops or is_larger or shape == size):
            raise InputError(
                f"{varied.sample.name} is {sized(shape)}, the first of its batch, {first.sample.name}, was "
                f"{sized(size)} when it was read: they do not fit in one batch",
                self.layer.name,
            )
        return varied.sample.pixels if crops else varied.sample.pixels[: size[0], : size[1]]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        check_augmentation(self.layer, self.options.train)
        first = self._varied(0, 0, self.sample(0))
        data = self._served(first, first, draw(self.options.seed, 0, 1))
        labels = self.labels([first.sample] * self.batch_size)
        shapes = ((self.batch_size, *data.shape[1:]), tuple(labels.shape))
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

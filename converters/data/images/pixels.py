"""Rows of images and labels, transformed into batches: what ImageData and Data share
(base_data_layer.cpp, data_transformer.cpp)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.data.images.transform import check, choose_crops, draw, open_mean, transform
from converters.data.order import Rounds
from converters.data.rows import RowSource, sized
from converters.data.source import SourceOptions
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sample:
    """One image, (height, width, channels) uint8 or float32; ``name`` is what messages call it. ``label`` is
    several where the source was opened with a label_size, or a record has several. ``is_encoded``: it was a
    file, or in a record as one.
    """

    name: str
    pixels: Array
    label: float | tuple[float, ...]
    is_encoded: bool = True


class PixelSource(RowSource[Sample]):
    """A source whose rows are images. Without a crop all images of a batch have one size."""

    def __init__(
        self, layer: LayerParameter, options: SourceOptions, rounds: Rounds, batch_size: int
    ) -> None:
        super().__init__(layer, options, rounds, batch_size)
        self.mean = open_mean(layer, options.places)
        self.shapes = self._shapes()

    def batch(self, index: int) -> dict[str, Tensor]:
        """(batch, channels, crop or height, crop or width), channels last in memory; labels (batch,), or
        (batch, label_size).

        Raises InputError naming the record that is broken, smaller than the crop or, without one, of
        another size than the first of the batch.
        """
        samples = self.of_batch(lambda place, sample: sample, index)
        data = self._transformed(samples, draw(self.options.seed, index, self.batch_size))
        return dict(zip(self.layer.top, (data, self.labels(samples)), strict=False))

    def labels(self, samples: list[Sample]) -> Tensor:
        """The labels of a batch: (batch,), or (batch, labels) where each sample has several."""
        return torch.tensor([sample.label for sample in samples], dtype=torch.float32)

    def _transformed(self, samples: Sequence[Sample], drawn: Array) -> Tensor:
        for sample in samples:
            self._check(sample, samples[0])
        if len({sample.pixels.shape for sample in samples}) == 1:
            return self._apply(np.stack([sample.pixels for sample in samples]), drawn)
        parts = [self._apply(np.stack([each.pixels]), drawn[i : i + 1]) for i, each in enumerate(samples)]
        return torch.cat(parts)

    def _apply(self, images: Array, drawn: Array) -> Tensor:
        size = (images.shape[1], images.shape[2])
        choices = choose_crops(self.layer, self.options.train, size, drawn)
        return transform(self.layer, torch.from_numpy(images), choices, self.mean)

    def _check(self, sample: Sample, first: Sample) -> None:
        shape, other = sample.pixels.shape, first.pixels.shape
        if shape[2] != other[2] or (shape != other and not self.layer.transform_param.crop_size):
            raise InputError(
                f"{sample.name} is {sized(shape)}, the first of its batch, {first.name}, {sized(other)}: "
                "they do not fit in one batch",
                self.layer.name,
            )
        height, width, channels = shape
        try:
            check(self.layer, height, width, channels, self.mean)
        except InputError as error:
            raise InputError(f"{sample.name}: {error}", self.layer.name) from None

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        first = self.sample(0)
        self._check(first, first)
        height, width, channels = first.pixels.shape
        crop = self.layer.transform_param.crop_size
        data = (self.batch_size, channels, crop or height, crop or width)
        labels = self.labels([first] * self.batch_size).shape
        return dict(zip(self.layer.top, (data, tuple(labels)), strict=False))

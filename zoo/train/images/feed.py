"""Which samples make which batch: order, crop and mirror as pure functions of (seed, iteration, sample)."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.data.forks.augment import augmented
from converters.data.images.cut import Cutter, in_threads
from converters.data.images.lists import Pixels
from converters.data.images.transform import choose_crops, draw, transform
from converters.data.order import Order, Rounds, sample_generator
from converters.host.machine import cores
from converters.layers.parts.caffe_long import is_of_caffe_long
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from zoo.train.images.dataset import ImageSet

Drawn = np.ndarray[Any, np.dtype[np.float64]]
Shapes = dict[str, tuple[int, ...]]


def batch_shapes(layer: LayerParameter, image: Sequence[int], labels: Sequence[int] = ()) -> Shapes:
    """What an ImageData puts on its tops, of images (height, width, channels) and labels of shape ``labels``
    an image, () for one.
    """
    size = layer.image_data_param.batch_size
    height, width = Cutter(layer, False).size(tuple(image))
    own = (*(labels or (1,)), 1, 1) if is_of_caffe_long(layer) else labels
    return dict(zip(layer.top, [(size, image[2], height, width), (size, *own)], strict=False))


@dataclass
class ImageFeed:
    """Serves batches of an ImageSet, as Caffe's ImageData does: consecutive rows, wrapping round, a new
    shuffle at each round where the layer asks for one; ``skip`` rows are left out at the start, once.

    The batches of ``world`` ranks, one after the other, are one batch of a single process with as many
    images: the same rows, crops and mirrors.
    """

    images: ImageSet
    train: bool
    seed: int
    device: torch.device
    rank: int = 0
    world: int = 1
    skip: int = 0
    _rounds: Rounds = field(init=False)
    _pool: ThreadPoolExecutor = field(init=False)
    _cutter: Cutter = field(init=False)

    def __post_init__(self) -> None:
        shuffle = self.images.layer.image_data_param.shuffle
        self._rounds = Rounds(len(self.images.labels), shuffle, self.seed, self.skip)
        self._pool = ThreadPoolExecutor(cores())
        self._cutter = Cutter(self.images.layer, self.train, self.images.mean)

    @property
    def batch_size(self) -> int:
        """Images in one batch of one rank."""
        return self.images.layer.image_data_param.batch_size

    @property
    def skipped(self) -> int:
        """Images of the list that could not be read."""
        return self.images.skipped

    @property
    def shapes(self) -> Shapes:
        """The shape of every top."""
        images = self.images
        return batch_shapes(images.layer, images.pixels[self._rounds.row(0)].shape, images.labels.shape[1:])

    @property
    def is_pure(self) -> bool:
        """It is."""
        return True

    def batch(self, index: int) -> dict[str, Tensor]:
        """This rank's share of the ``index``-th batch since the start of training, by top.

        Data is (N, C, crop, crop) float32, channels last in memory; labels are (N,) float32, or
        (N, label_size), and (N, label_size, 1, 1) in the series author's fork. Raises InputError, with the
        line of the list, for an image that cannot be served.
        """
        rows, first = self.rows(index), self.rank * self.batch_size
        drawn = draw(self.seed, index, self.batch_size * self.world)[first : first + self.batch_size]
        data = self._apart(index, rows, drawn) if self.images.are_apart else self._together(rows, drawn)
        labels = torch.from_numpy(self.images.labels[rows]).float().to(self.device)
        if is_of_caffe_long(self.images.layer):
            labels = labels.reshape(len(rows), -1, 1, 1)
        return dict(zip(self.images.layer.top, (data, labels), strict=False))

    def _together(self, rows: Order, drawn: Drawn) -> Tensor:
        """Images of one size, transformed at once, where the net is."""
        pixels = torch.from_numpy(self.images.array[rows]).to(self.device)
        choices = choose_crops(self.images.layer, self.train, (pixels.shape[1], pixels.shape[2]), drawn)
        return transform(self.images.layer, pixels, choices, self.images.mean)

    def _apart(self, index: int, rows: Order, drawn: Drawn) -> Tensor:
        """Images that are varied, or have sizes of their own, each by itself, in threads."""
        first = self.images.pixels[int(rows[0])].shape
        data = np.empty((len(rows), *self._cutter.size(first), first[2]), np.float32)

        def serve(place: int) -> None:
            row = int(rows[place])
            with self._located(row):
                self._cutter.serve(self._varied(index, place, row), drawn[place], data[place])

        in_threads(self._pool, serve, len(rows))
        return torch.from_numpy(data).to(self.device).permute(0, 3, 1, 2)

    def _varied(self, index: int, place: int, row: int) -> Pixels:
        """An image as it is cropped, by numbers that are its own."""
        generator = sample_generator(self.seed, index, self.rank * self.batch_size + place)
        return augmented(self.images.pixels[row], self.images.layer, self.train, generator)

    @contextmanager
    def _located(self, row: int) -> Iterator[None]:
        """Errors name the line of the list and the image."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{self._name(row)}: {error}", self.images.layer.name) from None

    def record(self, index: int, top: str, sample: int, samples: int) -> str | None:
        """The line of the list and the image."""
        if samples != self.batch_size:
            return None
        return self._name(int(self.rows(index)[sample]))

    def _name(self, row: int) -> str:
        return f"{self.images.list_path}:{self.images.lines[row]}: image {self.images.paths[row]}"

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def rows(self, index: int) -> Order:
        """Rows of the array that this rank's share of batch ``index`` holds."""
        return self._rounds.rows((index * self.world + self.rank) * self.batch_size, self.batch_size)

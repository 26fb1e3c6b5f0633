"""Which samples make which batch: order, crop and mirror as pure functions of (seed, iteration, sample)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from converters.data.images.transform import choose_crops, draw, transform
from converters.data.order import Order, Rounds
from prototxt.caffe_pb2 import LayerParameter
from zoo.train.images.dataset import ImageSet

Shapes = dict[str, tuple[int, ...]]


def batch_shapes(layer: LayerParameter, image: Sequence[int], labels: Sequence[int] = ()) -> Shapes:
    """What an ImageData puts on its tops, of images (height, width, channels) and labels of shape ``labels``
    an image, () for one.
    """
    height, width, channels = image
    if crop := layer.transform_param.crop_size:
        height, width = crop, crop
    size = layer.image_data_param.batch_size
    return dict(zip(layer.top, [(size, channels, height, width), (size, *labels)], strict=False))


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

    def __post_init__(self) -> None:
        shuffle = self.images.layer.image_data_param.shuffle
        self._rounds = Rounds(len(self.images.labels), shuffle, self.seed, self.skip)

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
        return batch_shapes(images.layer, images.pixels.shape[1:], images.labels.shape[1:])

    def batch(self, index: int) -> dict[str, Tensor]:
        """This rank's share of the ``index``-th batch since the start of training, by top.

        Data is (N, C, crop, crop) float32, channels last in memory; labels are (N,) float32,
        or (N, label_size).
        """
        rows = self.rows(index)
        pixels = torch.from_numpy(self.images.pixels[rows]).to(self.device)
        size = (pixels.shape[1], pixels.shape[2])
        drawn = draw(self.seed, index, self.batch_size * self.world)
        share = drawn[self.rank * self.batch_size : (self.rank + 1) * self.batch_size]
        choices = choose_crops(self.images.layer, self.train, size, share)
        tops = [transform(self.images.layer, pixels, choices, self.images.mean)]
        tops.append(torch.from_numpy(self.images.labels[rows]).float().to(self.device))
        return dict(zip(self.images.layer.top, tops, strict=False))

    def record(self, index: int, top: str, sample: int, samples: int) -> str | None:
        """The line of the list and the image."""
        if samples != self.batch_size:
            return None
        row = self.rows(index)[sample]
        return f"{self.images.list_path}:{self.images.lines[row]}: image {self.images.paths[row]}"

    def rows(self, index: int) -> Order:
        """Rows of the array that this rank's share of batch ``index`` holds."""
        return self._rounds.rows((index * self.world + self.rank) * self.batch_size, self.batch_size)

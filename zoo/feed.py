"""Which images make which batch: order, crop and mirror as pure functions of (seed, iteration, sample)."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from converters.data.order import Order, Rounds
from converters.transform import choose, draw, transform
from zoo.dataset import ImageSet


@dataclass
class Feed:
    """Serves batches of an ImageSet, as Caffe's ImageData does: consecutive rows, wrapping round, a new
    shuffle at each round where the layer asks for one.
    """

    images: ImageSet
    train: bool
    seed: int
    device: torch.device
    _rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        shuffle = self.images.layer.image_data_param.shuffle
        self._rounds = Rounds(len(self.images.labels), shuffle, self.seed)

    @property
    def batch_size(self) -> int:
        """Images in one batch."""
        return self.images.layer.image_data_param.batch_size

    def batch(self, index: int) -> dict[str, Tensor]:
        """The ``index``-th batch since the start of training, by the names of the layer's tops.

        Data is (N, C, crop, crop) float32, channels last in memory; labels are (N,) float32.
        """
        rows = self.rows(index)
        pixels = torch.from_numpy(self.images.pixels[rows]).to(self.device)
        size = (pixels.shape[1], pixels.shape[2])
        choices = choose(self.images.layer, self.train, size, draw(self.seed, index, len(rows)))
        tops = [transform(self.images.layer, pixels, choices, self.images.mean)]
        tops.append(torch.from_numpy(self.images.labels[rows]).float().to(self.device))
        return dict(zip(self.images.layer.top, tops, strict=False))

    def rows(self, index: int) -> Order:
        """Rows of the array that batch ``index`` holds."""
        return self._rounds.rows(index * self.batch_size, self.batch_size)

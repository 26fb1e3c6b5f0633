"""Which images make which batch: order, crop and mirror as pure functions of (seed, iteration, sample)."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from converters.transform import choose, draw, transform
from zoo.dataset import ImageSet

Order = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass
class Feed:
    """Serves batches of an ImageSet, as Caffe's ImageData does: consecutive rows, wrapping round, a new
    shuffle at each round where the layer asks for one.
    """

    images: ImageSet
    train: bool
    seed: int
    device: torch.device
    _orders: dict[int, Order] = field(default_factory=dict)

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
        tops = [transform(self.images.layer, pixels, choices)]
        tops.append(torch.from_numpy(self.images.labels[rows]).float().to(self.device))
        return dict(zip(self.images.layer.top, tops, strict=False))

    def rows(self, index: int) -> Order:
        """Rows of the array that batch ``index`` holds."""
        count = len(self.images.labels)
        serial = np.arange(index * self.batch_size, (index + 1) * self.batch_size)
        if not self.images.layer.image_data_param.shuffle:
            return serial % count
        return np.array([self._order(n // count)[n % count] for n in serial.tolist()])

    def _order(self, epoch: int) -> Order:
        if epoch not in self._orders:
            self._orders = {k: v for k, v in self._orders.items() if k >= epoch - 1}
            stream = np.random.SeedSequence([self.seed, epoch, len(self.images.labels)])
            self._orders[epoch] = np.random.Generator(np.random.Philox(stream)).permutation(
                len(self.images.labels)
            )
        return self._orders[epoch]

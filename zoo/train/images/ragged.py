"""Images of sizes of their own in one array of bytes, as the cache of decoded images maps them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

Array = np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]  # (N, height, width, channels)
Image = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
Size = tuple[int, int, int]  # height, width, channels
Rows = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Ragged:
    """Images whose bytes lie one after another in ``flat``; of each its (height, width, channels) in
    ``sizes``, (N, 3), and where it begins.
    """

    flat: np.ndarray[tuple[int], np.dtype[np.uint8]]
    sizes: Rows
    begins: Rows

    @classmethod
    def of(cls, flat: np.ndarray[tuple[int], np.dtype[np.uint8]], sizes: Rows) -> "Ragged":
        """The images of those sizes. Raises ValueError where ``flat`` is of another length than they say."""
        ends = sizes.prod(1).cumsum()
        if len(ends) == 0 or ends[-1] != len(flat):
            raise ValueError(f"{len(flat)} bytes are not images of these sizes")
        return cls(flat, sizes, ends - sizes.prod(1))

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, rows: int) -> Image: ...
    @overload
    def __getitem__(self, rows: Rows | Sequence[int] | slice) -> "Ragged": ...
    def __getitem__(self, rows: int | Rows | Sequence[int] | slice) -> "Image | Ragged":
        """One image, as it lies in the array, or several, in that order."""
        if isinstance(rows, int):
            height, width, channels = self.sizes[rows]
            begin = self.begins[rows]
            return self.flat[begin : begin + height * width * channels].reshape(height, width, channels)
        return Ragged(self.flat, self.sizes[rows], self.begins[rows])

    def __iter__(self) -> Iterator[Image]:
        return (self[row] for row in range(len(self)))

    @property
    def nbytes(self) -> int:
        """What the images take."""
        return int(self.sizes.prod(1).sum())


def first_of_each_size(pixels: Array | Ragged) -> list[tuple[int, Size]]:
    """The sizes of the images, each with the place of the first that has it, in that order."""
    if not isinstance(pixels, Ragged):
        return [(0, pixels.shape[1:])]
    places = np.sort(np.unique(pixels.sizes, axis=0, return_index=True)[1])
    return [(int(place), pixels[int(place)].shape) for place in places]

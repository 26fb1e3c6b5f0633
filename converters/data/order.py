"""Which row of a data set comes when, as a pure function of (seed, serial number)."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Order = np.ndarray[tuple[int], np.dtype[np.int64]]
_SKIP, _FILES, _ROWS, _SAMPLE = 1, 2, 3, 4  # keep the streams of one seed apart


def evenly(count: int, most: int) -> list[int]:
    """Rows of ``count``, ``most`` at the most, spread evenly from the first to the last."""
    rows: list[int] = np.linspace(0, count - 1, min(most, count)).astype(int).tolist()
    return rows


@dataclass
class Rounds:
    """Rows of a list, served round after round, each in a new order where ``shuffle`` is set.

    ``skip`` rows are left out at the start, once (image_data_layer.cpp, lines_id_).
    """

    count: int
    shuffle: bool
    seed: int
    skip: int = 0
    _orders: dict[int, Order] = field(default_factory=dict, repr=False)

    def row(self, serial: int) -> int:
        """The row that comes ``serial``-th, from 0."""
        turn, place = divmod(serial + self.skip, self.count)
        return int(self._order(turn)[place]) if self.shuffle else place

    def rows(self, start: int, size: int) -> Order:
        """The rows from ``start`` on, ``size`` of them."""
        return np.array([self.row(serial) for serial in range(start, start + size)], np.int64)

    def _order(self, turn: int) -> Order:
        order = self._orders.get(turn)
        if order is None:  # several threads may come here: the dict is replaced, never changed
            order = permutation([self.seed, turn, self.count], self.count)
            self._orders = {k: v for k, v in self._orders.items() if k >= turn - 1} | {turn: order}
        return order


def permutation(stream: list[int], count: int) -> Order:
    """0 … count - 1 in an order that follows from ``stream``."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(stream))).permutation(count)


@lru_cache(maxsize=4)
def file_order(seed: int, turn: int, count: int) -> Order:
    """The order of files in a round; not to be changed."""
    return permutation([seed, turn, count, _FILES], count)


@lru_cache(maxsize=4)
def row_order(seed: int, turn: int, file: int, count: int) -> Order:
    """The order of a file's rows in a round; not to be changed."""
    return permutation([seed, turn, file, count, _ROWS], count)


def sample_generator(seed: int, iteration: int, sample: int) -> np.random.Generator:
    """What a sample of a batch is varied by: a pure function of the three numbers."""
    key = np.random.SeedSequence([seed, iteration, sample, _SAMPLE])
    return np.random.Generator(np.random.Philox(key))


def drawn_skip(seed: int, layer: LayerParameter, rand_skip: int, rows: int) -> int:
    """How many rows of its list a layer leaves out: any number below its ``rand_skip``. Raises InputError
    where that is all ``rows``.
    """
    if not rand_skip:
        return 0
    key = np.random.SeedSequence([seed, rand_skip, _SKIP])
    skip = int(np.random.Generator(np.random.Philox(key)).integers(rand_skip))
    if skip >= rows:
        raise InputError(f"rand_skip left out {skip} of {rows} images", layer.name)
    return skip

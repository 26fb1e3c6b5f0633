"""Rows of a list or a database, read by their serial number in threads: what sources of images share."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from converters.data.order import Rounds
from converters.data.source import BadRecordError, DataSource, SourceOptions
from converters.host.machine import cores
from converters.layers.checks import positive
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


class Named(Protocol):
    """What was read of a row; ``name`` is what messages call it."""

    @property
    def name(self) -> str:
        """The file, and the line or key."""


S = TypeVar("S", bound=Named)
T = TypeVar("T")


class RowSource(DataSource, Generic[S]):
    """A source whose samples are rows, each read by itself."""

    def __init__(
        self, layer: LayerParameter, options: SourceOptions, rounds: Rounds, batch_size: int
    ) -> None:
        super().__init__(layer)
        positive(layer, batch_size=batch_size)
        self.options, self.rounds, self.batch_size = options, rounds, batch_size
        self._pool = ThreadPoolExecutor(cores())  # decoding takes longer than all else

    @abstractmethod
    def read(self, row: int) -> S:
        """What a row holds. Raises BadRecordError, with its key or path, where it cannot be read."""

    def record(self, index: int, sample: int) -> str:
        """The name of the row that stands there, read once more."""
        return self.sample(index * self.batch_size + sample).name

    def close(self) -> None:
        """End the threads that decode."""
        self._pool.shutdown(cancel_futures=True)

    def sample(self, serial: int) -> S:
        """The ``serial``-th row; in place of a broken one, with skip_bad, the next whole one, so that a batch
        still follows from its index alone.
        """
        for step in range(self.rounds.count):
            row = self.rounds.row(serial + step)
            if row in self.bad:
                continue
            try:
                return self.read(row)
            except BadRecordError:
                if not self.options.skip_bad:
                    raise
                self.bad.add(row)
        raise InputError(f"all {self.rounds.count} records are broken", self.layer.name)

    def check_sizes(self, every: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        """Raise InputError, by its name, for the first (name, (height, width, channels)) of a batch that is
        not as the first of all.
        """
        for name, shape in every:
            if shape != every[0][1]:
                raise InputError(
                    f"{name} gives {sized(shape)}, the first of its batch {sized(every[0][1])}: they do not "
                    "fit in one batch",
                    self.layer.name,
                )

    def of_batch(self, made: Callable[[int, S], T], index: int) -> list[T]:
        """``made`` of each sample's place in the ``index``-th batch and what its row holds, in threads."""
        start = index * self.batch_size
        return list(
            self._pool.map(lambda place: made(place, self.sample(start + place)), range(self.batch_size))
        )


def sized(shape: tuple[int, ...]) -> str:
    """(height, width, channels) as messages say it."""
    return f"{shape[2]}×{shape[0]}×{shape[1]}"

"""Batches made beside the step: the coming ones in a thread, while a net computes on the last."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from torch import Tensor

from converters.solver.feed import Batches

AHEAD = 2  # batches that may wait: with one, a batch that takes longer than a step would be waited for


class AheadFeed:
    """A feed's batches, the coming ones made while the last is in use, in a thread of its own.

    For feeds whose batches follow from their number alone, so that it makes no difference when they are made,
    and what is made in vain is forgotten. What making one raises is raised where it is asked for.
    """

    def __init__(self, feed: Batches) -> None:
        self.feed = feed
        self._maker = ThreadPoolExecutor(1, "batches")
        self._coming: dict[int, Future[tuple[dict[str, Tensor], int]]] = {}
        self._skipped = feed.skipped

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every top."""
        return self.feed.shapes

    @property
    def is_pure(self) -> bool:
        """What the feed says."""
        return self.feed.is_pure

    @property
    def batch_size(self) -> int:
        """Samples in one batch of one rank."""
        return self.feed.batch_size

    @property
    def skipped(self) -> int:
        """How many broken images or records were passed over up to the last batch that was asked for."""
        return self._skipped

    def batch(self, index: int) -> dict[str, Tensor]:
        """The ``index``-th batch, by top. Raises InputError from the data."""
        wanted = range(index, index + 1 + AHEAD)
        for number in [number for number in self._coming if number not in wanted]:
            self._coming.pop(number).cancel()
        for number in wanted:
            if number not in self._coming:
                self._coming[number] = self._maker.submit(self._made, number)
        batch, self._skipped = self._coming.pop(index).result()
        return batch

    def _made(self, index: int) -> tuple[dict[str, Tensor], int]:
        return self.feed.batch(index), self.feed.skipped

    def record(self, index: int, top: str, sample: int, samples: int) -> str | None:
        """What the feed says."""
        return self.feed.record(index, top, sample, samples)

    def close(self) -> None:
        """End the thread, when it has made the batch that it is at."""
        self._coming.clear()
        self._maker.shutdown(cancel_futures=True)
        self.feed.close()


@contextmanager
def made_ahead(feeds: Mapping[str, Batches]) -> Iterator[dict[str, Batches]]:
    """In the block the feeds, by the same keys; those whose batches can be are made ahead. All are closed
    with it.
    """
    with ExitStack() as stack:
        served = {key: AheadFeed(feed) if feed.is_pure else feed for key, feed in feeds.items()}
        for feed in served.values():
            stack.callback(feed.close)
        yield served

"""Batches made ahead are the feed's own, whoever makes them when; errors come where a batch is asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from converters.solver.ahead import AHEAD, AheadFeed, made_ahead
from converters.solver.feed import SourceFeed
from prototxt.errors import InputError


class Numbered:
    """A feed that serves its batches' numbers, and notes who made which."""

    batch_size, shapes = 1, {"data": (1,)}

    def __init__(self, broken: int | None = None, is_pure: bool = True) -> None:
        self.broken, self.is_pure = broken, is_pure
        self.made: list[tuple[int, int]] = []  # number, thread
        self.has_made = threading.Condition()
        self.is_closed = False

    @property
    def skipped(self) -> int:
        """As many as batches were made."""
        return len(self.made)

    def batch(self, index: int) -> dict[str, torch.Tensor]:
        with self.has_made:
            self.made.append((index, threading.get_ident()))
            self.has_made.notify_all()
        if index == self.broken:
            raise InputError(f"list.txt:{index}: no image")
        return {"data": torch.tensor([float(index)])}

    def record(self, index: int, top: str, sample: int, samples: int) -> str | None:
        return f"{index} {top} {sample} {samples}"

    def close(self) -> None:
        self.is_closed = True

    def wait_for(self, count: int) -> None:
        with self.has_made:
            assert self.has_made.wait_for(lambda: len(self.made) >= count, 60)


def number(batch: dict[str, torch.Tensor]) -> int:
    return int(batch["data"])


@contextmanager
def ahead_of(feed: Numbered) -> Iterator[AheadFeed]:
    ahead = AheadFeed(feed)
    try:
        yield ahead
    finally:
        ahead.close()


def test_each_batch_is_the_one_asked_for_in_any_order() -> None:
    order = [0, 1, 2, 7, 8, 3, 3, 0, 1, 1]
    with ahead_of(Numbered()) as ahead:
        assert [number(ahead.batch(index)) for index in order] == order
        assert ahead.record(3, "data", 0, 1) == "3 data 0 1" and ahead.batch_size == 1


def test_the_coming_batches_are_made_in_another_thread_and_no_more_than_may_wait() -> None:
    feed = Numbered()
    with ahead_of(feed) as ahead:
        ahead.batch(0)
        feed.wait_for(1 + AHEAD)  # while nobody asks
        ahead.batch(1)
        feed.wait_for(2 + AHEAD)
        assert [index for index, _ in feed.made] == list(range(2 + AHEAD))
        assert threading.get_ident() not in {thread for _, thread in feed.made}
    assert [index for index, _ in feed.made] == list(range(2 + AHEAD)) and feed.is_closed


def test_an_error_comes_with_its_batch() -> None:
    feed = Numbered(broken=2)
    with ahead_of(feed) as ahead:
        ahead.batch(0)
        feed.wait_for(3)  # 2 has failed by then
        assert number(ahead.batch(1)) == 1
        for _ in range(2):
            with pytest.raises(InputError, match=r"list\.txt:2: no image"):
                ahead.batch(2)
        assert number(ahead.batch(3)) == 3


def test_records_passed_over_count_when_their_batch_is_used() -> None:
    feed = Numbered()
    with ahead_of(feed) as ahead:
        assert ahead.skipped == 0
        for index in range(3):
            ahead.batch(index)
            feed.wait_for(index + 1 + AHEAD)
            assert ahead.skipped == index + 1


def test_threads_and_feeds_end_with_the_block_and_with_an_error_in_it() -> None:
    feeds = {"TRAIN": Numbered(), "TEST": Numbered(is_pure=False)}
    with pytest.raises(KeyboardInterrupt), made_ahead(feeds) as served:
        assert number(served["TRAIN"].batch(0)) == number(served["TEST"].batch(0)) == 0
        assert served["TEST"] is feeds["TEST"]  # made where it is asked for
        raise KeyboardInterrupt
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    assert feeds["TRAIN"].is_closed and feeds["TEST"].is_closed


def test_what_a_program_hands_over_is_not_asked_for_ahead() -> None:
    assert not SourceFeed([Numbered()]).is_pure and not SourceFeed([]).is_pure

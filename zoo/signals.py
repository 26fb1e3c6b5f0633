"""Caffe's signals: SIGINT snapshots and stops, SIGHUP snapshots and goes on (signal_handler.cpp)."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Asked:
    """What signals have asked for since the block began."""

    stop: bool = False
    snapshot: bool = False

    def take_snapshot(self) -> bool:
        """Whether a snapshot is asked for; asked once, it is taken once."""
        asked, self.snapshot = self.snapshot, False
        return asked


@contextmanager
def signals() -> Iterator[Asked]:
    """In the block SIGINT and SIGHUP are noted in what it yields; a second SIGINT ends at once."""
    asked = Asked()

    def stop(number: int, frame: object) -> None:
        if asked.stop:
            raise KeyboardInterrupt
        asked.stop = True
        print("stopping after this iteration (Ctrl-C again: at once)", file=sys.stderr)

    def hang_up(number: int, frame: object) -> None:
        asked.snapshot = True

    handlers = {signal.SIGINT: stop} | ({signal.SIGHUP: hang_up} if hasattr(signal, "SIGHUP") else {})
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

"""Caffe's signals: SIGINT snapshots and stops, SIGHUP snapshots and goes on (signal_handler.cpp); SIGTERM,
with which schedulers and `zoo study` end a process, stops as SIGINT does.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Handler = Callable[[int, Any], None]


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
def signals(is_alone: bool) -> Iterator[Asked]:
    """In the block SIGINT, SIGHUP and SIGTERM are noted in what it yields; a second SIGINT ends at once.

    Of torchrun's ranks (not ``is_alone``) SIGTERM ends each at once: it is how torchrun ends those whose
    fellow has died, for whom they would wait in vain.
    """
    asked = Asked()
    interrupts: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        if interrupts:
            raise KeyboardInterrupt
        interrupts.append(number)
        stop(number, frame)

    def stop(number: int, frame: object) -> None:
        if not asked.stop:
            print("stopping after this iteration (Ctrl-C again: at once)", file=sys.stderr)
        asked.stop = True

    def hang_up(number: int, frame: object) -> None:
        asked.snapshot = True

    handlers: dict[int, Handler] = {signal.SIGINT: interrupt}
    handlers |= {signal.SIGHUP: hang_up} if hasattr(signal, "SIGHUP") else {}
    handlers |= {signal.SIGTERM: stop} if is_alone else {}
    with _handled(handlers):
        yield asked


@contextmanager
def interruptible() -> Iterator[None]:
    """In the block SIGINT and SIGTERM raise KeyboardInterrupt, even in a process that a shell began in the
    background, for which it has SIGINT ignored.
    """
    with _handled(dict.fromkeys((signal.SIGINT, signal.SIGTERM), signal.default_int_handler)):
        yield


@contextmanager
def outlasting_terminal() -> Iterator[None]:
    """In the block a terminal that is closed ends nothing (SIGHUP); nor in the processes begun there."""
    with _handled({signal.SIGHUP: signal.SIG_IGN} if hasattr(signal, "SIGHUP") else {}):
        yield


@contextmanager
def _handled(handlers: Mapping[int, Handler | signal.Handlers]) -> Iterator[None]:
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

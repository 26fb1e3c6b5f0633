"""Standard streams that outlast their reader, and take any text: when it goes away, what is said is lost, and
not the work; names of other encodings and signs that a narrow terminal lacks are written all the same.
"""

import codecs
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast


class Lasting:
    """A text stream that drops what cannot be written, from the first error on; ``errors`` are those met."""

    def __init__(self, stream: TextIO, errors: list[OSError]) -> None:
        self.stream, self.errors = stream, errors

    def write(self, text: str) -> int:
        """Write the text, or drop it."""
        self._try(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, or drop it."""
        self._try(self.stream.flush)

    def _try(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except OSError as error:
            self.errors.append(error)
            # What the stream still holds has to go somewhere when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def lasting() -> Iterator[list[OSError]]:
    """Have stdout and stderr last in the block; the errors of both, a reader that went away being none.

    What their encoding lacks is replaced, one that was closed leads nowhere, and a full pipe is waited for.
    """
    before, errors = (sys.stdout, sys.stderr), list[OSError]()
    streams = [Lasting(_ready(stream), errors) for stream in before]
    sys.stdout, sys.stderr = (cast(TextIO, stream) for stream in streams)
    try:
        yield errors
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before
        errors[:] = [error for error in errors if error.errno != errno.EPIPE]


def _ready(stream: TextIO | None) -> TextIO:
    if stream is None:  # Python's word for a descriptor that was closed: taken now, no file of ours gets it
        return Path(os.devnull).open("w", encoding="utf-8")
    if getattr(stream, "errors", None) == "strict":
        _take_anything(stream)
    with suppress(OSError, ValueError):  # no file behind it
        os.set_blocking(stream.fileno(), True)
    return stream


def _take_anything(stream: TextIO) -> None:
    """Write a path's bytes that are no UTF-8 as they are, and escape what the stream's encoding lacks."""
    codecs.register_error("zoo", _encoded)
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="zoo")


def _encoded(error: UnicodeError) -> tuple[Any, int]:
    assert isinstance(error, UnicodeEncodeError)
    first = error.object[error.start]
    if "\udc80" <= first <= "\udcff":
        return bytes([ord(first) - 0xDC00]), error.start + 1
    return first.encode("ascii", "backslashreplace"), error.start + 1

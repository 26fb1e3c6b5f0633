"""A stream that takes any text: names of other encodings, and signs that a narrow terminal lacks."""

import codecs
from typing import Any, TextIO


def take_anything(stream: TextIO) -> None:
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

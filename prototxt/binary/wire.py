"""protobuf's wire format, read straight from a file: it says where each field is, and reads no value unasked.

A message is a row of fields, each a tag (number and wire type) and a value. A value of counted bytes is
skipped by its count, so definitions with field numbers that we do not know, or know as something else, cost
and break nothing.
"""

from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

VARINT, EIGHT_BYTES, COUNTED, FOUR_BYTES = 0, 1, 2, 5
_FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
_LONGEST_VARINT = 10
_WINDOW = 4096
_MAX_TAG = 2**32 - 1
_RUN = 1 << 17  # values looked at in one go where every value has a tag of its own


class WireError(ValueError):
    """The bytes are not a message; says at which byte of the file."""


class Field(NamedTuple):
    """One field; its value is at ``start`` to ``end``, and ``value`` where it is a varint."""

    number: int
    wire: int
    start: int
    end: int
    value: int


class Source:
    """A file read by offset; tags and counts come from a small window that is kept."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, 2)
        self._offset = 0
        self._window = b""

    def peek(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``offset`` on, fewer at the end of the file."""
        low = offset - self._offset
        if low < 0 or low + count > len(self._window):
            self.file.seek(offset)
            self._window, self._offset, low = self.file.read(max(count, _WINDOW)), offset, 0
        return self._window[low : low + count]

    def read_into(self, offset: int, out: NDArray[np.generic]) -> None:
        """Fill a flat array with the bytes from ``offset`` on. Raises WireError where the file ends first."""
        self.file.seek(offset)
        view = out.view(np.uint8).data
        done = 0
        while done < len(view):
            count = self.file.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise WireError(f"the file ends at byte {offset + done}, amid values")
            done += count

    def varint(self, offset: int, end: int) -> tuple[int, int]:
        """(the number at ``offset``, the byte after it)."""
        value = 0
        for index, byte in enumerate(self.peek(offset, min(_LONGEST_VARINT, end - offset))):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value & (2**64 - 1), offset + index + 1
        raise WireError(f"a number at byte {offset} has no end")

    def field(self, offset: int, end: int) -> Field:
        """The field at ``offset`` of a message that ends at ``end``. Raises WireError where there is none."""
        tag, start = self.varint(offset, end)
        number, wire = tag >> 3, tag & 7
        if not number or tag > _MAX_TAG or wire not in (VARINT, COUNTED, *_FIXED):
            raise WireError(f"no field can begin with what stands at byte {offset}")
        value = 0
        if wire == VARINT:
            value, stop = self.varint(start, end)
        elif wire == COUNTED:
            value, start = self.varint(start, end)
            stop = start + value
        else:
            stop = start + _FIXED[wire]
        if stop > end:
            raise WireError(f"{stop - start} bytes from byte {start} on pass the end, byte {end}")
        return Field(number, wire, start, stop, value)

    def run(self, offset: int, end: int, item: np.dtype[np.void]) -> int:
        """How many records of ``item``, whose first byte is a tag, follow each other with the same tag."""
        tag, total, count = self.peek(offset, 1)[0], 0, 64
        while True:
            count = min(2 * count, _RUN, (end - offset) // item.itemsize)
            records = np.frombuffer(self.peek(offset, count * item.itemsize), item)
            others = np.flatnonzero(records["tag"] != tag)
            if len(others) or not len(records):
                return total + (int(others[0]) if len(others) else 0)
            total += len(records)
            offset += len(records) * item.itemsize


def signed(value: int) -> int:
    """A varint's 64 bits as protobuf's int32 and int64 mean them."""
    return value - 2**64 if value >= 2**63 else value


def encode_varint(value: int) -> bytes:
    """A number of no sign as a varint."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def counted(number: int, size: int) -> bytes:
    """The tag and count before a field of ``size`` bytes."""
    return encode_varint(number << 3 | COUNTED) + encode_varint(size)

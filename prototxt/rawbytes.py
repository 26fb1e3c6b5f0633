"""Bytes of a prototxt that are no UTF-8, kept as they are: names and paths in GBK, say, or Latin-1.

A text has such a byte as Python has it in a path, as a lone surrogate (``os.fsdecode``). protobuf's strings
must be UTF-8, so a message has it as a stand-in: one of the last 128 characters of Unicode, which are for
private use. A file that really holds one of those has its four bytes kept instead. Both ways back give the
same bytes.
"""

import io
import re
from pathlib import Path
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from prototxt.binary.wire import COUNTED, Source, counted

_FIRST = 0x10FF80  # stands for the byte 0x80 in a message
_TO_MESSAGE = {0xDC00 + byte: _FIRST - 0x80 + byte for byte in range(0x80, 0x100)}
_FROM_MESSAGE = {theirs: ours for ours, theirs in _TO_MESSAGE.items()}
_STAND_INS = re.compile("[\U0010ff80-\U0010ffff]")
_ODD_RUN = re.compile("[^\x00-\x7f]*[\udc80-\udcff\U0010ff80-\U0010ffff][^\x00-\x7f]*")
_MARKS = (b"\xf4\x8f\xbe", b"\xf4\x8f\xbf")  # what the stand-ins begin with in UTF-8


def text_of(data: bytes) -> str:
    """A file's bytes as text. Raises nothing: what is no UTF-8 becomes surrogates."""
    text = data.decode("utf-8", "surrogateescape")
    return _STAND_INS.sub(lambda match: match[0].encode().decode("ascii", "surrogateescape"), text)


def bytes_of(text: str) -> bytes:
    """The bytes of a text or of a message's string; of a surrogate that stands for none, a question mark."""
    try:
        return from_message(text).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udc7f\udd00-\udfff]", "?", from_message(text)).encode(
            "utf-8", "surrogateescape"
        )


def to_message(text: str) -> str:
    """A text as a message's string has it."""
    return text.translate(_TO_MESSAGE)


def from_message(text: str) -> str:
    """A message's string as text, and as the path that opens the file of those bytes."""
    return text.translate(_FROM_MESSAGE)


def serialized(message: Message) -> bytes:
    """A message as bytes, its strings as the bytes that they were read from."""
    data: bytes = message.SerializeToString()
    kind = cast(Descriptor, message.DESCRIPTOR)
    return _restored(data, kind) if any(mark in data for mark in _MARKS) else data


def _restored(data: bytes, kind: Descriptor) -> bytes:
    source, out, start = Source(io.BytesIO(data)), bytearray(), 0
    while start < len(data):
        field = source.field(start, len(data))
        declared = kind.fields_by_number.get(field.number)
        if declared is None or field.wire != COUNTED:
            out += data[start : field.end]
        else:
            value = _restored_value(data[field.start : field.end], declared)
            out += counted(field.number, len(value)) + value
        start = field.end
    return bytes(out)


def _restored_value(value: bytes, declared: FieldDescriptor) -> bytes:
    if declared.message_type is not None:
        return _restored(value, declared.message_type)
    return bytes_of(value.decode()) if declared.type == FieldDescriptor.TYPE_STRING else value


def is_utf8(path: Path) -> bool:
    """Whether a path can be handed to a library that takes UTF-8 alone."""
    return bytes_of(str(path)) == str(path).encode(errors="replace")


def readable(text: str) -> str:
    """A text or a message's string for people: what is no UTF-8 as GBK where it can be that, else as
    Windows' Latin-1 (cp1252).
    """
    return _ODD_RUN.sub(lambda run: _guessed(bytes_of(run[0])), text)


def _guessed(data: bytes) -> str:
    try:
        return data.decode("gbk")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")

"""Damaged files: a text or a weight file, changed in a few places as a seed says."""

import re
from collections.abc import Callable, Sequence
from random import Random

_TOKEN = re.compile(r"\w+|\"[^\"]*\"|[^\s\w]")
_NUMBERS = (
    *("0", "-1", "1", "2", "7", "65536", "2147483647", "2147483648", "4294967295", "-2147483649", "1e38"),
    *("1e400", "nan", "-inf", "0.5", "1e-45", "18446744073709551616", "0x10", "true", '"x"', "MAX", "{}"),
)
_PIECES = (*"{}\"':[],#\\\0\ufeff\r\u00e9", "/*", "layer {", "<")


def mutated_text(text: str, other: str, changes: int, draw: Random) -> str:
    """``text`` with so many changes; some take a piece of ``other``."""
    for _ in range(changes):
        text = draw.choice(_OF_TEXT)(text, other, draw)
    return text


def mutated_bytes(data: bytes, other: bytes, changes: int, draw: Random) -> bytes:
    """``data`` with so many changes; some take a piece of ``other``."""
    for _ in range(changes):
        data = draw.choice(_OF_BYTES)(data, other, draw)
    return data


def _span(length: int, draw: Random, most: int) -> tuple[int, int]:
    start = draw.randint(0, length)
    return start, min(length, start + draw.randint(0, most))


def _cut(text: str, other: str, draw: Random) -> str:
    start, end = _span(len(text), draw, 60)
    return text[:start] + text[end:]


def _end(text: str, other: str, draw: Random) -> str:
    return text[: draw.randint(0, len(text))]


def _twice(text: str, other: str, draw: Random) -> str:
    start, end = _span(len(text), draw, 200)
    return text[:end] + text[start:end] * draw.randint(1, 3) + text[end:]


def _piece(text: str, other: str, draw: Random) -> str:
    at = draw.randint(0, len(text))
    return text[:at] + draw.choice(_PIECES) + text[at:]


def _spliced(text: str, other: str, draw: Random) -> str:
    (start, end), at = _span(len(other), draw, 300), draw.randint(0, len(text))
    return text[:at] + other[start:end] + text[at:]


def _number(text: str, other: str, draw: Random) -> str:
    return _replaced(text, re.compile(r"-?\b\d[\d.e+-]*\b"), draw.choice(_NUMBERS), draw)


def _token(text: str, other: str, draw: Random) -> str:
    """A token becomes another of this text or of the other: a type, a field, a blob's name."""
    source = draw.choice((text, other))
    start = draw.randint(0, max(len(source) - 1, 0))
    token = _TOKEN.search(source, start)
    return _replaced(text, _TOKEN, token[0] if token else "", draw)


def _replaced(text: str, pattern: re.Pattern[str], new: str, draw: Random) -> str:
    match = pattern.search(text, draw.randint(0, len(text)))
    return text[: match.start()] + new + text[match.end() :] if match else text


def _bits(data: bytes, other: bytes, draw: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(min(len(data), draw.choice((1, 1, 2, 8)))):
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _head(data: bytes, other: bytes, draw: Random) -> bytes:
    """A byte near the beginning, where names, counts and shapes stand."""
    at = draw.randrange(min(len(data), 200)) if data else 0
    return data[:at] + bytes([draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))]) + data[at + 1 :]


def _cut_bytes(data: bytes, other: bytes, draw: Random) -> bytes:
    start, end = _span(len(data), draw, 64)
    return data[:start] + data[end:]


def _end_bytes(data: bytes, other: bytes, draw: Random) -> bytes:
    return data[: draw.randint(0, len(data))]


def _varint(data: bytes, other: bytes, draw: Random) -> bytes:
    """A number of ten bytes, as large as protobuf takes."""
    at = draw.randint(0, len(data))
    return data[:at] + b"\xff" * draw.choice((4, 9)) + b"\x01" + data[at:]


def _spliced_bytes(data: bytes, other: bytes, draw: Random) -> bytes:
    (start, end), at = _span(len(other), draw, 200), draw.randint(0, len(data))
    return data[:at] + other[start:end] + data[at:]


_OF_TEXT: Sequence[Callable[[str, str, Random], str]]
_OF_TEXT = (_cut, _end, _twice, _piece, _spliced, _number, _number, _number, _token, _token, _token)
_OF_BYTES: Sequence[Callable[[bytes, bytes, Random], bytes]]
_OF_BYTES = (_bits, _bits, _head, _head, _cut_bytes, _end_bytes, _varint, _spliced_bytes)

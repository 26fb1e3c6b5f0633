"""Escapes of single bytes, as protobuf for C++ prints a string that is not ASCII."""

import re

from prototxt.rawbytes import text_of, to_message
from prototxt.scan import tokens

# A run of escapes that stand for a byte each, or any other escape.
_ESCAPES = re.compile(r"(?P<bytes>(?:\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}))+)|\\.")


def without_byte_escapes(text: str) -> str:
    """The text with the strings that escape bytes which are no UTF-8 (``"\\326\\320"``, as protobuf for C++
    prints them) spelt out; protobuf for Python refuses such escapes.
    """
    parts, end = [], 0
    for token in tokens(text):
        if token.kind == "string":
            parts += [text[end : token.offset], _ESCAPES.sub(_spelt, token.text)]
            end = token.offset + len(token.text)
    return "".join([*parts, text[end:]])


def _spelt(match: re.Match[str]) -> str:
    """What stands for a run of octal and hexadecimal escapes: characters, and escapes for those of ASCII."""
    if match["bytes"] is None:
        return match[0]
    values = [
        int(digits.replace("x", "0x"), 0 if digits[0] == "x" else 8) for digits in match[0].split("\\")[1:]
    ]
    text = to_message(text_of(bytes(value & 0xFF for value in values)))
    return "".join(char if char >= "\x80" else f"\\{ord(char):03o}" for char in text)

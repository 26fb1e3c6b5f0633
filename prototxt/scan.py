"""Where things stand in a prototxt: its tokens and its tree of blocks, read without any schema.

protobuf's own errors name a line and a column; this says in which layer that is, and finds what is wrong with
braces and quotes before protobuf stumbles over what follows from it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from prototxt.errors import InputError

# protobuf's limit for binary messages, so that whatever reads as text can be written as bytes.
MAX_DEPTH = 100

# The words and numbers are those of protobuf's text format.
_TOKEN = re.compile(
    r"""(?P<blank>(?:\s|\#[^\n]*)+)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<word>[a-zA-Z_][0-9a-zA-Z_+-]*|(?:[0-9+-]|\.[0-9])[0-9a-zA-Z_.+-]*)
    |(?P<mark>.)""",
    re.VERBOSE,
)
_CLOSES = {"}": "{", ">": "<"}
# A backslash with what protobuf's tokenizer takes after it (tokenizer.cc, ConsumeString), or else alone.
_ESCAPE = re.compile(
    r"""\\(?:(?P<known>[abfnrtv\\?'"]|[0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}
    |U(?:000[0-9a-fA-F]|0010)[0-9a-fA-F]{4})|.)""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """One word, string or mark; ``offset`` counts characters from the start of the text."""

    kind: str
    text: str
    offset: int


@dataclass
class Block:
    """A ``field { … }`` of the text; the text as a whole is the block without a name."""

    name: str
    index: int
    start: int
    end: int
    opening: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    blocks: list["Block"] = field(default_factory=list)


class Position(NamedTuple):
    """A line and column, from 1."""

    line: int
    column: int


def position_of(text: str, offset: int) -> Position:
    """The line and column of a character."""
    return Position(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def offset_of(text: str, line: int, column: int) -> int:
    """The reverse of :func:`position_of`."""
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    return start + column - 1


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a cleaned text, without blanks and comments."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup and match.lastgroup != "blank":
            yield Token(match.lastgroup, match[0], match.start())


def scan(text: str, name: str) -> Block:
    """The tree of blocks of a cleaned text.

    Raises InputError for a string without its closing quote, a brace without its partner and for blocks
    nested deeper than ``MAX_DEPTH``.
    """
    return _Scanner(text, name).run()


def path_to(root: Block, offset: int) -> list[Block]:
    """The blocks around a character, outermost first, without the text itself."""
    path: list[Block] = []
    blocks = root.blocks
    while around := next((block for block in blocks if block.start <= offset < block.end), None):
        path.append(around)
        blocks = around.blocks
    return path


class _Scanner:
    """The stack of open blocks, and the field that the next value or block belongs to."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name
        self.stack = [Block("", 0, 0, len(text))]
        self.field = ""
        self.lists = 0
        self.before = ""

    def run(self) -> Block:
        for token in tokens(self.text):
            self.take(token)
            self.before = token.text
        if len(self.stack) > 1:
            raise self.error(len(self.text), self.unclosed())
        return self.stack[0]

    def take(self, token: Token) -> None:
        if token.kind == "word":
            self.word(token)
        elif token.kind == "string":
            self.string(token)
        elif token.text in "\"'":
            raise self.error(token.offset, f"this string has no closing {token.text} on its line")
        elif token.text in "{<":
            self.open(token)
        elif token.text in "}>":
            self.close(token)
        elif token.text in "[]":
            self.lists = max(0, self.lists + (1 if token.text == "[" else -1))
        elif "\udc80" <= token.text <= "\udcff":
            byte = ord(token.text) - 0xDC00
            raise self.error(
                token.offset,
                f"the byte 0x{byte:02x}, outside strings and comments, is not UTF-8; save the file as UTF-8",
            )

    def word(self, token: Token) -> None:
        """A word names a field unless a value is due."""
        if self.before != ":" and not self.lists:
            self.field = token.text
            self.stack[-1].fields.append(token.text)

    def string(self, token: Token) -> None:
        for escape in _ESCAPE.finditer(token.text):
            if escape["known"] is None:
                raise self.error(
                    token.offset + escape.start(),
                    f'"{escape[0]}" in the string {token.text} is no escape; write a backslash as "\\\\", '
                    'and a path with "/"',
                )
        self.stack[-1].texts.setdefault(self.field, token.text[1:-1])

    def open(self, token: Token) -> None:
        around = self.stack[-1]
        block = Block(self.field, around.counts[self.field], token.offset, len(self.text), token.text)
        around.counts[self.field] += 1
        around.blocks.append(block)
        self.stack.append(block)
        self.lists = 0
        if len(self.stack) - 1 > MAX_DEPTH:
            raise self.error(token.offset, f"blocks are nested deeper than {MAX_DEPTH} levels")

    def close(self, token: Token) -> None:
        if len(self.stack) == 1:
            raise self.error(token.offset, f"this {token.text} closes nothing")
        block = self.stack[-1]
        if block.opening != _CLOSES[token.text]:
            raise self.error(token.offset, f"{token.text} where {self.unclosed()}")
        block.end = token.offset + 1
        self.stack.pop()
        self.field = block.name  # a list of blocks, [{ … }, { … }], names its field once

    def unclosed(self) -> str:
        block = self.stack[-1]
        line = position_of(self.text, block.start).line
        label = f' "{block.texts["name"]}"' if "name" in block.texts else ""
        return (
            f'{block.name or "the block"}{label}, opened with "{block.opening}" in line {line}, is not closed'
        )

    def error(self, offset: int, message: str) -> InputError:
        line, column = position_of(self.text, offset)
        return InputError(f"{self.name}:{line}:{column}: {message}")

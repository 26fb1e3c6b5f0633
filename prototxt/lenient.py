"""Reading a text without the fields that the schema lacks: ``--lenient`` of the command line.

Whoever asks for it does so around what reads, ``with lenient(): load_net(…)``; without it such a field is
an error.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from prototxt.forks import clear, unhonoured_of_solver
from prototxt.scan import Token, position_of, tokens

_LENIENT: ContextVar[bool] = ContextVar("lenient", default=False)
_CLOSING = {"{": "}", "<": ">", "[": "]"}
_END = Token("end", "", -1)


@contextmanager
def lenient(wanted: bool = True) -> Iterator[None]:
    """In the block, what reads a prototxt leaves unknown fields out, with a warning each."""
    before = _LENIENT.set(wanted)
    try:
        yield
    finally:
        _LENIENT.reset(before)


def is_lenient() -> bool:
    """Whether unknown fields are left out here, and not refused."""
    return _LENIENT.get()


def without_unknown(text: str, kind: type[Message], name: str, warn: Callable[[str], None]) -> str:
    """A cleaned text with the fields blanked that ``kind`` and the messages in it lack; lines and columns
    stay. ``warn`` takes a line for each, with ``name``, which is the file's.
    """
    known = text
    for field in _Walk(text).fields(cast(Descriptor, kind.DESCRIPTOR)):
        line = position_of(text, field.start).line
        warn(f'{name}:{line}: the field "{field.name}" of {field.kind} is unknown and left out')
        blank = "".join("\n" if char == "\n" else " " for char in text[field.start : field.end])
        known = known[: field.start] + blank + known[field.end :]
    return known


def leave_out(
    message: Message, apart: Collection[str], text: str, name: str, warn: Callable[[str], None]
) -> None:
    """Clear the fields of forks that no solver here honours, a line to ``warn`` for each; ``text`` is what
    the solver was read from.
    """
    for path in unhonoured_of_solver(message, apart):
        offset = next((token.offset for token in tokens(text) if token.text == path.partition(".")[0]), 0)
        where = f"{name}:{position_of(text, offset).line}"
        warn(f"{where}: the field {path} of forks is honoured by nothing here and left out")
        clear(message, path)


class _Unknown(NamedTuple):
    """A field that its message lacks, with its value in ``text[start:end]``."""

    name: str
    kind: str
    start: int
    end: int


class _Walk:
    """The tokens of a text, taken one after the other beside the schema."""

    def __init__(self, text: str) -> None:
        self.tokens = list(tokens(text))
        self.at = 0

    def peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else _END

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def fields(self, kind: Descriptor) -> Iterator[_Unknown]:
        """The unknown ones among the fields up to the end of this block, and in the blocks of the others."""
        while self.peek().text not in ("}", ">", ""):
            name = self.take()
            if name.kind != "word":
                continue
            if self.peek().text == ":":
                self.take()
            declared = kind.fields_by_name.get(name.text)
            if declared is None:
                yield _Unknown(name.text, kind.name, name.offset, self.skip())
            elif declared.message_type:
                yield from self.blocks(declared.message_type)
            else:
                self.skip()

    def blocks(self, kind: Descriptor) -> Iterator[_Unknown]:
        """The unknown fields of a block, or of each in a list of them."""
        opening = self.peek().text
        if opening == "[":
            while self.peek().text not in ("]", ""):
                self.take()
                yield from self.blocks(kind)
            self.take()
        elif opening in ("{", "<"):
            self.take()
            yield from self.fields(kind)
            self.take()

    def skip(self) -> int:
        """Pass a value, and say where it ends; strings beside each other are one value."""
        token = self.take()
        if token.text in _CLOSING:
            while self.peek().text not in (_CLOSING[token.text], ""):
                self.skip()
            token = self.take()
        while token.kind == "string" and self.peek().kind == "string":
            token = self.take()
        return token.offset + len(token.text)

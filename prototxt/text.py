"""Prototxt text to messages and back.

What reads here is what protobuf's text format reads, after :mod:`prototxt.clean` has undone what copying from
a web page does. :func:`parse` reads older syntax (V0, V1, ``input:``, ``solver_type``) as it stands; the
readers of nets and solvers turn it into today's.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import EncodeError, Message

from prototxt.byte_escapes import without_byte_escapes
from prototxt.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from prototxt.clean import clean, describe
from prototxt.dialect import as_comments, as_fields
from prototxt.encoding import read_text
from prototxt.errors import InputError
from prototxt.explain import explain
from prototxt.forks import PASSED_OVER, harmless_fields
from prototxt.lenient import is_lenient, leave_out, without_unknown
from prototxt.rawbytes import from_message, readable, to_message
from prototxt.scan import Block, position_of, scan
from prototxt.upgrade import quiet, upgrade_net, upgrade_solver

_NETS = ("net_param", "train_net_param", "test_net_param")

Warn = Callable[[str], None]
M = TypeVar("M", bound=Message)


def to_stderr(line: str) -> None:
    """The default for ``warn``: one line on the standard error stream."""
    print(readable(line), file=sys.stderr)


def read_net(path: Path | str, warn: Warn = to_stderr) -> NetParameter:
    """A net from its file, in today's syntax.

    Raises InputError: ``file:line:column: …`` for what is wrong with the text.
    """
    return parse_net(read_text(path), str(path), warn)


def read_solver(path: Path | str, warn: Warn = to_stderr) -> SolverParameter:
    """A solver from its file, in today's syntax; the net that it names is not read. Raises InputError,
    as for a net.
    """
    return parse_solver(read_text(path), str(path), warn)


def parse_net(text: str, name: str = "<text>", warn: Warn = to_stderr) -> NetParameter:
    """A net from its text, upgraded to today's syntax. Raises InputError, with file and line."""
    message = _not_empty(parse(text, NetParameter, name, warn), name)
    with _upgrading(name, text):
        return upgrade_net(message, lambda line: warn(f"{name}: {line}"))


def parse_solver(text: str, name: str = "<text>", warn: Warn = to_stderr) -> SolverParameter:
    """A solver from its text, upgraded to today's syntax. Raises InputError, with the file."""
    message = _not_empty(parse(text, SolverParameter, name, warn), name)
    if is_lenient():
        leave_out(message, _NETS, text, name, warn)
    with _upgrading(name, text):
        return upgrade_solver(message, lambda line: warn(f"{name}: {line}"))


def is_solver(text: str, name: str = "<text>") -> bool:
    """Whether more of the text's fields are a solver's than a net's. Raises InputError for broken braces."""
    fields = scan(clean(text).text, name).fields
    solver, net = (
        sum(field in kind.DESCRIPTOR.fields_by_name for field in fields)
        for kind in (SolverParameter, NetParameter)
    )
    return solver > net


@contextmanager
def _upgrading(name: str, text: str) -> Iterator[None]:
    """Give every InputError the file, and the line of the layer that it is about."""
    try:
        yield
    except InputError as error:
        if error.layer is None:
            raise InputError(f"{name}: {error}") from None
        with located(name, text):
            raise


def _not_empty(message: M, name: str) -> M:
    if not message.ListFields():
        raise InputError(f"{name}: is empty")
    return message


def parse(text: str, message_type: type[M], name: str = "<text>", warn: Warn = to_stderr) -> M:
    """A message from a prototxt's text; ``name`` stands for the file in errors and in the one warning.

    Raises InputError: ``name:line:column: where: what is wrong``, as one line.
    """
    if text.lstrip("\ufeff \t\r\n")[:9].lower().startswith(("<!doctype", "<html")):
        raise InputError(f"{name}: is a web page, not a prototxt; save the file itself")
    cleaned = clean(text)
    plain = _with_dialects(cleaned.text, message_type, name)
    root = scan(plain, name)
    known = without_unknown(plain, message_type, name, warn) if is_lenient() else plain
    message = _parse(known, message_type, name, root)
    if cleaned.counts:
        warn(describe(name, cleaned.counts))
    if fields := harmless_fields(message):
        warn(f"{name}: {', '.join(fields)}: {PASSED_OVER}")
    return message


def _with_dialects(text: str, message_type: type[Message], name: str) -> str:
    """The cleaned text, in a net's, or in those of a solver's, the comments about dialects as fields."""
    if message_type is NetParameter:
        return as_fields(text)
    for block in scan(text, name).blocks if "# dialect: " in text else ():
        if block.name in _NETS:
            text = text[: block.start] + as_fields(text[block.start : block.end]) + text[block.end :]
    return text


def _parse(text: str, message_type: type[M], name: str, root: Block) -> M:
    message = message_type()
    plain = to_message(text)  # as long as the text, so that protobuf counts its columns
    try:
        text_format.Parse(plain, message)
    except (text_format.ParseError, ValueError) as error:
        if "Couldn't parse string" in str(error) and (spelt := without_byte_escapes(plain)) != plain:
            return _parse(spelt, message_type, name, scan(spelt, name))
        raise InputError(f"{name}:{explain(text, root, message, error)}") from None
    if not message.IsInitialized():
        raise InputError(
            f"{name}: {message_type.DESCRIPTOR.name}: {_missing(message)} is required and not given"
        )
    return message


def _missing(message: Message) -> str:
    """The required fields that are not set; protobuf tells them only to whoever writes the message out."""
    try:
        message.SerializeToString()
    except EncodeError as error:
        return str(error).rpartition(": ")[2]
    return "nothing"


def locate(text: str, layer: str, message: LayerParameter | None = None) -> int | None:
    """The line, from 1, of the layer of that name in a net's text, or in the nets of a solver's, or None.

    Of several of one name it is the one most like ``message``, which a variant may have changed; without
    that the first. The text must be one that :func:`parse` reads.
    """
    cleaned = to_message(clean(text).text)
    blocks = [block for block in _layers(scan(cleaned, "<text>")) if layer in _names(block)]
    if message is not None and len(blocks) > 1:
        lines = Counter(to_text(message).splitlines())
        blocks.sort(key=lambda block: _difference(lines, f"{block.name} {cleaned[block.start : block.end]}"))
    return position_of(cleaned, blocks[0].start).line if blocks else None


def _layers(root: Block) -> Iterator[Block]:
    """The blocks of a text's layers, and of the layers of nets written out in a solver's."""
    for block in root.blocks:
        if block.name in ("layer", "layers"):
            yield block
        elif block.name in _NETS:
            yield from _layers(block)


def _names(block: Block) -> list[str]:
    """A layer's name; a V0 layer has it in a ``layer`` of its own."""
    inner = block.blocks if block.name == "layers" else []
    return [each.texts.get("name", "") for each in (block, *inner)]


def _difference(lines: Counter[str], text: str) -> int:
    """In how many lines a layer's text, as it is printed in today's syntax, differs from ``lines``."""
    net = upgrade_net(parse(text, NetParameter, warn=quiet))
    theirs = Counter(to_text(net.layer[0]).splitlines())
    return ((lines - theirs) + (theirs - lines)).total()


@contextmanager
def located(name: str, text: str) -> Iterator[None]:
    """Give an InputError the file, and where it is about a layer the line where ``text`` defines that."""
    try:
        yield
    except InputError as error:
        if error.layer is None:
            raise
        line = locate(text, error.layer, error.message)
        where = f"{name}:{line}" if line else name  # a layer that a variant put in has no line
        raise InputError(f'{where}: layer "{error.layer}": {error}') from None


def to_text(message: Message) -> str:
    """A message as prototxt: two blanks a level, floats as short as they read back, enum values by name.

    Bytes that are no UTF-8 are lone surrogates, as in :func:`read_text`.
    """
    return as_comments(from_message(text_format.MessageToString(message, as_utf8=True)))

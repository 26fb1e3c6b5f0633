"""Prototxt text to messages and back.

What reads here is what protobuf's text format reads, after :mod:`prototxt.clean` has undone what copying from
a web page does. :func:`parse` reads older syntax (V0, V1, ``input:``, ``solver_type``) as it stands; the
readers of nets and solvers turn it into today's.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import EncodeError, Message

from prototxt.caffe_pb2 import NetParameter, SolverParameter
from prototxt.clean import clean, describe
from prototxt.errors import InputError
from prototxt.explain import explain
from prototxt.scan import Block, place, scan
from prototxt.upgrade import upgrade_net, upgrade_solver

Warn = Callable[[str], None]
M = TypeVar("M", bound=Message)


def to_stderr(line: str) -> None:
    """The default for ``warn``: one line on the standard error stream."""
    print(line, file=sys.stderr)


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


def read_text(path: Path | str) -> str:
    """A file's text, in UTF-8 or in UTF-16 with a byte-order mark.

    Raises InputError for a file that cannot be read, is binary or is in another encoding.
    """
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a prototxt file") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return decode(data, str(path))


def decode(data: bytes, name: str) -> str:
    """The text of a prototxt's bytes; a byte-order mark stays in it, to be counted as the others are."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _decode_as("utf-16", data, name)
    if b"\0" in data:
        raise InputError(f"{name}: is binary, as a .caffemodel is, and not a prototxt")
    return _decode_as("utf-8", data, name)


def _decode_as(encoding: str, data: bytes, name: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        where = f"{name}:{line}: byte {error.start} (0x{byte:02x})"
        raise InputError(f"{where} is not {encoding.upper()}; save the file as UTF-8") from None


def parse(text: str, message_type: type[M], name: str = "<text>", warn: Warn = to_stderr) -> M:
    """A message from a prototxt's text; ``name`` stands for the file in errors and in the one warning.

    Raises InputError: ``name:line:column: where: what is wrong``, as one line.
    """
    if text.lstrip("\ufeff \t\r\n")[:9].lower().startswith(("<!doctype", "<html")):
        raise InputError(f"{name}: is a web page, not a prototxt; save the file itself")
    cleaned = clean(text)
    root = scan(cleaned.text, name)
    message = _parse(cleaned.text, message_type, name, root)
    if cleaned.counts:
        warn(describe(name, cleaned.counts))
    return message


def _parse(text: str, message_type: type[M], name: str, root: Block) -> M:
    message = message_type()
    try:
        text_format.Parse(text, message)
    except (text_format.ParseError, ValueError) as error:
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


def locate(text: str, layer: str) -> int | None:
    """The line, from 1, of the first layer of that name in a net's text, or None.

    The text must be one that :func:`parse` reads. A V0 layer has its name in a ``layer`` of its own.
    """
    cleaned = clean(text).text
    for block in scan(cleaned, "<text>").blocks:
        inner = block.blocks if block.name == "layers" else []
        if block.name in ("layer", "layers") and layer in (b.texts.get("name") for b in (block, *inner)):
            return place(cleaned, block.start).line
    return None


@contextmanager
def located(name: str, text: str) -> Iterator[None]:
    """Give an InputError the file, and where it is about a layer the line where ``text`` defines that."""
    try:
        yield
    except InputError as error:
        if error.layer is None:
            raise
        line = locate(text, error.layer)
        where = f"{name}:{line}" if line else name  # a layer that a variant put in has no line
        raise InputError(f'{where}: layer "{error.layer}": {error}') from None


def to_text(message: Message) -> str:
    """A message as prototxt: two blanks a level, floats as short as they read back, enum values by name."""
    return text_format.MessageToString(message, as_utf8=True)

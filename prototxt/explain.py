"""protobuf's complaints about a prototxt in words that help whoever wrote it.

protobuf names a line, a column and the generated message type; a user knows layers and fields.
"""

import re
from collections.abc import Callable
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from prototxt import caffe_pb2
from prototxt.errors import nearest
from prototxt.scan import Block, Token, offset_of, path_to, position_of, tokens

_END = Token("end", "", -1)
_MAX_HOMES = 4

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_TAKES = {
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_STRING: "a string in quotes",
}
_SIBLINGS = {
    "NetParameter": (caffe_pb2.SolverParameter.DESCRIPTOR, "a solver's text; a net's is expected here"),
    "SolverParameter": (caffe_pb2.NetParameter.DESCRIPTOR, "a net's text; a solver's is expected here"),
}


def explain(text: str, root: Block, message: Message, error: Exception) -> str:
    """``line:column: path: what is wrong``, of a ParseError that protobuf raised on ``text``."""
    top = cast(Descriptor, message.DESCRIPTOR)
    line = getattr(error, "GetLine", lambda: None)() or 1
    column = getattr(error, "GetColumn", lambda: None)() or 1
    offset = offset_of(text, line, column)
    path = [block for block in path_to(root, offset) if block.start < offset]
    types = _types(top, path)
    problem = _problem(str(error), _before(text, offset), [root, *path], types)
    at = position_of(text, offset)
    return f"{at.line}:{at.column}: {describe_path(top, path)}: {problem}"


def describe_path(top: Descriptor, path: list[Block]) -> str:
    """Such as ``NetParameter layer[3] "conv1" convolution_param``; positions count from 0, as Caffe's do."""
    words = [top.name]
    for block, kind in zip(path, _types(top, path), strict=False):
        declared = kind.fields_by_name.get(block.name)
        words.append(f"{block.name}[{block.index}]" if declared and declared.is_repeated else block.name)
        if "name" in block.texts:
            words.append(f'"{block.texts["name"]}"')
    return " ".join(words)


def _types(top: Descriptor, path: list[Block]) -> list[Descriptor]:
    """The message type of the text and of each block on the path, as far as the schema knows them."""
    types = [top]
    for block in path:
        declared = types[-1].fields_by_name.get(block.name)
        if declared is None or declared.message_type is None:
            break
        types.append(declared.message_type)
    return types


def _before(text: str, offset: int) -> list[Token]:
    """The tokens up to the one at ``offset``, which is the last of them, or the end of the text."""
    before: list[Token] = []
    for token in tokens(text):
        if token.offset > offset:
            break
        before.append(token)
    return before if before and before[-1].offset == offset else [*before, _END]


def _problem(said: str, before: list[Token], blocks: list[Block], types: list[Descriptor]) -> str:
    handlers: dict[str, Callable[[re.Match[str]], str]] = {
        r'has no field named "(.*)"': lambda match: _unknown(match[1], blocks, types),
        r'should not have multiple "(.*)" fields': lambda match: f"{match[1]} is given twice",
        r'Expected "([:{,])"\.': lambda match: _expected(match[1], before, types[-1]),
        r"Expected identifier": lambda match: f"a field name is expected, not {_quoted(before[-1])}",
        # protobuf is one token further when it finds that out.
        r"Couldn't parse string: 'utf-8'": lambda match: "the string before this is not UTF-8",
        r"does not have extensions": lambda match: 'unexpected "["',
    }
    for pattern, handler in handlers.items():
        match = re.search(pattern, said)
        if match:
            return handler(match)
    field = types[-1].fields_by_name.get(_field_before(before))
    return _wrong_value(field, before[-1], said) if field else _plain(said)


def _unknown(name: str, blocks: list[Block], types: list[Descriptor]) -> str:
    kind = types[-1]
    hint = (
        _other_text(name, blocks, types)
        or _home(name, blocks, types)
        or nearest(name, (field.name for field in kind.fields))
    )
    return f'no field "{name}" in {kind.name}{hint}'


def _other_text(name: str, blocks: list[Block], types: list[Descriptor]) -> str:
    """A solver where a net is expected, or the reverse: more of the fields belong to the other."""
    kind = types[-1]
    if len(types) > 1 or kind.name not in _SIBLINGS:
        return ""
    other, what = _SIBLINGS[kind.name]
    theirs = sum(field in other.fields_by_name for field in blocks[0].fields)
    ours = sum(field in kind.fields_by_name for field in blocks[0].fields)
    return f"; this looks like {what}" if name in other.fields_by_name and theirs > ours else ""


def _home(name: str, blocks: list[Block], types: list[Descriptor]) -> str:
    """Where the field does exist: in a block of this one, beside it, or further out."""
    for depth in range(len(types) - 1, -1, -1):
        kind = types[depth]
        if depth < len(types) - 1 and name in kind.fields_by_name:
            return f"; it belongs outside, in {_called(blocks[depth], kind)}"
        homes = [
            field.name
            for field in sorted(kind.fields, key=lambda field: field.number)  # Caffe's before those of forks
            if field.message_type and name in field.message_type.fields_by_name
        ]
        homes = _of_type(homes, blocks[depth])
        if homes and depth:
            more = " …" if len(homes) > _MAX_HOMES else ""
            return f"; it belongs in {' or '.join(homes[:_MAX_HOMES])}{more}"
    return ""


def _called(block: Block, kind: Descriptor) -> str:
    return block.name or kind.name


def _of_type(homes: list[str], block: Block) -> list[str]:
    """The one that a layer's type names, when one does: ``convolution_param`` for ``Convolution``."""
    kind = block.texts.get("type", "").lower()
    return [home for home in homes if home.removesuffix("_param").replace("_", "") == kind] or homes


def _expected(mark: str, before: list[Token], kind: Descriptor) -> str:
    name = _field_before(before)
    field = kind.fields_by_name.get(name)
    if mark == ",":
        return f'"," or "]" is expected in this list, not {_quoted(before[-1])}'
    if mark == "{" and field:
        return f"{name} is a block, {name} {{ … }}; it cannot be {_quoted(before[-1])}"
    if before[-1].text in ("{", "<") and field:
        return f"{name} takes {_takes(field)}, not a block"
    return f'"{mark}" is expected after {name}, not {_quoted(before[-1])}'


def _field_before(before: list[Token]) -> str:
    """The field that the last token is a value of, or follows."""
    texts = [token.text for token in before[:-1]]
    if texts and texts[-1] in (":", "[", ",") and ":" in texts:
        del texts[len(texts) - 1 - texts[::-1].index(":") :]
    return texts[-1] if texts else ""


def _wrong_value(field: FieldDescriptor, value: Token, said: str) -> str:
    if value is _END or value.text in ("}", ">"):
        return f"{field.name} has no value; it takes {_takes(field)}"
    if field.enum_type:
        return _wrong_enum(field, value, [known.name for known in field.enum_type.values])
    if value.kind == "string" and field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return f"{field.name}: {_plain(said)}"
    return f"{field.name} takes {_takes(field)}, not {_quoted(value)}"


def _wrong_enum(field: FieldDescriptor, value: Token, names: list[str]) -> str:
    bare = value.text.strip("\"'")
    if bare in names:
        return f"{field.name} takes {bare} without quotes"
    hint = nearest(bare.upper(), names) or "."
    return f"{field.name} cannot be {_quoted(value)}{hint} It takes {_takes(field)}"


def _takes(field: FieldDescriptor) -> str:
    """What one may write after a field's colon."""
    if field.enum_type:
        return ", ".join(value.name for value in field.enum_type.values)
    if field.cpp_type in _INTEGERS:
        low, high = _INTEGERS[field.cpp_type]
        return f"a whole number from {low} to {high}"
    return _TAKES.get(field.cpp_type, "a block")


def _quoted(token: Token) -> str:
    if token is _END:
        return "the end of the file"
    if token.kind == "string":
        return f"the string {token.text}"
    return f'"{token.text}"'


def _plain(said: str) -> str:
    """protobuf's own words without its position and its copy of the line."""
    return re.sub(r"^(\d+:\d+ : )?('.*?': )?", "", said, flags=re.DOTALL).replace("\n", " ")

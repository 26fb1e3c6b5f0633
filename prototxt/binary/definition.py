"""The net that a ``.caffemodel`` holds beside its weights: the file's fields as our schema's.

A message of ours has Caffe's numbers, and those from 10000 on for what only forks have, which no file uses.
So each field is told by its number (:mod:`prototxt.binary.fork_numbers`), and one that is not told is an
error: protobuf would put it aside without a word, or read a fork's as Caffe's.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from prototxt.binary.fork_numbers import CAFFE, Meaning, asked_for, meanings, reads
from prototxt.binary.wire import (
    COUNTED,
    EIGHT_BYTES,
    FOUR_BYTES,
    VARINT,
    Field,
    Source,
    WireError,
    counted,
    encode_varint,
)
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from prototxt.forks import FIRST
from prototxt.rawbytes import text_of, to_message

Warn = Callable[[str], None]
_WIRES = {
    **dict.fromkeys((FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FIXED64), EIGHT_BYTES),
    **dict.fromkeys((FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED32), FOUR_BYTES),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE), COUNTED
    ),
}
_NAMES = {"LayerParameter": 1, "V1LayerParameter": 4, "V0LayerParameter": 1}  # of layers, their field `name`
_MOST_BYTES = 1 << 26  # of a definition, blobs apart: more is no net


@dataclass
class _Reader:
    """How fields are told: the forks ``asked`` for; ``spares`` says of a type that its layers are no part of
    what is deployed, so that what nobody knows of them is left out; so it is of all where ``is_lenient``.

    ``taken`` are the fields of forks that were read, by fork, ``left_out`` a line for each that was not.
    """

    source: Source
    asked: Collection[str]
    spares: Callable[[str], bool]
    is_lenient: bool
    layer: str = ""
    kind: str = ""
    taken: dict[str, dict[str, None]] = field(default_factory=dict)
    left_out: dict[str, None] = field(default_factory=dict)

    def message(self, start: int, end: int, kind: Descriptor) -> bytes:
        """The bytes of our message ``kind`` for the file's from ``start`` to ``end``."""
        parts: list[bytes] = []
        while start < end:
            found = self.source.field(start, end)
            start = found.end
            if kind.name in _NAMES and _is_blob(found, kind):
                continue
            declared = self.told(found, kind)
            if declared is not None:
                parts.append(self.value(found, declared))
        return b"".join(parts)

    def told(self, found: Field, kind: Descriptor) -> FieldDescriptor | None:
        """Which field of ours it is; None for one to be left out. Raises InputError for one not told."""
        every = meanings(kind.name, found.number, self.kind)
        own = kind.fields_by_number.get(found.number)
        own = own if own is not None and own.number < FIRST else None
        if own is not None and (kind.name != "LayerParameter" or reads(self.kind, own.number)):
            every.append(Meaning(own.name, (CAFFE,)))
        fitting = [x for x in every if _fits(found.wire, kind.fields_by_name[x.field])]
        chosen = asked_for(fitting, self.asked)
        if len({meaning.field for meaning in chosen}) == 1:
            return self.chosen(found, kind, chosen[0])
        if self.spares(self.kind) or (own is not None and not chosen and CAFFE in self.asked):
            return None  # as Caffe leaves alone what it does not read
        why = self._untold(found.number, kind, chosen, own)
        if not self.is_lenient:
            raise InputError(why, self.layer or None)
        self.left_out[f'layer "{self.layer}": field {found.number} of {kind.name} is left out'] = None
        return None

    def chosen(self, found: Field, kind: Descriptor, meaning: Meaning) -> FieldDescriptor:
        """The field that a meaning names, noted where it is a fork's and counts."""
        if CAFFE not in meaning.forks and kind.name == "LayerParameter" and not self.spares(self.kind):
            self.taken.setdefault(meaning.forks[0], {})[f"{meaning.field} ({found.number})"] = None
        return kind.fields_by_name[meaning.field]

    def notes(self) -> Iterator[str]:
        """What the user should be told."""
        yield from self.left_out
        if self.taken:
            forks = "; ".join(f"{fork}'s {', '.join(names)}" for fork, names in self.taken.items())
            yield f"fields of forks, told by their numbers and types of layers: {forks}"

    def _untold(
        self, number: int, kind: Descriptor, chosen: Collection[Meaning], own: FieldDescriptor | None
    ) -> str:
        where = f"field {number} of {kind.name}"
        if chosen:
            said = " or ".join(f"{meaning.field} ({', '.join(meaning.forks)})" for meaning in chosen)
            return f"{where} is used differently: it may be {said}: --dialect says whose it is"
        if own is not None:
            return (
                f"{where} is Caffe 1.0's {own.name}, which does not stand so in a layer of type "
                f'"{self.kind}": a fork\'s, and nothing tells whose: --dialect caffe leaves it out, as Caffe '
                "would, and a prototxt tells it by name"
            )
        return f"{where} is known to nothing here: a prototxt tells it by name, --lenient leaves it out"

    def value(self, found: Field, declared: FieldDescriptor) -> bytes:
        """The field's bytes under our number."""
        if declared.message_type is not None:
            before = self.layer, self.kind
            if declared.message_type.name in _NAMES:
                self.enter(found, declared.message_type.name)
            inner = self.message(found.start, found.end, declared.message_type)
            self.layer, self.kind = before
            return counted(declared.number, len(inner)) + inner
        data = self.source.peek(found.start, found.end - found.start)
        if declared.enum_type is not None:
            self.check_enum(data, declared)
        if declared.type == FieldDescriptor.TYPE_STRING:
            data = to_message(text_of(data)).encode()
        if found.wire == COUNTED:
            return counted(declared.number, len(data)) + data
        return encode_varint(declared.number << 3 | found.wire) + data

    def enter(self, found: Field, kind: str) -> None:
        """Know the layer's name and type, wherever in it they stand."""
        start = found.start
        while start < found.end:
            inner = self.source.field(start, found.end)
            start = inner.end
            if inner.wire == COUNTED and inner.number == _NAMES[kind]:
                self.layer = self._text(inner)
            elif inner.wire == COUNTED and inner.number == 2 and kind == "LayerParameter":
                self.kind = self._text(inner)

    def _text(self, found: Field) -> str:
        return to_message(text_of(self.source.peek(found.start, found.end - found.start)))

    def check_enum(self, data: bytes, declared: FieldDescriptor) -> None:
        """Raise InputError for a value that Caffe's enum does not have."""
        assert declared.enum_type is not None
        for value in _varints(data):
            known = declared.enum_type.values_by_number.get(value)
            if known is None and declared.name != "engine" and not self.spares(self.kind):
                raise InputError(f"{declared.name} has the value {value}, a fork's", self.layer or None)


def _is_blob(found: Field, kind: Descriptor) -> bool:
    own = kind.fields_by_number.get(found.number)
    return own is not None and own.name == "blobs" and found.wire == COUNTED


def _fits(wire: int, declared: FieldDescriptor) -> bool:
    """Whether a field of ours may stand so in a file; numbers that are repeated may be packed."""
    own = _WIRES.get(declared.type, VARINT)
    return wire == own or (wire == COUNTED and declared.is_repeated and own != COUNTED)


def _varints(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


def read_definition(
    source: Source,
    asked: Collection[str] = (),
    spares: Callable[[str], bool] = lambda kind: False,
    lenient: bool = False,
    warn: Warn = lambda line: None,
) -> NetParameter:
    """The net of a .caffemodel, without blobs, in the syntax (V0, V1 or today's) that the file has.

    ``asked``: the forks whose numbers count where several use one. ``spares`` says of a type of layers that
    nothing is lost with a field of them that nobody knows. Raises WireError where the file is not whole, and
    InputError, with the layer, for a field that is not told.
    """
    reader = _Reader(source, asked, spares, lenient)
    data = reader.message(0, source.size, cast(Descriptor, NetParameter.DESCRIPTOR))
    if len(data) > _MOST_BYTES:
        raise WireError(f"{len(data)} bytes of definitions")
    net = NetParameter()
    try:
        net.ParseFromString(data)
    except DecodeError as error:
        raise WireError(str(error)) from None
    for note in reader.notes():
        warn(note)
    return net

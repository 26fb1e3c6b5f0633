"""One type name, several rules: what tells them apart, in layers and in weight files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, nearest

if TYPE_CHECKING:
    from converters.layers.registry import Record

Blobs = Sequence[NDArray[np.float32]]  # the values of a layer's blobs, in Caffe's order
CAFFE = "caffe"  # the dialect of Caffe 1.0's own rule


@dataclass(frozen=True)
class Dialect:
    """What tells one rule of a type from the type's others.

    ``name`` is a fork's, or CAFFE of Caffe 1.0's own rule; ``also`` names others with the same rule.
    ``fields`` are those of the layer's message that the rule knows, of all that tell the type's rules apart
    ("bn_param.eps"), ``unread`` those that its fork has and no line of its code reads, which tell where no
    other rule knows them. ``needs_field``: it is taken only where one of its own is set, where no other takes
    as many bottoms and tops, or where it is asked for. Of a weight file, ``shapes`` says of the shapes of a
    layer's blobs whether they may be this rule's; ``excludes`` of the layer and the values of its blobs
    whether they cannot be; ``looks_so`` of all layers' values whether they look like this rule's (None: they
    do not tell), which chooses, but never without a notice. ``is_default``: it is taken where nothing tells
    it from others; of several such the first registered. ``of_net``: fields of a net that stand for one of
    each of its layers of the type that has none of its own. ``beside``: types of layers that its fork alone
    has, ``beside_fields`` fields of other layers, whose presence in a net tells where nobody asked for
    another, with a notice.
    """

    name: str
    also: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    shapes: Callable[[Sequence[Sequence[int]]], bool] | None = None
    excludes: Callable[[LayerParameter, Blobs], bool] | None = None
    looks_so: Callable[[Sequence[Blobs]], bool | None] | None = None
    needs_field: bool = False
    is_default: bool = False
    of_net: tuple[tuple[str, str], ...] = ()
    beside: tuple[str, ...] = ()
    beside_fields: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def has(self) -> tuple[str, ...]:
        """Every field that its fork has, read or not."""
        return self.fields + self.unread

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which it can be asked for."""
        return self.name, *self.also


_OWN = Dialect(CAFFE, is_default=True)  # the default, which knows no field of a fork


class Stored(NamedTuple):
    """A blob of a layer as a weight file has it; ``name`` only where the file names blobs."""

    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]
    name: str | None = None


def dialect_of(rule: "Record") -> Dialect:
    """A rule without one is Caffe 1.0's own."""
    return rule.dialect or _OWN


def has_field(message: Message, field: str) -> bool:
    """Whether a field such as "bn_param.eps" is set."""
    name, _, inner = field.partition(".")
    is_set = name in {item.name for item, _ in message.ListFields()}
    return is_set and (not inner or has_field(getattr(message, name), inner))


def fields_set(layer: LayerParameter, rules: "Sequence[Record]") -> set[str]:
    """Of the fields that tell the rules apart those that a layer sets."""
    return {name for rule in rules for name in dialect_of(rule).has if has_field(layer, name)}


def named(layer: LayerParameter, rules: "Sequence[Record]") -> "Record":
    """The rule that a layer's own ``dialect`` says. Raises InputError where the type has no such one."""
    for rule in rules:
        if layer.dialect in dialect_of(rule).names:
            return rule
    there = listed([dialect_of(rule).name for rule in rules], "or")
    hint = nearest(layer.dialect, [name for rule in rules for name in dialect_of(rule).names])
    raise InputError(f'{layer.type} has no dialect "{layer.dialect}": it is {there}{hint}', layer.name)


def check_recorded(layer: LayerParameter, rules: "Sequence[Record]", recorded: Sequence[str]) -> None:
    """Raise InputError where a layer's text speaks against the rules, by their ``recorded`` dialects, that
    its type had in a run that goes on.
    """
    known = [rule for rule in rules if set(dialect_of(rule).names) & set(recorded)]
    began = f"the run was begun by {listed(recorded, 'and')}'s rule of {layer.type}"
    if not known:
        raise InputError(f"{began}, which nobody knows here", layer.name, layer)
    if layer.dialect and named(layer, rules) not in known:
        raise InputError(f"{began}, and its text names {layer.dialect}'s now", layer.name, layer)
    fields = {field for rule in known for field in dialect_of(rule).has}
    if strange := sorted(fields_set(layer, rules) - fields):
        said = f"{began}, which does not know {listed(strange, 'and')}"
        raise InputError(f"{said}, and its text sets it now", layer.name, layer)


def listed(names: Iterable[str], word: str) -> str:
    """``a, b or c``, with that word."""
    *before, last = [*names] or [""]
    return f"{', '.join(before)} {word} {last}" if before else last

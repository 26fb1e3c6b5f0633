"""One type name, several rules: which fork's rule a net's layers of a type follow."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

if TYPE_CHECKING:
    from converters.layers.registry import Record

Values = Sequence[Sequence[NDArray[np.float32]]]  # of each layer, blob by blob


@dataclass(frozen=True)
class Dialect:
    """What tells one rule of a type from the type's others.

    ``name`` is a fork's, ``also`` names others with the same rule. ``fields`` are those of the layer's
    message that the rule knows, of all that tell the type's rules apart ("bn_param.eps"). ``shapes`` says of
    the shapes of a weight file's blobs whether they may be this rule's; ``values`` of all layers' blobs
    whether they are (None: they do not tell). ``needs_field``: one of its own is always set.
    ``is_default``: it is taken where nothing tells it from others; of several such the first registered.
    """

    name: str
    also: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    shapes: Callable[[Sequence[Sequence[int]]], bool] | None = None
    values: Callable[[Values], bool | None] | None = None
    needs_field: bool = False
    is_default: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which it can be asked for."""
        return self.name, *self.also


class Stored(NamedTuple):
    """A blob of a layer as a weight file has it; ``name`` only where the file names blobs."""

    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]
    name: str | None = None


class Choice(NamedTuple):
    """The rule of each layer, and what whoever builds the net should be told."""

    rules: "list[Record]"
    notice: str | None = None


def choose(
    layers: Sequence[LayerParameter],
    rules: "Sequence[Record]",
    asked: Collection[str] = (),
    stored: Mapping[str, Sequence[Stored]] | None = None,
) -> Choice:
    """The rules that ``layers``, all those of one type in a net, follow, of the ``rules`` of that type.

    In this order: a dialect ``asked`` for; what a layer's own ``dialect`` says; the fields that are set; the
    number, shapes and names of the blobs that a weight file has ``stored`` for the layers by name; those
    blobs' values; and the default. A net's layers follow one rule where one can be all of theirs.

    Raises InputError, naming the layer, for fields that no rule knows together, a dialect that the type does
    not have, and where nothing tells which rule it is and none is a default.
    """
    if wanted := [rule for rule in rules if rule.dialect and set(rule.dialect.names) & set(asked)]:
        return Choice([wanted[0]] * len(layers))
    stored = stored or {}
    each = [_possible(layer, rules, stored.get(layer.name, ())) for layer in layers]
    common = [rule for rule in rules if all(rule in possible for possible in each)]
    common = _by_values(common, [stored[x.name] for x in layers if stored.get(x.name)])
    chosen = [_first(layer, common or own) for layer, own in zip(layers, each, strict=True)]
    unsure = next((possible for possible in ([common] if common else each) if len(possible) > 1), None)
    return Choice(chosen, _notice(chosen[0], unsure) if unsure else None)


def _possible(layer: LayerParameter, rules: "Sequence[Record]", stored: Sequence[Stored]) -> "list[Record]":
    if layer.dialect:
        return [_named(layer, rules)]
    telling = {name for rule in rules for name in _dialect(rule).fields}
    given = {name for name in telling if _has(layer, name)}
    fitting = [rule for rule in rules if given <= set(_dialect(rule).fields)]
    fitting = [rule for rule in fitting if given or not _dialect(rule).needs_field]
    if not fitting:
        raise InputError(f"no rule of {layer.type} has {_listed(sorted(given), 'and')} together", layer.name)
    return [rule for rule in fitting if _may_be(rule, stored)] or fitting


def _named(layer: LayerParameter, rules: "Sequence[Record]") -> "Record":
    for rule in rules:
        if layer.dialect in _dialect(rule).names:
            return rule
    there = _listed([_dialect(rule).name for rule in rules], "or")
    raise InputError(f'{layer.type} has no dialect "{layer.dialect}": it is {there}', layer.name)


def _may_be(rule: "Record", stored: Sequence[Stored]) -> bool:
    """Whether a weight file's blobs of a layer, if it has any, can be this rule's."""
    if not stored:
        return True
    names = {blob.name for blob in stored}
    if None not in names and not names <= set(rule.blobs):
        return False
    shapes = _dialect(rule).shapes
    return shapes is None or shapes([blob.shape for blob in stored])


def _by_values(rules: "list[Record]", layers: Sequence[Sequence[Stored]]) -> "list[Record]":
    if len(rules) < 2 or not layers or not any(_dialect(rule).values for rule in rules):
        return rules
    told = {rule: test(_read(rule, layers)) for rule in rules if (test := _dialect(rule).values)}
    sure = [rule for rule, is_it in told.items() if is_it]
    return sure or [rule for rule in rules if told.get(rule) is not False] or rules


def _read(rule: "Record", layers: Sequence[Sequence[Stored]]) -> Values:
    """The values of those layers whose blobs can be this rule's."""
    return [[blob.read() for blob in blobs] for blobs in layers if _may_be(rule, blobs)]


def _first(layer: LayerParameter, rules: "Sequence[Record]") -> "Record":
    if len(rules) == 1:
        return rules[0]
    for rule in rules:
        if _dialect(rule).is_default:
            return rule
    names = _listed([_dialect(rule).name for rule in rules], "or")
    reason = f"type {layer.type} has several rules, and nothing tells which: --dialect (dialect=) {names}"
    raise InputError(reason, layer.name)


def _notice(chosen: "Record", rules: "Sequence[Record]") -> str:
    names = _listed([_dialect(rule).name for rule in rules], "or")
    return (
        f"{chosen.type} may be that of {names}, which have different rules: taken as "
        f"{_dialect(chosen).name}'s ({chosen.source}); --dialect says otherwise"
    )


def _dialect(rule: "Record") -> Dialect:
    assert rule.dialect is not None, f"{rule.type} has several rules, and one without a dialect"
    return rule.dialect


def _has(message: Message, field: str) -> bool:
    """Whether a field such as "bn_param.eps" is set."""
    name, _, inner = field.partition(".")
    return message.HasField(name) and (not inner or _has(getattr(message, name), inner))


def _listed(names: Iterable[str], word: str) -> str:
    *before, last = names
    return f"{', '.join(before)} {word} {last}" if before else last

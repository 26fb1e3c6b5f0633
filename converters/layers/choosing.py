"""Which of the rules of a type a net's layers of it follow."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from converters.layers.choice import CAFFE, Blobs, Stored, dialect_of, fields_set, has_field, listed, named
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

if TYPE_CHECKING:
    from converters.layers.registry import Record


class Choice(NamedTuple):
    """The rule of each layer, and what whoever builds the net should be told, a line each."""

    rules: "list[Record]"
    notices: list[str]


def choose(
    layers: Sequence[LayerParameter],
    rules: "Sequence[Record]",
    asked: Collection[str] = (),
    stored: Mapping[str, Sequence[Stored]] | None = None,
) -> Choice:
    """The rules that ``layers``, all those of one type in a net, follow, of the ``rules`` of that type.

    In this order: a dialect ``asked`` for (of several that the type has, one of these by what follows); what
    a layer's own ``dialect`` says; the fields that are set; the number, shapes and names of the blobs that a
    weight file has ``stored`` for the layers by name; those blobs' values; and the default. A net's layers
    follow one rule where one can be all of theirs.

    Raises InputError, naming the layer, for fields that no rule knows together, a dialect that the type does
    not have, and where nothing tells which rule it is and none is a default.
    Nothing is told where Caffe 1.0's own rule is the default.
    """
    wanted = [rule for rule in rules if set(dialect_of(rule).names) & set(asked)]
    if len(wanted) == 1:
        said = [*_strange_fields(layers, wanted[0], rules), *_unread_fields(layers, wanted * len(layers))]
        return Choice(wanted * len(layers), said)
    stored = stored or {}
    each = [_possible(layer, rules, wanted, stored.get(layer.name, ())) for layer in layers]
    common = [rule for rule in rules if all(rule in possible for possible in each)]
    common = _not_excluded(common, layers, stored)
    likely = _looking_so(common, [stored[x.name] for x in layers if stored.get(x.name)])
    chosen = [_first(layer, likely or own) for layer, own in zip(layers, each, strict=True)]
    pairs = zip(chosen, [common] * len(layers) if common else each, strict=True)
    unsure = [(rule, rules) for rule, rules in pairs if len(rules) > 1 and dialect_of(rule).name != CAFFE]
    said = [_notice(*unsure[0], likely != common)] if unsure else []
    return Choice(chosen, [*said, *_unread_fields(layers, chosen)])


def _possible(
    layer: LayerParameter, rules: "Sequence[Record]", wanted: "Sequence[Record]", stored: Sequence[Stored]
) -> "list[Record]":
    """The rules, of those ``wanted`` if there are any, that one layer may follow."""
    if layer.dialect and (not wanted or named(layer, rules) in wanted):
        return [named(layer, rules)]
    fields = fields_set(layer, rules)
    fitting = [rule for rule in wanted or rules if fields <= set(dialect_of(rule).fields)]
    fitting = fitting or [rule for rule in wanted or rules if fields <= set(dialect_of(rule).has)]
    if not fields and not wanted:
        fitting = _by_counts(layer, fitting)
    if not fitting:
        whose = listed([dialect_of(rule).name for rule in wanted], "or") or f"no rule of {layer.type}"
        raise InputError(f"{whose} has {listed(sorted(fields), 'and')} together", layer.name)
    return [rule for rule in fitting if _may_be(rule, stored)] or fitting


def _by_counts(layer: LayerParameter, rules: "list[Record]") -> "list[Record]":
    """Of the rules of a layer that sets no telling field those that need none, if they take as many bottoms
    and tops as it has, else those that do.
    """
    least = [rule for rule in rules if not dialect_of(rule).needs_field]
    for some in (least, rules):
        if taking := [rule for rule in some if _takes(rule, layer)]:
            return taking
    return least


def _takes(rule: "Record", layer: LayerParameter) -> bool:
    counts = (len(layer.bottom), rule.bottoms), (len(layer.top), rule.tops)
    return all(least <= count and (most is None or count <= most) for count, (least, most) in counts)


def _may_be(rule: "Record", stored: Sequence[Stored]) -> bool:
    """Whether a weight file's blobs of a layer, if it has any, can be this rule's."""
    if not stored:
        return True
    names = {blob.name for blob in stored}
    if None not in names and not names <= set(rule.blobs):
        return False
    shapes = dialect_of(rule).shapes
    return shapes is None or shapes([blob.shape for blob in stored])


def _not_excluded(
    rules: "list[Record]", layers: Sequence[LayerParameter], stored: Mapping[str, Sequence[Stored]]
) -> "list[Record]":
    """The rules that the values of no layer's blobs speak against."""
    tests = {rule: test for rule in rules if (test := dialect_of(rule).excludes)}
    if len(rules) < 2 or not tests:
        return rules
    pairs = [(layer, stored[layer.name]) for layer in layers if stored.get(layer.name)]
    out = {
        rule
        for rule, test in tests.items()
        if any(_may_be(rule, blobs) and test(layer, _read(blobs)) for layer, blobs in pairs)
    }
    return [rule for rule in rules if rule not in out] or rules


def _looking_so(rules: "list[Record]", layers: Sequence[Sequence[Stored]]) -> "list[Record]":
    """The rule that the values of the blobs look like, or those that they do not look unlike."""
    tests = {rule: test for rule in rules if (test := dialect_of(rule).looks_so)}
    if len(rules) < 2 or not layers or not tests:
        return rules
    likeness = {
        rule: test([_read(blobs) for blobs in layers if _may_be(rule, blobs)]) for rule, test in tests.items()
    }
    sure = [rule for rule, looks_so in likeness.items() if looks_so]
    return sure or [rule for rule in rules if likeness.get(rule) is not False] or rules


def _read(blobs: Sequence[Stored]) -> Blobs:
    return [blob.read() for blob in blobs]


def _first(layer: LayerParameter, rules: "Sequence[Record]") -> "Record":
    if len(rules) == 1:
        return rules[0]
    for rule in rules:
        if dialect_of(rule).is_default:
            return rule
    names = listed([dialect_of(rule).name for rule in rules], "or")
    reason = f"type {layer.type} has several rules, and nothing tells which: --dialect (dialect=) {names}"
    raise InputError(reason, layer.name)


def _strange_fields(
    layers: Sequence[LayerParameter], wanted: "Record", rules: "Sequence[Record]"
) -> list[str]:
    """A line where a layer sets what the rule that was asked for does not know."""
    for layer in layers:
        if strange := sorted(fields_set(layer, rules) - set(dialect_of(wanted).has)):
            return [
                f'layer "{layer.name}" sets {listed(strange, "and")}, without effect: '
                f"{dialect_of(wanted).name}'s {layer.type}, which is asked for, does not know it"
            ]
    return []


def _unread_fields(layers: Sequence[LayerParameter], chosen: "Sequence[Record]") -> list[str]:
    """A line where layers set what the code of the fork that was chosen for them does not read; nothing of
    those for which a text says the fork, since whoever wrote that down was told.
    """
    pairs = [
        (rule, name)
        for layer, rule in zip(layers, chosen, strict=True)
        for name in (() if layer.dialect else dialect_of(rule).unread)
        if has_field(layer, name)
    ]
    if not pairs:
        return []
    names = listed(dict.fromkeys(name.rpartition(".")[2] for _, name in pairs), "and")
    rule = pairs[0][0]
    return [f"{rule.type}: {names} without effect: no code of {dialect_of(rule).name} reads what it says"]


def _notice(chosen: "Record", rules: "Sequence[Record]", by_values: bool) -> str:
    why = ", as the values in the weight file suggest" if by_values else ""
    names = listed([dialect_of(rule).name for rule in rules], "or")
    return (
        f"{chosen.type} may be that of {names}, which have different rules: taken as "
        f"{dialect_of(chosen).name}'s ({chosen.source}){why}; --dialect says otherwise"
    )

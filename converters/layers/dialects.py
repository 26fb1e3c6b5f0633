"""Every layer of a net whose type has several rules gets its dialect, in its message."""

from collections.abc import Iterable, Mapping, Sequence

from converters.layers.choice import (
    CAFFE,
    Dialect,
    Stored,
    check_recorded,
    dialect_of,
    fields_set,
    has_field,
)
from converters.layers.choosing import choose
from converters.layers.registry import dialects, rules_of
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError, about, nearest
from prototxt.text import Warn

BlobsByLayer = Mapping[str, Sequence[Stored]]  # a weight file's blobs, by layer


def with_dialects(
    net: NetParameter,
    name: str,
    warn: Warn,
    asked: Sequence[str] = (),
    stored: BlobsByLayer | None = None,
    recorded: Mapping[str, str] | None = None,
) -> NetParameter:
    """A copy of ``net`` in which each layer of several rules has its dialect; ``net`` itself where no layer
    needs one. ``warn`` takes a line, beginning with ``name``, for each type that nothing tells. ``recorded``
    is what :func:`dialects_of` said of the net before: it stands for a type of which nothing is asked.

    Raises InputError for a fork that nobody knows, where :func:`converters.layers.choice.choose` does, and
    for a text that speaks against what is recorded.
    """
    kinds = dict.fromkeys(layer.type for layer in net.layer if has_rules(layer))
    if not kinds:
        return net
    copy = NetParameter()
    copy.CopyFrom(net)
    with about(name):
        of_net = names_of(net.dialect)
    for kind in kinds:
        layers = [layer for layer in copy.layer if layer.type == kind]
        _set_from_net(copy, layers)
        before = [name for name in (recorded or {}).get(kind, "").split(",") if name]
        if not of_net and not asked and not before and (notice := _set_from_neighbours(copy, layers)):
            warn(f"{name}: {notice}")
        for notice in _write_choice(layers, of_net, asked, stored or {}, before):
            warn(f"{name}: {notice}")
    return copy


def _set_from_neighbours(net: NetParameter, layers: Sequence[LayerParameter]) -> str:
    """Give the layers, all of one type, the dialect that another layer of the net tells (``Dialect.beside``);
    what the user should be told of it.
    """
    rules = rules_of(layers[0].type)
    unsaid = [layer for layer in layers if not layer.dialect]
    if len(rules) < 2 or any(fields_set(layer, rules) for layer in layers):
        return ""  # their own type or fields tell
    for rule in rules if unsaid else ():
        if there := _sign(net, dialect_of(rule)):
            for layer in unsaid:
                layer.dialect = rule.dialect_name
            whose = f"{rule.dialect_name}'s ({rule.source})"
            return f"{rule.type} is taken as {whose}, whose {there} the net has; --dialect says otherwise"
    return ""


def _sign(net: NetParameter, dialect: Dialect) -> str:
    """A type or a field of the fork's in a net, the first by name; "" where there is none."""
    if types := sorted({layer.type for layer in net.layer}.intersection(dialect.beside)):
        return types[0]
    signs = (name for name in dialect.beside_fields if any(has_field(layer, name) for layer in net.layer))
    return next(signs, "").rpartition(".")[2]


def _set_from_net(net: NetParameter, layers: Sequence[LayerParameter]) -> None:
    """Move to the layers, all of one type, what the net says for them all (``Dialect.of_net``)."""
    pairs = [pair for rule in rules_of(layers[0].type) for pair in dialect_of(rule).of_net]
    for of_net, of_layer in pairs:
        block, _, field = of_layer.partition(".")
        for layer in layers if net.HasField(of_net) else ():
            param = getattr(layer, block)
            if not param.HasField(field):
                setattr(param, field, getattr(net, of_net))
        net.ClearField(of_net)


def _write_choice(
    layers: Sequence[LayerParameter],
    of_net: Sequence[str],
    asked: Sequence[str],
    stored: BlobsByLayer,
    recorded: Sequence[str],
) -> list[str]:
    """Give the layers, all of one type, their dialects; what the user should be told of it. What the net's
    text says of all its layers (``of_net``) counts for a type that has it.
    """
    rules = rules_of(layers[0].type)
    of_type = {name for rule in rules for name in dialect_of(rule).names}
    for layer in layers:
        layer.dialect = layer.dialect or next((name for name in of_net if name in of_type), "")
    if of_type & set(asked):
        recorded = ()
    for layer in layers if recorded else ():
        check_recorded(layer, rules, recorded)
    # Of several that are recorded the texts, which are as they were, choose again.
    choice = choose(layers, rules, recorded if len(recorded) == 1 else asked, stored)
    for layer, rule in zip(layers, choice.rules, strict=True):
        own = CAFFE if CAFFE in asked or layer.dialect == CAFFE else ""  # said only where somebody asked
        layer.dialect = rule.dialect_name or own
        if not layer.dialect:
            layer.ClearField("dialect")
    return choice.notices


def dialects_of(layers: Iterable[LayerParameter]) -> dict[str, str]:
    """Type to dialect, of the types of ``layers`` that have several rules; of layers of one type that follow
    several, the dialects with commas. A type all of whose layers follow Caffe 1.0 is left out.
    """
    chosen: dict[str, dict[str, None]] = {}
    for layer in layers:
        if has_rules(layer):
            chosen.setdefault(layer.type, {})[layer.dialect or CAFFE] = None
    return {kind: ",".join(names) for kind, names in chosen.items() if [*names] != [CAFFE]}


def has_rules(layer: LayerParameter) -> bool:
    """Whether the layer's type has several rules, or one that says whose it is."""
    rules = rules_of(layer.type)
    return len(rules) > 1 or any(rule.dialect_name for rule in rules)


def told_by_blobs(layer: LayerParameter) -> bool:
    """Whether the blobs of a weight file may tell which of its type's rules a layer follows."""
    rules = rules_of(layer.type)
    dialects = [dialect_of(rule) for rule in rules]
    asks = any(dialect.shapes or dialect.excludes or dialect.looks_so for dialect in dialects)
    return asks or len({rule.blobs for rule in rules}) > 1


def names_of(forks: str) -> list[str]:
    """The forks in a list with commas. Raises InputError for one that nobody knows."""
    names = [name.strip() for name in forks.split(",") if name.strip()]
    for name in names:
        if name not in dialects():
            hint = nearest(name, dialects()) or f" (known: {', '.join(dialects())})"
            raise InputError(f'no layer has the dialect "{name}"{hint}')
    return names

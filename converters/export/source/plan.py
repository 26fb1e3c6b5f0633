"""A net as the lines of a source file: each layer's part, with the names that it has there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from converters.export.source.families.normalising import are_one
from converters.export.source.names import ATTRIBUTES, VARIABLES, identifier
from converters.export.source.part import Call, Part
from converters.export.source.rules import refusal, rule_of
from converters.graph import Node, Value, reads
from converters.layers import Layer
from converters.layers.elementwise.scale import Scale
from converters.network import Network
from prototxt.errors import of_layer

UNREAD = "_"


@dataclass(frozen=True)
class Line:
    """A layer in the file: the names of the layers that it is (its own, and that of a Scale that it has taken
    in), its attribute, its module and how that is called, the values and variables of its tops. ``is_again``:
    the attribute is another layer's, whose weights it shares; ``is_shared``: its weights are others', too.
    """

    node: Node
    names: tuple[str, ...]
    attribute: str
    layer: Layer
    call: Call
    values: tuple[Value, ...]
    variables: tuple[str, ...]
    is_again: bool = False
    is_shared: bool = False

    @cached_property
    def part(self) -> Part:
        """What it is in the file."""
        return rule_of(self.layer)(self.layer, self.call)

    @cached_property
    def outline(self) -> Part:
        """What it is whatever it reads."""
        return self.part_as("self._", ["_"] * len(self.call.bottoms))

    def part_as(self, me: str, bottoms: Sequence[str]) -> Part:
        """What it is under another name, reading other variables."""
        return rule_of(self.layer)(self.layer, replace(self.call, me=me, bottoms=bottoms))

    @property
    def makes(self) -> bool:
        """Whether ``__init__`` has a line of it."""
        return bool(self.part.make) and not self.is_again

    def sets(self) -> tuple[Value | None, ...]:
        """The values of its tops, None for one that nobody reads."""
        tops = zip(self.variables, self.values, strict=True)
        return tuple(None if name == UNREAD else value for name, value in tops)


def statements(part: Part, variables: Sequence[str]) -> list[str]:
    """``conv1 = self.conv1(data)``: one a call."""
    if len(part.calls) == 1:
        return [f"{', '.join(variables)} = {part.calls[0]}"]
    return [f"{name} = {call}" for call, name in zip(part.calls, variables, strict=True)]


def sets_of(line: Line) -> list[tuple[Value | None, ...]]:
    """What each of a line's statements sets."""
    return [line.sets()] if len(line.part.calls) == 1 else [(value,) for value in line.sets()]


@dataclass(frozen=True)
class Plan:
    """The lines of a deployed net, its graph, and the variable of each value."""

    net: Network
    lines: Sequence[Line]
    variables: Mapping[Value, str]


def plan_of(net: Network, taken: Collection[str] = ()) -> Plan:
    """The lines of a deployed net; no variable has a name of ``taken``. Raises InputError for a layer that no
    rule writes.
    """
    variables = _variables(net, taken)
    lines: list[Line] = []
    folded = _folded(net)
    attributes = _attributes(net, folded)
    for node in net.graph.nodes:
        if not node.is_data and node not in folded.values():
            with of_layer(node.layer):
                lines.append(_line(net, node, folded.get(node), attributes, variables))
    return Plan(net, lines, variables)


def _variables(net: Network, taken: Collection[str]) -> dict[Value, str]:
    """A variable a blob; "_" where nobody reads it."""
    counts, names = reads(net.graph), dict[str, str]()
    used = {*VARIABLES, *taken}
    variables: dict[Value, str] = {}
    values = [*net.graph.inputs, *(value for node in net.graph.nodes for value in node.outputs)]
    for value in values:
        if not counts[value] and value not in net.graph.inputs:
            variables[value] = UNREAD
            continue
        if value.blob not in names:
            names[value.blob] = identifier(value.blob, used, lower=True, usual="blob")
            used.add(names[value.blob])
        variables[value] = names[value.blob]
    return variables


def _attributes(net: Network, folded: Mapping[Node, Node]) -> dict[Node, str]:
    """Each layer's attribute; layers that share all of their weights have one."""
    taken, attributes = set(ATTRIBUTES), dict[Node, str]()
    for node in net.graph.nodes:
        if node.is_data or node in folded.values():
            continue
        first = _sharer(net, node)
        attributes[node] = attributes[first] if first else identifier(node.layer.name, taken)
        taken.add(attributes[node])
    return attributes


def _sharer(net: Network, node: Node) -> Node | None:
    """The layer whose blobs this one's are, all of them and no others; None where it has its own. Raises
    InputError where it shares some of them, or with a layer that computes otherwise.
    """
    blobs = [blob for blob in net.blobs if blob.node is node]
    owners = [blob.owner for blob in blobs]
    if blobs == owners:
        return None
    first, layer = owners[0].node, net.module_of(node)
    theirs = [blob for blob in net.blobs if blob.node is first]
    other = net.module_of(first)
    is_same = type(other) is type(layer) and other.spec == layer.spec
    if first is node or owners != theirs or not is_same or any(blob.is_view for blob in blobs):
        raise refusal(layer, "shares weights with other layers in a way that has no rule")
    return first


def _folded(net: Network) -> dict[Node, Node]:
    """Each BatchNorm with the Scale that it takes in, where that alone reads it."""
    counts = reads(net.graph)
    makers = {value: node for node in net.graph.nodes for value in node.outputs}
    shared = {blob.node for blob in net.blobs if blob.spec.name}
    pairs: dict[Node, Node] = {}
    for node in net.graph.nodes:
        before = makers.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if before is None or before.is_data or node.is_data or {node, before} & shared:
            continue
        first, second = net.module_of(before), net.module_of(node)
        if are_one(first, second) and counts[node.inputs[0]] == 1:
            pairs[before] = node
    return pairs


def _line(
    net: Network,
    node: Node,
    behind: Node | None,
    attributes: Mapping[Node, str],
    variables: Mapping[Value, str],
) -> Line:
    values = (behind or node).outputs
    scale = net.module_of(behind) if behind else None
    assert scale is None or isinstance(scale, Scale)
    layer, attribute = net.module_of(node), attributes[node]
    call = Call(
        f"self.{attribute}",
        [variables[value] for value in node.inputs],
        [net.shapes[value] for value in node.inputs],
        len(values),
        scale,
    )
    names = tuple(each.layer.name for each in (node, behind) if each)
    tops = tuple(variables[value] for value in values)
    first = next(each for each, name in attributes.items() if name == attribute)
    is_shared = any(blob.node is node and blob.spec.name for blob in net.blobs)
    line = Line(node, names, attribute, layer, call, values, tops, first is not node, is_shared)
    assert line.part  # made here, where what is wrong is the layer's
    return line

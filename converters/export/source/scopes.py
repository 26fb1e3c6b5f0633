"""The classes of a source file: the net's, and one for each block that repeats in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from converters.export.source.blocks import Block, blocks_of
from converters.export.source.names import ATTRIBUTES, class_name, identifier, quoted, shown
from converters.export.source.part import Helper
from converters.export.source.plan import Line, Plan, sets_of, statements
from converters.export.source.templates import rest_of
from converters.graph import Value

Sets = tuple[Value | None, ...]


@dataclass(frozen=True)
class Statement:
    """A line of ``__init__`` or ``forward``: its target, what that is set to, and what a comment says."""

    target: str
    text: str
    comment: str = ""

    def __str__(self) -> str:
        return f"{self.target} = {self.text}" + (f"  # {self.comment}" if self.comment else "")


@dataclass(frozen=True)
class Scope:
    """A class: its name and docstring, its parameters, what ``__init__`` sets and what ``forward`` takes,
    does and returns: a variable, or several by their blobs' names.
    """

    name: str
    about: str
    parameters: dict[str, str]
    made: Sequence[Statement]
    takes: Sequence[str]
    does: Sequence[Statement]
    gives: str | dict[str, str]


@dataclass(frozen=True)
class Member:
    """An instance of a block in the net: which one, and its attribute there."""

    block: Block
    number: int
    attribute: str

    @property
    def lines(self) -> Sequence[Line]:
        """The lines that it is."""
        return self.block.instances[self.number]


@dataclass(frozen=True)
class Classes:
    """Everything of a file: its classes, the net's last, the helpers that they use, what ``load_state_dict``
    takes, and what the statements of ``forward`` set, by the module's path and the statement's number.
    """

    scopes: Sequence[Scope]
    helpers: Sequence[Helper]
    state: dict[str, Tensor]
    sets: dict[tuple[str, int], Sets]


def classes_of(plan: Plan, name: str, taken: set[str]) -> Classes:
    """The classes of a net whose own is to be called ``name``; no class is called as one of ``taken``."""
    blocks = blocks_of(plan)
    title = class_name(name, taken)
    names: dict[int, str] = {}
    for block in blocks:
        names[id(block)] = class_name(block.template.name, {*taken, title, *names.values()})
    items = _items(plan, blocks)
    scopes = [_of_block(block, names[id(block)]) for block in blocks]
    scopes.append(_of_net(plan, title, items, names))
    helpers = [helper for line in plan.lines for helper in line.part.helpers]
    return Classes(scopes, helpers, _state(items), _sets(items))


def _items(plan: Plan, blocks: Sequence[Block]) -> list[Line | Member]:
    """The net's lines, with a member in place of those that it is."""
    inside: dict[int, Member | None] = {
        at: None for block in blocks for region in block.regions for at in range(region.start, region.end)
    }
    outside = (line for at, line in enumerate(plan.lines) if at not in inside)
    taken = {*ATTRIBUTES, *(line.attribute for line in outside if line.makes)}
    for block in blocks:
        for number, region in enumerate(block.regions):
            attribute = identifier(block.template.members[number], taken, usual="block")
            taken.add(attribute)
            inside[region.start] = Member(block, number, attribute)
    every = (inside.get(at, None if at in inside else line) for at, line in enumerate(plan.lines))
    return [item for item in every if item is not None]


def _of_net(plan: Plan, title: str, items: Sequence[Line | Member], names: dict[int, str]) -> Scope:
    net, variables = plan.net, plan.variables
    sides = [
        ", ".join(_described(plan, value) for value in ends) for ends in (net.graph.inputs, net.graph.outputs)
    ]
    made, does = list[Statement](), list[Statement]()
    for item in items:
        if isinstance(item, Line):
            made += _made(item)
            does += _done(item)
            continue
        region, template = item.block.regions[item.number], item.block.template
        call = f"{names[id(item.block)]}({', '.join(template.values[item.number])})"
        made.append(
            Statement(f"self.{item.attribute}", call, _other(item.attribute, template.members[item.number]))
        )
        does.append(Statement(variables[region.exit], f"self.{item.attribute}({variables[region.entry]})"))
    outputs = {quoted(value.blob): variables[value] for value in net.graph.outputs}
    gives = outputs if len(outputs) > 1 else next(iter(outputs.values()))
    takes = [variables[value] for value in net.graph.inputs]
    return Scope(title, f"{sides[0] or 'Nothing'} to {sides[1]}.", {}, made, takes, does, gives)


def _described(plan: Plan, value: Value) -> str:
    return f"{shown(value.blob)} {tuple(plan.net.shapes[value])}".replace("\\", "\\\\")


def _made(line: Line) -> list[Statement]:
    """What ``__init__`` sets, with the layer's own name where the attribute is another, and a Scale's."""
    if not line.makes:
        return []
    said = [_other(line.attribute, line.names[0]), *(f"with {shown(name)}" for name in line.names[1:])]
    return [Statement(f"self.{line.attribute}", line.part.make, " ".join(filter(None, said)))]


def _other(attribute: str, name: str) -> str:
    return "" if name == attribute else shown(name)


def _done(line: Line) -> list[Statement]:
    """What ``forward`` does, with the name of a layer that nothing else there shows."""
    name = line.names[0]
    is_shown = line.makes or name in line.variables or name == line.attribute
    texts = (text.partition(" = ") for text in statements(line.part, line.variables))
    return [Statement(target, text, "" if is_shown else shown(name)) for target, _, text in texts]


def _of_block(block: Block, name: str) -> Scope:
    template, first, region = block.template, block.instances[0], block.regions[0]
    made = [
        Statement(f"self.{own}", make, _of_first(line.names[0], template.members[0], own))
        for line, own, make in zip(first, template.attributes, template.makes, strict=True)
        if make
    ]
    does: list[Statement] = []
    for line, part in zip(first, template.parts, strict=True):
        tops = [template.variables[name] for name in line.variables]
        texts = (text.partition(" = ") for text in statements(part, tops))
        does += [Statement(target, text) for target, _, text in texts]
    ends = dict(value for line in first for value in zip(line.values, line.variables, strict=True))
    members = [shown(each).replace("\\", "\\\\") for each in template.members]
    about = f"What {', '.join(members[:-1])} and {members[-1]} are."
    return Scope(name, about, template.parameters, made, ["x"], does, template.variables[ends[region.exit]])


def _of_first(name: str, member: str, attribute: str) -> str:
    """The first instance's layer, where its own name and the attribute do not tell it."""
    rest = rest_of(name, member)
    is_told = name.startswith(member) and attribute.endswith(identifier(rest, set(), usual="").strip("_"))
    return "" if is_told else f"{shown(name)}, ..."


def _placed(items: Sequence[Line | Member]) -> list[tuple[str, str, Line]]:
    """Every line with the path of the module that it is in, and its attribute there."""
    placed: list[tuple[str, str, Line]] = []
    for item in items:
        if isinstance(item, Line):
            placed.append(("", item.attribute, item))
        else:
            own = zip(item.block.template.attributes, item.lines, strict=True)
            placed += [(item.attribute, attribute, line) for attribute, line in own]
    return placed


def _state(items: Sequence[Line | Member]) -> dict[str, Tensor]:
    return {
        ".".join(filter(None, (path, attribute, entry))): tensor.detach()
        for path, attribute, line in _placed(items)
        if line.makes
        for entry, tensor in line.part.state.items()
    }


def _sets(items: Sequence[Line | Member]) -> dict[tuple[str, int], Sets]:
    """A member's own statement in the net sets what its last one did."""
    sets: dict[tuple[str, int], Sets] = {}
    number = 0
    for item in items:
        if isinstance(item, Line):
            for number, values in enumerate(sets_of(item), number):  # noqa: B020
                sets["", number] = values
        else:
            every = (values for line in item.lines for values in sets_of(line))
            sets |= {(item.attribute, at): values for at, values in enumerate(every)}
        number += 1
    return sets

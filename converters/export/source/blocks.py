"""Parts of a net that plainly repeat, found: each becomes a class of its own."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from converters.export.source.plan import Line, Plan
from converters.export.source.templates import Template, pattern, template_of
from converters.graph import Value

_LEAST, _MOST = 4, 48  # lines of a block
_NUMBERS = 8  # that instances may differ in


@dataclass(frozen=True)
class Block:
    """Lines that stand several times in a net, what each of them reads and leaves, and what they have in
    common.
    """

    instances: Sequence[Sequence[Line]]
    regions: "Sequence[Region]"
    template: Template


@dataclass(frozen=True)
class Region:
    """Lines ``start`` to before ``end`` that read one value from outside and leave one."""

    start: int
    end: int
    entry: Value
    exit: Value


class Finder:
    """The regions of a plan's lines, and which of them are alike."""

    def __init__(self, plan: Plan) -> None:
        self.lines = list(plan.lines)
        self.keys = [self._key(line) for line in self.lines]
        self.makers = {value: at for at, line in enumerate(self.lines) for value in line.values}
        self.last: dict[Value, int] = dict.fromkeys(plan.net.graph.outputs, len(self.lines))
        self.first: dict[Value, int] = {}
        self.readers: dict[Value, int] = defaultdict(int)
        for at, line in enumerate(self.lines):
            for value in line.node.inputs:
                self.last[value] = max(at, self.last.get(value, at))
                self.readers[value] += 1

    def _key(self, line: Line) -> object:
        """What has to be equal in lines that are alike; weights that are shared are like no others."""
        if line.is_again or line.is_shared:
            return line
        return pattern(line.part.make), tuple(line.outline.calls), tuple(line.part.state), len(line.values)

    def region(self, start: int, end: int) -> Region | None:
        """The region of these lines, if it is one."""
        inside = self.lines[start:end]
        reads = {value for line in inside for value in line.node.inputs if not self._is_in(value, start, end)}
        leaves = [v for line in inside for v in line.values if self.last.get(v, -1) >= end]
        if len(reads) != 1 or len(leaves) != 1:
            return None
        (entry,), (left,) = reads, leaves
        return Region(start, end, entry, left)

    def _is_in(self, value: Value, start: int, end: int) -> bool:
        return start <= self.makers.get(value, -1) < end

    def wiring(self, region: Region) -> tuple[object, ...]:
        """Where each line's bottoms come from, and which value is left, counted from the first line."""
        ends = [
            None if value == region.entry else (self.makers[value] - region.start, value_place(self, value))
            for line in self.lines[region.start : region.end]
            for value in line.node.inputs
        ]
        return (*ends, self.makers[region.exit] - region.start, value_place(self, region.exit))

    def forks(self, region: Region) -> bool:
        """Whether one of its values, or the entry, goes several ways inside: a chain is no block."""
        inside = self.lines[region.start : region.end]
        read = [value for line in inside for value in line.node.inputs]
        return any(read.count(value) > 1 for value in set(read))

    def begins_well(self, region: Region) -> bool:
        """Whether it begins with weights, and the line behind it does not work in place on its end."""
        first = self.lines[region.start]
        behind = self.lines[region.end] if region.end < len(self.lines) else None
        return bool(first.part.state) and not (behind and _works_in_place(behind))


def value_place(finder: Finder, value: Value) -> int:
    """The place of a value among its line's tops."""
    return finder.lines[finder.makers[value]].values.index(value)


def _works_in_place(line: Line) -> bool:
    return any(value.blob == line.node.inputs[0].blob for value in line.values if line.node.inputs)


def blocks_of(plan: Plan) -> list[Block]:
    """The blocks of a net, those first that spare the most lines; no line is in two."""
    finder, used = Finder(plan), set[int]()
    blocks: list[Block] = []
    while (best := _best(finder, used)) is not None:
        blocks.append(best)
        used.update(at for region in best.regions for at in range(region.start, region.end))
    return blocks


def _best(finder: Finder, used: set[int]) -> Block | None:
    """The regions that are alike and spare the most lines, and what they have in common."""
    ranked = sorted(_candidates(finder, used), key=_spared, reverse=True)
    for regions in ranked:
        instances = [finder.lines[each.start : each.end] for each in regions]
        template = template_of(instances, regions[0].entry)
        if template is not None and len(template.parameters) <= _NUMBERS:
            return Block(instances, regions, template)
    return None


def _spared(regions: Sequence[Region]) -> tuple[int, int]:
    size = regions[0].end - regions[0].start
    return (len(regions) - 1) * size, -size


def _candidates(finder: Finder, used: set[int]) -> Iterator[list[Region]]:
    """Regions that are alike, two of them or more, none of which overlap."""
    for size in range(_LEAST, min(_MOST, len(finder.lines) // 2) + 1):
        alike: dict[object, list[int]] = defaultdict(list)
        for start in range(len(finder.lines) - size + 1):
            alike[tuple(finder.keys[start : start + size])].append(start)
        for starts in alike.values():
            if len(starts) > 1:
                yield from _apart(finder, starts, size, used)


def _apart(finder: Finder, starts: Sequence[int], size: int, used: set[int]) -> Iterator[list[Region]]:
    by_wiring: dict[object, list[Region]] = defaultdict(list)
    for start in starts:
        if used.intersection(range(start, start + size)):
            continue
        region = finder.region(start, start + size)
        if region is None or not (finder.begins_well(region) and finder.forks(region)):
            continue
        same = by_wiring[finder.wiring(region)]
        if not same or same[-1].end <= start:
            same.append(region)
    yield from (regions for regions in by_wiring.values() if len(regions) > 1)

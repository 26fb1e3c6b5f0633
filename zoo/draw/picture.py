"""A net as boxes and links: what a drawing shows, before anything has a place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from converters.graph import AUTOMATIC, Graph, Node, Value
from converters.network import Network
from eval.cost import LayerCost, layer_costs
from zoo.draw.families import Family, family_of
from zoo.draw.words import clipped, costs, size, visible

Shapes = Mapping[Value, Sequence[int]]

_NAME = 30  # letters of a blob's name beside a link
_FAR = 8  # boxes from an input's first reader to one that has the input beside it once more


@dataclass(frozen=True)
class Part:
    """One layer of a box, or the blob that a box is: its name, type and numbers as they are shown; ``about``
    is all that is known of it.
    """

    name: str
    type: str
    numbers: tuple[str, ...]
    family: Family | None
    about: str


@dataclass(frozen=True)
class Box:
    """A layer with the layers that work in place on its top, or a blob: one of several tops of a layer, or
    an output of the net. ``exit`` says the blob that leaves it, "" where blobs have boxes of their own.
    """

    parts: tuple[Part, ...]
    exit: str = ""

    @property
    def is_blob(self) -> bool:
        """Whether it is a blob and no layer."""
        return self.parts[0].family is None


@dataclass(frozen=True)
class Picture:
    """Boxes in Caffe's order, and the links (from, to) between them, by their numbers. ``panels`` are boxes
    that stand for several alike: (the first, the last, what is said of them).
    """

    boxes: tuple[Box, ...]
    links: tuple[tuple[int, int], ...]
    panels: tuple[tuple[int, int, str], ...] = ()


def picture_of(graph: Graph, net: Network | None) -> Picture:
    """The picture of a graph; of one that no net could be built of (None) without shapes and costs."""
    return _Drafting(graph, net).picture()


class _Drafting:
    def __init__(self, graph: Graph, net: Network | None) -> None:
        self._graph, self._net = graph, net
        self._inputs, self._outputs = set(graph.inputs), set(graph.outputs)
        self._shapes: Shapes = net.shapes if net else {}
        self._costs = layer_costs(net) if net else [None] * len(graph.nodes)
        self._parts: list[list[Part]] = []
        self._exits: list[str] = []
        self._links: dict[tuple[int, int], None] = {}
        self._makers: dict[Value, int] = {}
        self._first: dict[Value, int] = {}

    def picture(self) -> Picture:
        for node, cost in zip(self._graph.nodes, self._costs, strict=True):
            self._draw(node, self._part(node, cost))
        for value in self._graph.outputs:
            self._exits[self._makers[value]] = ""
            self._blob(value, self._makers[value])
        boxes = (Box(tuple(parts), leaves) for parts, leaves in zip(self._parts, self._exits, strict=True))
        return Picture(tuple(boxes), tuple(self._links))

    def _draw(self, node: Node, part: Part) -> None:
        if self._joins(node):
            number = self._makers[node.inputs[0]]
            self._parts[number].append(part)
        else:
            sources = [self._source(value) for value in node.inputs]
            number = self._box(part)
            self._links.update(dict.fromkeys((source, number) for source in sources))
        tops = [value for value in node.outputs if value.blob != AUTOMATIC]
        self._makers.update(dict.fromkeys(tops, number))
        if len(tops) == 1:
            self._exits[number] = self._exit(tops[0], self._parts[number][0].name)
        for value in tops if len(tops) > 1 else ():
            if value not in self._outputs:
                self._blob(value, number)

    def _joins(self, node: Node) -> bool:
        """Whether a layer is drawn on its blob: in place, on the sole top of a layer."""
        if len(node.inputs) != 1 or [value.blob for value in node.outputs] != [node.inputs[0].blob]:
            return False
        return self._parts[self._makers[node.inputs[0]]][0].family is not None

    def _source(self, value: Value) -> int:
        """The box that a layer reads a value from: an input of the net that was first read far above is
        there once more, for links along the whole net would hide it (SSD's priors all read the data).
        """
        first = self._first.setdefault(value, len(self._parts))
        if value in self._inputs and len(self._parts) - first > _FAR:
            return self._box(self._blob_part(value))
        return self._makers[value]

    def _box(self, part: Part) -> int:
        self._parts.append([part])
        self._exits.append("")
        return len(self._parts) - 1

    def _blob(self, value: Value, maker: int) -> None:
        """A blob with a box of its own, from which its readers read."""
        self._makers[value] = self._box(self._blob_part(value))
        self._links[maker, self._makers[value]] = None

    def _blob_part(self, value: Value) -> Part:
        name, known = visible(value.blob), self._known(value)
        return Part(name, known, (), None, f"blob {name} {known}".strip())

    def _known(self, value: Value) -> str:
        return size(self._shapes[value]) if value in self._shapes else ""

    def _exit(self, value: Value, layer: str) -> str:
        """The shape, behind the blob's name where that is not the layer's."""
        named = visible(value.blob)
        return " ".join(filter(None, ("" if named == layer else clipped(named, _NAME), self._known(value))))

    def _part(self, node: Node, cost: LayerCost | None) -> Part:
        layer, numbers = node.layer, self._numbers(node)
        name, kind = visible(layer.name), visible(layer.type)
        lines = [name, f"{kind}({', '.join(numbers)})", *self._blobs("bottom", node.inputs)]
        lines += [*self._blobs("top", node.outputs), *([costs(cost)] if cost else [])]
        return Part(name, kind, numbers, family_of(layer), "\n".join(filter(None, lines)))

    def _numbers(self, node: Node) -> tuple[str, ...]:
        if self._net is None or node.is_data:
            return ()
        return tuple(map(visible, self._net.module_of(node).spec.parts()))

    def _blobs(self, word: str, values: Sequence[Value]) -> Iterator[str]:
        for value in values:
            if value.blob != AUTOMATIC:
                yield f"{word} {visible(value.blob)} {self._known(value)}".rstrip()

"""A graph's calls by place: a pass looks nothing up, so that torch.compile can follow it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from converters.graph import Graph, Node, Value


class Step(NamedTuple):
    """A layer's call: the places of what it reads among the pass's values, which of them get a gradient,
    and how many values it makes.
    """

    bottoms: tuple[int, ...]
    passes: tuple[bool, ...]
    tops: int


def number_values(graph: Graph, nodes: Sequence[Node]) -> tuple[list[Value], list[Step]]:
    """Every value of a pass in the order of its places, the inputs' first and then each layer's; and the
    call of each of ``nodes``.
    """
    values = [*graph.inputs, *(value for node in nodes for value in node.outputs)]
    places = {value: place for place, value in enumerate(values)}
    return values, [_step(graph, node, places) for node in nodes]


def _step(graph: Graph, node: Node, places: Mapping[Value, int]) -> Step:
    """A bottom of ``propagate_down: false`` is cut off from the gradient."""
    told = () if graph.force_backward else tuple(node.layer.propagate_down)
    passes = told or (True,) * len(node.inputs)
    return Step(tuple(places[value] for value in node.inputs), passes, len(node.outputs))

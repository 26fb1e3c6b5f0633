"""A graph's calls by number: a pass looks up no layer and no value, so that torch.compile can follow it. And
what of a pass counts as loss.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from converters.graph import Graph, Node, Value
from converters.layers.registry import record_of


class Step(NamedTuple):
    """A layer's call: its module's name in ``Network.layers``, the numbers of what it reads among the pass's
    values, which of those get a gradient, and the numbers of what it makes.

    A data layer has no module, "": its tops come from outside.
    """

    child: str
    bottoms: tuple[int, ...]
    passes: tuple[bool, ...]
    tops: tuple[int, ...]


def number_values(graph: Graph, children: Mapping[Node, str]) -> tuple[dict[Value, int], list[Step]]:
    """Every value of a pass with its number, in their order, the inputs' first and then each layer's; and the
    step of each of the graph's nodes.
    """
    made = (value for node in graph.nodes if not node.is_data for value in node.outputs)
    numbers = {value: number for number, value in enumerate([*graph.inputs, *made])}
    return numbers, [_step(graph, node, children.get(node, ""), numbers) for node in graph.nodes]


def _step(graph: Graph, node: Node, child: str, numbers: Mapping[Value, int]) -> Step:
    """A bottom of ``propagate_down: false`` is cut off from the gradient."""
    said = () if graph.force_backward else tuple(node.layer.propagate_down)
    bottoms, tops = (tuple(numbers[value] for value in side) for side in (node.inputs, node.outputs))
    return Step(child, bottoms, said or (True,) * len(bottoms), tops)


def read_from_outside(steps: Iterable[Step]) -> list[int]:
    """The numbers of the values that some steps on end need: what they read and none of them made before, and
    the tops of data layers.
    """
    needed: dict[int, None] = {}
    made: set[int] = set()
    for step in steps:
        needed.update(dict.fromkeys(number for number in step.bottoms if number not in made))
        needed.update({} if step.child else dict.fromkeys(step.tops))
        made.update(step.tops)
    return list(needed)


def losses_of(graph: Graph) -> list[tuple[Value, float]]:
    """The tops that count as loss, with their weights. With force_backward a loss of weight 0 is among them:
    what it learns by itself has a gradient.
    """
    return [
        (value, weight)
        for node in graph.nodes
        for value, weight in zip(node.outputs, loss_weights(node), strict=False)
        if weight or (graph.force_backward and record_of(node.layer).role == "loss")
    ]


def loss_weights(node: Node) -> list[float]:
    """One weight per top: as given, else what the type's record says of the first (Layer::SetLossWeights)."""
    if node.layer.loss_weight:
        return list(node.layer.loss_weight)
    return [record_of(node.layer).loss_weight]

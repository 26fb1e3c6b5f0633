"""What of a graph is deployed: the way from its data to its predictions, without what judges them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from converters.graph import Graph, Node, Value, unread
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, nearest
from prototxt.forks import drop_fork_fields


def is_judge(layer: LayerParameter) -> bool:
    """Whether the layer only compares a prediction with a label: a loss, Accuracy, HDF5Output, any layer
    without weights whose top has a loss weight, and one without a top that could have any number of them
    (Python).
    """
    record = record_of(layer)
    if record.judges:
        return True
    is_weighted = any(layer.loss_weight) and not record.learns
    return is_weighted or (record.tops == (0, None) and not layer.top)


def deploy(graph: Graph) -> Graph:
    """The net from its data to its predictions: what leads to a judge's prediction bottoms stays, what
    leads only to label bottoms goes, and so does what is computed from a label. What the judges alone
    read becomes an output; an output that no judge reads stays one. For a layer that a label has a say in
    stands what its record says (``deployed``).

    Raises InputError where nothing is left to put out.
    """
    graph = replace(graph, nodes=tuple(_unlabelled(graph)))
    judges = [node for node in graph.nodes if is_judge(node.layer)]
    labels = {value for node in judges for value in _label_values(graph, node)}
    predictions = {value for node in judges for value in node.inputs} - labels
    gone = _label_tops(graph, judges)
    nodes: list[Node] = []
    silenced: set[Value] = set()
    for node in graph.nodes:
        if node in judges:
            gone.update(node.outputs)
        elif not node.outputs:
            silenced.update(node.inputs)
        elif not node.is_data and gone.intersection(node.inputs):
            gone.update(node.outputs)
        else:
            nodes.append(node)
    unwanted = gone | (labels | silenced) - predictions
    return _ending_in(graph, [value for value in unread(nodes) if value not in unwanted])


def _unlabelled(graph: Graph) -> Iterator[Node]:
    """The nodes, in place of those that a label has a say in what is deployed for them; but not where another
    layer goes on with more than their first top.
    """
    read = {value for node in graph.nodes if node.outputs for value in node.inputs}
    for node in graph.nodes:
        rule = record_of(node.layer).deployed
        plain = rule(node.layer) if rule and not read.intersection(node.outputs[1:]) else None
        yield Node(plain, node.inputs[:1], node.outputs[:1]) if plain else node


def ending_in(graph: Graph, blobs: Sequence[str]) -> Graph:
    """What ``blobs`` need of a deployed graph, with these as its outputs. Raises InputError for a blob
    that no layer of it makes.
    """
    made = {value.blob: value for node in graph.nodes if not node.is_data for value in node.outputs}
    for blob in blobs:
        if blob not in made:
            raise InputError(f'no layer of the deploy net makes the blob "{blob}"{nearest(blob, made)}')
    return _ending_in(graph, [made[blob] for blob in dict.fromkeys(blobs)])


def _ending_in(graph: Graph, outputs: Sequence[Value]) -> Graph:
    computed = [value for value in outputs if value not in graph.inputs]
    needed = _before(graph.nodes, computed)
    nodes = [_without(node, needed) for node in graph.nodes if needed.intersection(node.outputs)]
    if not computed or all(node.is_data for node in nodes):
        raise InputError(f'net "{graph.name}" has nothing to deploy: {_why_empty(graph)}')
    inputs = tuple(value for value in graph.inputs if value in needed)
    return replace(graph, inputs=inputs, nodes=tuple(nodes), outputs=tuple(computed))


def _why_empty(graph: Graph) -> str:
    if all(node.is_data for node in graph.nodes):
        return "it has data layers alone"
    return "every layer judges, or depends on a label"


def _label_tops(graph: Graph, judges: Sequence[Node]) -> set[Value]:
    """The data tops that are labels: what leads to a label bottom, or is the second top of a data layer
    that reads labelled images, and leads to no prediction.
    """
    roles = {node: _label_values(graph, node) for node in judges}
    targets = [value for labels in roles.values() for value in labels]
    # What a weighted top of another type reads may be made of the label too, as in Reduction(a - label).
    with_roles = [node for node in judges if _has_roles(node.layer)]
    predicted = [value for node in with_roles for value in node.inputs if value not in roles[node]]
    sources = set(graph.inputs)
    named = {value for node in graph.nodes if judges and _has_labels(node) for value in node.outputs[1:]}
    return (_before(graph.nodes, targets) & sources | named) - _before(graph.nodes, predicted)


def _has_roles(layer: LayerParameter) -> bool:
    return record_of(layer).judges or len(layer.bottom) > 1


def _has_labels(node: Node) -> bool:
    """Whether it is a data layer of images, whose second top is the label."""
    tops = record_of(node.layer).data_tops
    return tops is not None and tops.is_images


def _label_values(graph: Graph, node: Node) -> set[Value]:
    """The bottoms of a judge that hold what should have been."""
    if stated := record_of(node.layer).labels:
        return {node.inputs[i] for i in stated if i < len(node.inputs)}
    learned = [value for value in node.inputs if _is_learned(graph, value)]
    if learned:  # either bottom of a distance may be the target: that which no weights made
        return set(node.inputs) - set(learned)
    return set(node.inputs[1:])


def _is_learned(graph: Graph, value: Value) -> bool:
    needed = _before(graph.nodes, [value])
    return any(record_of(node.layer).learns and needed.intersection(node.outputs) for node in graph.nodes)


def _before(nodes: Sequence[Node], values: Iterable[Value]) -> set[Value]:
    """``values`` and all that they are computed from."""
    needed = set(values)
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
    return needed


def _without(node: Node, needed: Collection[Value]) -> Node:
    """A data node without the tops that nobody needs; any other node as it is."""
    if not node.is_data:
        return node
    return replace(node, outputs=tuple(value for value in node.outputs if value in needed))


def with_softmax(part: Graph, graph: Graph) -> Graph:
    """``part``, deployed of ``graph``, with the softmax that each SoftmaxWithLoss takes as an output in
    place of its scores. It is called as the loss's second top, or ``prob`` where there is one loss and the
    name is free, else prob_ and the scores' name.

    Raises InputError where there is none.
    """
    made = {value for node in part.nodes for value in node.outputs}
    heads = [node for node in graph.nodes if record_of(node.layer).probabilities and node.inputs[0] in made]
    if not heads:
        raise InputError(f'net "{graph.name}" has no SoftmaxWithLoss to make a Softmax of')
    taken = {value.blob for value in made}
    added: list[Node] = []
    for head in heads:
        name = head.layer.top[1] if len(head.layer.top) > 1 else _free("prob", head, len(heads) > 1, taken)
        taken.add(name)
        added.append(_softmax_of(head, name))
    scores = {node.inputs[0] for node in added}
    outputs = [value for value in part.outputs if value not in scores] + [node.outputs[0] for node in added]
    return replace(part, nodes=(*part.nodes, *added), outputs=tuple(sorted(outputs, key=lambda v: v.blob)))


def _free(name: str, head: Node, is_one_of_many: bool, taken: Collection[str]) -> str:
    if is_one_of_many or name in taken:
        name = f"{name}_{head.inputs[0].blob}"
    while name in taken:
        name += "_"
    return name


def _softmax_of(head: Node, top: str) -> Node:
    kind = record_of(head.layer).probabilities
    layer = LayerParameter(name=top, type=kind, bottom=head.layer.bottom[:1], top=[top])
    layer.softmax_param.CopyFrom(head.layer.softmax_param)
    drop_fork_fields(layer)  # which weigh classes in the loss
    return Node(layer, head.inputs[:1], (Value(top, top),))

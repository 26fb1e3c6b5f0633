"""The shapes in which a net's inputs are drawn for a check."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from converters.build import data_layers, infer_shapes
from converters.data.shapes import top_shapes
from converters.graph import Graph, Node
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

_BATCH = 2
# Of what only the data know, as in Data without a crop: images (ImageNet's, CIFAR's, MNIST's), and pairs.
_IMAGES = (
    (3, 224, 224),
    (3, 227, 227),
    (3, 256, 256),
    (3, 32, 32),
    (1, 28, 28),
    (1, 32, 32),
    (3, 512, 512),
    (2,),
)

Shapes = Mapping[str, Sequence[int]]


def known_shapes(graph: Graph, phase: str, asked: Shapes) -> Shapes:
    """A shape for every input in which all layers can be built: what is ``asked``, what the prototxt says,
    and, where only the data know, the first of some sizes of images, or of vectors, that the net takes.

    Raises InputError for what none of these mends.
    """
    stated = dict(_stated(graph, asked))
    unknown = [value.blob for value in graph.inputs if value.blob not in stated]
    if not unknown:
        with suppress(InputError):
            return _checked(graph, phase, stated)
        return _checked(graph, phase, _cut_batches(stated, asked))  # of thousands, blobs may be too large
    errors = []
    for guess in _guesses(graph, phase, stated, unknown):
        try:
            return _checked(graph, phase, guess)
        except InputError as error:
            errors.append(error)
    raise errors[0]


def _guesses(graph: Graph, phase: str, stated: Shapes, unknown: Sequence[str]) -> Iterator[Shapes]:
    """The shapes with every unknown input an image, and those that only judges read as labels: one a sample,
    or as many as what they judge has.
    """
    batch = next((shape[0] for shape in stated.values() if shape), _BATCH)
    labels = {blob: node for blob, node in _labels(graph).items() if blob in unknown}
    for image in _IMAGES:
        shapes = {**stated, **dict.fromkeys(unknown, (batch, *image))}
        yield {**shapes, **dict.fromkeys(labels, (batch,))}
        with suppress(InputError):
            known = infer_shapes(_without_judges(graph), phase, shapes)
            yield {**shapes, **{blob: known[node.inputs[0]] for blob, node in labels.items()}}


def _labels(graph: Graph) -> dict[str, Node]:
    """The inputs that nothing reads but as what a loss or a metric compares its first bottom with, and such a
    layer of each.
    """
    labels: dict[str, Node] = {}
    others: set[str] = set()
    for node in graph.nodes:
        first = node.inputs if not record_of(node.layer).judges else node.inputs[:1]
        others.update(value.blob for value in first)
        labels |= {value.blob: node for value in node.inputs[len(first) :]}
    return {blob: node for blob, node in labels.items() if blob not in others}


def _without_judges(graph: Graph) -> Graph:
    return replace(graph, nodes=tuple(node for node in graph.nodes if not record_of(node.layer).judges))


def _checked(graph: Graph, phase: str, shapes: Shapes) -> Shapes:
    infer_shapes(graph, phase, shapes)
    return shapes


def _stated(graph: Graph, asked: Shapes) -> Iterator[tuple[str, Sequence[int]]]:
    for node in graph.nodes:
        for value in node.outputs if node.is_data else ():
            try:
                yield value.blob, top_shapes(node.layer, asked, [value.blob], data_layers(graph))[0]
            except InputError:
                continue


def small(graph: Graph, phase: str, shapes: Shapes, asked: Shapes) -> tuple[Graph, Shapes]:
    """The same with batches of at most 2, but for what was ``asked``; of more, or as they were, where the net
    does not take that (a Reshape may have the batch in it, statistics be those of a part of it).
    """
    for batch in (_BATCH, 8, 32):
        nodes = tuple(replace(node, layer=_with_small_dummies(node.layer, batch)) for node in graph.nodes)
        small_graph = replace(graph, nodes=nodes)
        with suppress(InputError):
            return small_graph, _checked(small_graph, phase, _cut_batches(shapes, asked, batch))
    return graph, shapes


def _cut_batches(shapes: Shapes, asked: Shapes, batch: int = _BATCH) -> Shapes:
    return {
        blob: shape if blob in asked else (*_cut(shape[:1], batch), *shape[1:])
        for blob, shape in shapes.items()
    }


def _with_small_dummies(layer: LayerParameter, batch: int) -> LayerParameter:
    """DummyData's shapes, which are no inputs of the net, are cut in its message."""
    if not layer.HasField("dummy_data_param"):
        return layer
    message = LayerParameter()
    message.CopyFrom(layer)
    param = message.dummy_data_param
    param.num[:] = _cut(param.num, batch)
    for shape in param.shape:
        shape.dim[:1] = _cut(shape.dim[:1], batch)
    return message


def _cut(sizes: Sequence[int], batch: int) -> list[int]:
    return [min(size, batch) for size in sizes]

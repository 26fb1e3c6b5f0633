"""The shapes in which a net's inputs are drawn for a check."""

from collections.abc import Iterator, Mapping, Sequence

from converters.build import data_layers, infer_shapes
from converters.data.shapes import top_shapes
from converters.graph import Graph
from prototxt.errors import InputError

_BATCH = 2
# Of images whose size only the data know, as in Data without a crop: those of ImageNet's nets, CIFAR, MNIST.
_IMAGES = ((3, 224, 224), (3, 227, 227), (3, 256, 256), (3, 32, 32), (1, 28, 28), (1, 32, 32), (3, 512, 512))

Shapes = Mapping[str, Sequence[int]]


def known_shapes(graph: Graph, phase: str, asked: Shapes) -> dict[str, Sequence[int]]:
    """A shape for every input in which all layers can be built: what is ``asked``, what the prototxt says,
    and, where only the data know, the first of some sizes of images that the net takes.

    Raises InputError for what no size of image mends.
    """
    stated = dict(_stated(graph, asked))
    unknown = [value.blob for value in graph.inputs if value.blob not in stated]
    if not unknown:
        return _checked(graph, phase, stated)
    batch = next((shape[0] for shape in stated.values() if shape), _BATCH)
    errors = []
    for image in _IMAGES:
        try:
            return _checked(graph, phase, stated | dict.fromkeys(unknown, (batch, *image)))
        except InputError as error:
            errors.append(error)
    raise errors[0]


def _checked(graph: Graph, phase: str, shapes: dict[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    infer_shapes(graph, phase, shapes)
    return shapes


def _stated(graph: Graph, asked: Shapes) -> Iterator[tuple[str, Sequence[int]]]:
    for node in graph.nodes:
        for value in node.outputs if node.is_data else ():
            try:
                yield value.blob, top_shapes(node.layer, asked, [value.blob], data_layers(graph))[0]
            except InputError:
                continue


def small_shapes(graph: Graph, phase: str, shapes: Shapes, asked: Shapes) -> Shapes:
    """The same with batches of at most 2, but for what was ``asked``; as they were where the net does not
    take that (a Reshape may have the batch in it).
    """
    cut = {
        blob: shape if blob in asked else (*(min(size, _BATCH) for size in shape[:1]), *shape[1:])
        for blob, shape in shapes.items()
    }
    try:
        return _checked(graph, phase, cut)
    except InputError:
        return shapes

"""A classifier as wide as the data has classes, and an input of another size."""

from collections.abc import Iterable, Mapping, Sequence

from converters.build import infer_shapes
from converters.graph import Graph, Node, Value
from converters.layers.checks import LARGEST
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError, of_layer
from zoo.variants.heads import pool_whatever_size
from zoo.variants.layout import classifiers


def size_classifiers(net: NetParameter, classes: int, announce: bool) -> list[str]:
    """Make every classifier ``classes`` wide and cap every top_k; a notice for each one that changes.

    With ``announce`` the number is the lists' own, and a net without a classifier stays as it is; else
    that raises InputError.
    """
    if not announce and not classifiers(net):
        raise InputError(f'net "{net.name}" has no InnerProduct that a loss reads, for --classes to size')
    notices = []
    for layer in classifiers(net):
        before = layer.inner_product_param.num_output
        layer.inner_product_param.num_output = classes
        why = f"the lists have {classes} classes" if announce else f"--classes {classes}"
        keep = f"; --classes {before} keeps {before}" if announce else ""
        if before != classes:
            notices.append(f'{why}: layer "{layer.name}" has {classes} outputs instead of {before}{keep}')
    return notices + (_cap_top_k(net, classes) if classifiers(net) else [])


def _cap_top_k(net: NetParameter, classes: int) -> list[str]:
    """Let no Accuracy ask for more than there are, at which Caffe aborts; a notice for each that did. All say
    their top_k then, as the nets of runs of earlier versions do.
    """
    notices = []
    for layer in (each for each in net.layer if each.type == "Accuracy"):
        asked = layer.accuracy_param.top_k
        layer.accuracy_param.top_k = min(asked, classes)
        if asked > classes:
            what = f'layer "{layer.name}" has top_k {classes} instead of {asked}'
            notices.append(f"{what}: there are {classes} classes")
    return notices


def scored_classes(graph: Graph, tops: Mapping[str, Sequence[int]]) -> int | None:
    """How many classes the layers that judge by a data layer's label score, at least, on data ``tops`` of
    these shapes; None where none does.
    """
    shapes = infer_shapes(graph, input_shapes=tops)
    scores = [node.inputs[0] for node in graph.nodes if _judges_data(node, graph)]
    return min((shapes[value][1] for value in scores if len(shapes[value]) > 1), default=None)


def _judges_data(node: Node, graph: Graph) -> bool:
    return record_of(node.layer).scores_classes and node.inputs[1] in graph.inputs


def compared_values(graph: Graph) -> list[Value]:
    """What losses of differences compare with the labels of a data layer's pictures, as these are or in
    another shape: a net that has such a loss, and none that takes a label for a class, tells numbers.
    """
    labels, told = set[Value](), list[Value]()
    for node in graph.nodes:
        record = record_of(node.layer)
        if record.data_tops is not None and record.data_tops.is_images:
            labels.update(node.outputs[1:])
        elif record.scores_classes and node.inputs[1] in labels:
            return []
        elif record.routes and node.inputs[0] in labels:
            labels.update(node.outputs)
        elif record.compares_values:
            told += [
                ours
                for ours, theirs in (node.inputs[:2], node.inputs[1::-1])
                if theirs in labels and ours not in labels
            ]
    return told


def unjudged_labels(graph: Graph) -> set[int]:
    """The labels that every layer which judges by a data layer's label ignores."""
    each = [ignored_labels([node.layer]) for node in graph.nodes if _judges_data(node, graph)]
    return set[int].intersection(*each) if each else set()


def ignored_labels(layers: Iterable[LayerParameter]) -> set[int]:
    """The ``ignore_label`` of every loss and Accuracy that gives one."""
    params = [getattr(layer, record_of(layer).ignore_in) for layer in layers]
    return {param.ignore_label for param in params if param.HasField("ignore_label")}


def resize_input(net: NetParameter, size: int) -> None:
    """Have the data layers serve ``size``×``size`` pixels: crops of that size, resizes in proportion.

    The pooling of a GAP head covers the whole map as before, whatever size that now has; an FC head
    reads the whole map anyway. Raises InputError for a net without a data layer that crops or resizes.
    """
    served = [layer for layer in net.layer if _served(layer)]
    if not served:
        raise InputError(f'net "{net.name}" has no data layer that crops or resizes, for --size to set')
    pool_whatever_size(net)
    for layer in served:
        with of_layer(layer):
            _serve(layer, size)


def _served(layer: LayerParameter) -> int:
    """The side of the square that a data layer serves by crop or resize; 0 for other layers."""
    return layer.transform_param.crop_size or layer.image_data_param.new_height


def _serve(layer: LayerParameter, size: int) -> None:
    share = size / _served(layer)
    images = layer.image_data_param
    if images.new_height:
        sides = [round(side * share) for side in (images.new_height, images.new_width)]
        if max(sides) > LARGEST:
            raise InputError(f"--size {size}: images resized to {sides[0]}×{sides[1]}", layer.name)
        images.new_height, images.new_width = sides
    transform = layer.transform_param
    for side in ("min_side_min", "min_side_max"):  # of the series author's fork: the shorter side
        if getattr(transform, side):
            setattr(transform, side, max(size, round(getattr(transform, side) * share)))
    if transform.crop_size:
        transform.crop_size = size

"""A classifier as wide as the data has classes."""

from converters.build import infer_shapes
from converters.graph import Graph
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from zoo.layout import JUDGES, classifiers


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
    for judge in net.layer:
        if judge.type == "Accuracy" and classifiers(net):
            judge.accuracy_param.top_k = min(judge.accuracy_param.top_k, classes)
    return notices


def scored_classes(graph: Graph) -> int | None:
    """How many classes the layers that judge by label score, at least; None where none does."""
    shapes = infer_shapes(graph)
    scores = [node.inputs[0] for node in graph.nodes if node.layer.type in JUDGES]
    return min((shapes[value][1] for value in scores if len(shapes[value]) > 1), default=None)

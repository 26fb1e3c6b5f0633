"""What a net is as a classifier, or as one that tells numbers: which input takes the picture, and which
output scores the classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.export.deploy import is_judge
from converters.graph import Graph
from converters.layers.registry import record_of
from converters.network import Network
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class Classifier:
    """The picture's input with its (channels, height, width), how many classes the output scores, for the
    whole picture or, ``is_map``, for each pixel, or numbers it tells, and the output.
    """

    input: str
    shape: tuple[int, int, int]
    classes: int
    output: str = ""
    is_map: bool = False


def classifier(
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    least: int = 2,
    may_be_map: bool = False,
) -> Classifier:
    """The classifier of these shapes by blob, batch and all (classification.cpp asks for the same), of each
    pixel where it ``may_be_map``.

    Raises InputError for a net with several inputs or outputs, or others than a picture and scores of
    ``least`` classes or more: one number is enough for a net that tells such.
    """
    for what, blobs in (("input", inputs), ("output", outputs)):
        if len(blobs) != 1:
            named = ", ".join(blobs) or "none"
            hint = "; --until ends it at one of them" if what == "output" else ""
            raise InputError(f"it has {len(blobs)} {what}s ({named}), where a classifier has one{hint}")
    ((name, shape),), ((scores, sizes),) = inputs.items(), outputs.items()
    if len(shape) != 4 or shape[1] not in (1, 3) or min(shape) < 1:
        raise InputError(f'its input "{name}", {_sized(shape)}, is no picture')
    is_map = may_be_map and len(sizes) == 4 and sizes[1] > 1 and max(sizes[2:]) > 1
    if len(sizes) < 2 or sizes[1] < least or (not is_map and any(size != 1 for size in sizes[2:])):
        raise InputError(f'its output "{scores}", {_sized(sizes)}, is no score a class')
    return Classifier(name, (shape[1], shape[2], shape[3]), sizes[1], scores, is_map)


def classifier_of(net: Network, least: int = 2, may_be_map: bool = False) -> Classifier:
    """That of a deployed net. Raises InputError as :func:`classifier`."""
    inputs = {value.blob: tuple(net.shapes[value]) for value in net.graph.inputs}
    outputs = {value.blob: tuple(net.shapes[value]) for value in net.graph.outputs}
    return classifier(inputs, outputs, least, may_be_map)


def picture_layer(graph: Graph, blob: str) -> LayerParameter | None:
    """The layer that reads the pictures of an input from files; None where a program feeds it."""
    for node in graph.nodes:
        if node.is_data and blob in (value.blob for value in node.outputs):
            tops = record_of(node.layer).data_tops
            return node.layer if tops is not None and tops.is_images else None
    return None


def ends_in_softmax_loss(graph: Graph, part: Graph) -> bool:
    """Whether the output of ``part``, deployed of ``graph``, are scores that a SoftmaxWithLoss makes
    probabilities of.
    """
    judges = [node for node in graph.nodes if is_judge(node.layer) and record_of(node.layer).probabilities]
    return any(node.inputs[0] in part.outputs for node in judges)


def read_labels(path: Path, classes: Sequence[int], net: str) -> list[str]:
    """The classes' names, a line each. Raises InputError for another number of them than one of ``classes``,
    which ``net`` scores.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    names = [line.removesuffix("\r") for line in text.rstrip("\r\n").split("\n")]
    if len(names) not in classes:
        scored = " or ".join(map(str, classes)) or "no"
        raise InputError(f"{path}: has {len(names)} labels, {net} scores {scored} classes")
    return names


def _sized(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))

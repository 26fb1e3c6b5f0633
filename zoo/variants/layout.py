"""Where things stand in a conv→…→InnerProduct net: what the edits of a variant look for."""

import re
from collections.abc import Sequence
from itertools import pairwise

from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError

_NORMALISING = ("BatchNorm", "Scale", "Bias")  # what stands between a convolution and its activation


def convolutions(net: NetParameter) -> list[int]:
    """Indices of every Convolution. Raises InputError where there is none."""
    indices = [index for index, layer in enumerate(net.layer) if layer.type == "Convolution"]
    if not indices:
        raise InputError("there is no Convolution layer to act on")
    return indices


def tail(net: NetParameter, index: int) -> list[int]:
    """``index`` and the pointwise layers that act on its top before anything else reads it."""
    block, blob = [index], net.layer[index].top[0]
    for later in range(index + 1, len(net.layer)):
        layer = net.layer[later]
        if blob not in layer.bottom:
            continue
        if not record_of(layer).pointwise:
            break
        block.append(later)
        blob = layer.top[0]
    return block


def normalised(net: NetParameter, block: Sequence[int]) -> int:
    """Of a convolution's :func:`tail` the last layer before its activation."""
    return next((a for a, b in pairwise(block) if net.layer[b].type not in _NORMALISING), block[-1])


def activation(net: NetParameter, block: Sequence[int]) -> LayerParameter | None:
    """Of a convolution's :func:`tail` the ReLU, PReLU, …; None where it has none."""
    layers = (net.layer[index] for index in block[1:])
    return next((layer for layer in layers if layer.type not in (*_NORMALISING, "Dropout", "LRN")), None)


def channels(net: NetParameter, index: int) -> int | None:
    """Of how many channels the bottom of layer ``index`` is; None where the prototxt does not say it."""
    blob = net.layer[index].bottom[0]
    for before in range(index - 1, -1, -1):
        layer = net.layer[before]
        if blob not in layer.top:
            continue
        if layer.type == "Convolution":
            return layer.convolution_param.num_output
        if not record_of(layer).pointwise and layer.type not in ("Pooling", "Eltwise"):
            return None
        blob = layer.bottom[0]
    return None


def classifiers(net: NetParameter) -> list[LayerParameter]:
    """The InnerProducts whose scores a layer compares with labels; other nets have none."""
    scored = {layer.bottom[0] for layer in net.layer if record_of(layer).scores_classes and layer.bottom}
    return [layer for layer in net.layer if layer.type == "InnerProduct" and layer.top[0] in scored]


def inner_products(net: NetParameter) -> list[int]:
    """Indices of every InnerProduct after the last convolution. Raises InputError where there is none."""
    last = convolutions(net)[-1]
    indices = [i for i, layer in enumerate(net.layer) if layer.type == "InnerProduct" and i > last]
    if not indices:
        raise InputError("there is no InnerProduct layer after the last Convolution to act on")
    return indices


def insert(net: NetParameter, index: int, layer: LayerParameter) -> LayerParameter:
    """Insert ``layer`` so that it becomes ``net.layer[index]``; the inserted message."""
    net.layer.insert(index, layer)
    return net.layer[index]


def insert_between(net: NetParameter, index: int, layer: LayerParameter, blob: str = "") -> int:
    """Insert ``layer`` behind layer ``index``: it reads that one's top, or ``blob``, before what it reads
    already, and whatever reads that further on reads its top instead. Its index.
    """
    old, new = blob or net.layer[index].top[0], layer.top[0]
    layer.bottom.insert(0, old)
    for later in net.layer[index + 1 :]:
        later.bottom[:] = [new if each == old else each for each in later.bottom]
        later.top[:] = [new if each == old else each for each in later.top]
    insert(net, index + 1, layer)
    return index + 1


def trailing_number(name: str) -> str:
    """The digits at the end of a name: conv5 → 5, none → ''."""
    match = re.search(r"\d*$", name)
    assert match is not None
    return match[0]


def unused_layer_name(net: NetParameter, name: str) -> str:
    """``name``, with underscores added until no layer or blob has it."""
    taken = {layer.name for layer in net.layer} | {top for layer in net.layer for top in layer.top}
    while name in taken:
        name += "_"
    return name

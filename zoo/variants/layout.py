"""Where things stand in a conv→…→InnerProduct net: what the edits of a variant look for."""

import re

from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError


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


def last_block(net: NetParameter) -> list[int]:
    """The last convolution before the classifier, with its tail."""
    return tail(net, convolutions(net)[-1])


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

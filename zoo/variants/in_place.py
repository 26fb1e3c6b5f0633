"""Edits that add in-place layers behind convolutions: BatchNorm with Scale, and Dropout."""

from collections.abc import Sequence

from prototxt.caffe_pb2 import LayerParameter, NetParameter, ParamSpec
from prototxt.errors import InputError
from zoo.variants.layout import convolutions, insert, tail, trailing_number, unused_layer_name


def set_dropout(net: NetParameter, ratio: float, at: Sequence[int] = ()) -> None:
    """In-place Dropout of ratio R (0 ≤ R ≤ 1) after the last convolution's ReLU; present ones are set.

    With @A-B-… after convolutions A, B, … alone, counted from 1, and others stay as they are.
    """
    present = [] if at else [layer for layer in net.layer if layer.type == "Dropout"]
    for index in reversed([] if present else _chosen(net, at or [len(convolutions(net))])):
        present.append(_dropout_behind(net, index))
    for layer in present:
        layer.dropout_param.dropout_ratio = ratio


def _dropout_behind(net: NetParameter, index: int) -> LayerParameter:
    """The Dropout behind convolution ``index``, which is added where there is none."""
    block = tail(net, index)
    for at in block:
        if net.layer[at].type == "Dropout":
            return net.layer[at]
    name = unused_layer_name(net, f"drop{trailing_number(net.layer[index].name)}")
    blob = net.layer[block[-1]].top[0]
    layer = LayerParameter(name=name, type="Dropout", bottom=[blob], top=[blob])
    return insert(net, block[-1] + 1, layer)


def set_bn(net: NetParameter) -> None:
    """BatchNorm and Scale, in place, between every convolution and its ReLU."""
    set_bn_at(net, None)


def set_bn_at(net: NetParameter, fraction: float | None, at: Sequence[int] = ()) -> None:
    """As bn and bnF, behind convolutions A, B, … alone, counted from 1."""
    for index in reversed(_chosen(net, at)):
        block = tail(net, index)
        norms = [i for i in block if net.layer[i].type == "BatchNorm"]
        if not norms:
            _insert_like(net, index, index, _batch_norm(net, net.layer[index].name))
        last = norms[0] if norms else index + 1
        if not any(net.layer[i].type == "Scale" for i in tail(net, index)):
            _insert_like(net, last, index, _scale(net, net.layer[index].name))
    for layer in net.layer:
        if layer.type == "BatchNorm" and fraction is not None:
            layer.batch_norm_param.moving_average_fraction = fraction


def set_bn_fraction(net: NetParameter, fraction: float) -> None:
    """As bn, the stored statistics a moving average of fraction F (0 < F < 1), where Caffe's own is 0.999.

    Caffe's remembers some thousand iterations: in a run of a few thousand the weights have moved on.
    """
    set_bn_at(net, fraction)


def _chosen(net: NetParameter, numbers: Sequence[int]) -> list[int]:
    """Indices of the convolutions of these numbers, counted from 1; of all without any."""
    indices = convolutions(net)
    for number in numbers:
        if not 1 <= number <= len(indices):
            raise InputError(f"there is no convolution {number} among {len(indices)}")
    return sorted(indices[number - 1] for number in set(numbers)) if numbers else indices


def _insert_like(net: NetParameter, after: int, conv: int, layer: LayerParameter) -> None:
    """Insert an in-place layer on the top of layer ``after``, kept in the phases that keep ``conv``."""
    blob = net.layer[after].top[0]
    layer.bottom.append(blob)
    layer.top.append(blob)
    layer.include.extend(net.layer[conv].include)
    layer.exclude.extend(net.layer[conv].exclude)
    insert(net, after + 1, layer)


def _batch_norm(net: NetParameter, conv: str) -> LayerParameter:
    frozen = [ParamSpec(lr_mult=0, decay_mult=0) for _ in range(3)]
    return LayerParameter(name=unused_layer_name(net, f"bn_{conv}"), type="BatchNorm", param=frozen)


def _scale(net: NetParameter, conv: str) -> LayerParameter:
    layer = LayerParameter(name=unused_layer_name(net, f"scale_{conv}"), type="Scale")
    layer.scale_param.filler.value = 1
    layer.scale_param.bias_term = True
    layer.scale_param.bias_filler.value = 0
    return layer

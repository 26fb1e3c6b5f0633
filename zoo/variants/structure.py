"""Edits of a net's structure: pooling, 1×1 layers, skip connections, bottlenecks, separable convolutions.

A layer that an edit adds is made like the convolution that it is added for: fillers, bias, rates and phase
rules are that one's, and the ReLU (or whatever activation) behind that one stands behind the new one, too.
"""

from collections.abc import Sequence

from converters.layers.parts.geometry import geometry
from prototxt.caffe_pb2 import EltwiseParameter, LayerParameter, NetParameter, PoolingParameter
from prototxt.errors import InputError
from zoo.variants.heads import pool_whatever_size
from zoo.variants.layout import (
    activation,
    channels,
    convolutions,
    insert,
    insert_between,
    normalised,
    tail,
    unused_layer_name,
)

_STRIDE = ("stride", "stride_h", "stride_w")
_WINDOW = ("kernel_size", "kernel_h", "kernel_w", "pad", "pad_h", "pad_w", "dilation", "group")


def set_max_pooling(net: NetParameter) -> None:
    """Convolutions of stride S > 1 have stride 1, and behind their ReLU MAX pooling over S×S, stride S."""
    _pool_for_stride(net, PoolingParameter.MAX)


def set_ave_pooling(net: NetParameter) -> None:
    """As maxpool, with AVE pooling."""
    _pool_for_stride(net, PoolingParameter.AVE)


def _pool_for_stride(net: NetParameter, method: "PoolingParameter.PoolMethod") -> None:
    """Caffe's pooling rounds up, so that maps are as large as behind a strided 3×3 convolution with pad 1."""
    strided = [index for index in convolutions(net) if max(geometry(net.layer[index], 2).stride) > 1]
    if not strided:
        raise InputError("there is no Convolution of a stride above 1")
    pool_whatever_size(net)
    for index in reversed(strided):
        conv = net.layer[index]
        height, width = geometry(conv, 2).stride
        _clear(conv, _STRIDE)
        pool = _named(net, f"{conv.name}_pool", LayerParameter(type="Pooling"), conv)
        param = PoolingParameter(
            pool=method, kernel_h=height, kernel_w=width, stride_h=height, stride_w=width
        )
        if height == width:
            param = PoolingParameter(pool=method, kernel_size=height, stride=height)
        pool.pooling_param.CopyFrom(param)
        insert_between(net, tail(net, index)[-1], pool)


def set_nin(net: NetParameter, counts: Sequence[int] = ()) -> None:
    """1×1 convolutions with as many outputs behind each convolution's ReLU: one, or A, B, … of them (NiN)."""
    indices = convolutions(net)
    counts = counts or [1] * len(indices)
    if len(counts) != len(indices):
        raise InputError(f"{len(counts)} numbers for {len(indices)} convolutions")
    for index, count in reversed(list(zip(indices, counts, strict=True))):
        conv, block = net.layer[index], tail(net, index)
        after, last = activation(net, block), block[-1]
        for number in range(1, count + 1):
            one = _one_by_one(net, f"{conv.name}_nin{number}", conv)
            last = _activate(net, insert_between(net, last, one), after)


def set_skip(net: NetParameter) -> None:
    """A skip connection round each convolution but the first, of 1×1 where shapes differ, before its ReLU.

    Where a convolution changes the number of channels or has a stride, so does the 1×1 convolution that its
    bottom goes through (ResNet's projection). One whose padding does not keep the map has none.
    """
    inner = [index for index in convolutions(net)[1:] if _keeps_map(net.layer[index])]
    if not inner:
        raise InputError("there is no Convolution but the first whose padding keeps the map")
    for index in reversed(inner):
        conv, last = net.layer[index], normalised(net, tail(net, index))
        blob, other = net.layer[last].top[0], conv.bottom[0]
        if _changes_shape(net, index):
            projection = _one_by_one(net, f"{conv.name}_skip", conv, keep=_STRIDE)
            projection.bottom[:] = [other]
            other = projection.top[0]
            insert(net, last + 1, projection)
            last += 1
        total = _named(net, f"{conv.name}_sum", LayerParameter(type="Eltwise", bottom=[other]), conv)
        total.eltwise_param.operation = EltwiseParameter.SUM
        insert_between(net, last, total, blob)


def set_bottleneck(net: NetParameter, reduce: int, narrow: int) -> None:
    """Convolutions but the first become 1×1 to 1/A of the outputs, k×k with 1/B, 1×1 back to all (ResNet)."""
    for index in reversed(_inner(net)):
        conv = net.layer[index]
        outputs = conv.convolution_param.num_output
        after = activation(net, tail(net, index))
        first = _one_by_one(net, f"{conv.name}_reduce", conv)
        first.convolution_param.num_output = -(-outputs // reduce)
        second = _copy(net, f"{conv.name}_narrow", conv)
        second.convolution_param.num_output = -(-outputs // narrow)
        _clear(conv, (*_WINDOW, *_STRIDE))
        conv.convolution_param.kernel_size[:] = [1]
        _lead(net, index, [first, second], after)


def set_depthwise(net: NetParameter) -> None:
    """Convolutions but the first become k×k of a group a channel, and 1×1; a ReLU each (MobileNet)."""
    for index in reversed(_inner(net)):
        conv = net.layer[index]
        count = channels(net, index)
        if count is None:
            raise InputError("the channels of its bottom cannot be told from the prototxt", conv.name)
        after = activation(net, tail(net, index))
        each = _copy(net, f"{conv.name}_dw", conv)
        each.convolution_param.num_output = each.convolution_param.group = count
        _clear(conv, (*_WINDOW, *_STRIDE))
        conv.convolution_param.kernel_size[:] = [1]
        _lead(net, index, [each], after)


def _lead(net: NetParameter, index: int, layers: list[LayerParameter], after: LayerParameter | None) -> None:
    """Put layers, each with its activation, between the bottom of convolution ``index`` and that layer."""
    conv, at, blob = net.layer[index], index, net.layer[index].bottom[0]
    for layer in layers:
        layer.bottom[:] = [blob]
        blob = layer.top[0]
        insert(net, at, layer)
        at = _activate(net, at, after) + 1
    net.layer[at].bottom[:] = [blob]
    assert net.layer[at].name == conv.name


def _inner(net: NetParameter) -> list[int]:
    """The convolutions that see more than a place and more than one channel, but for the first."""
    indices = [
        index
        for index in convolutions(net)[1:]
        if max(geometry(net.layer[index], 2).kernel) > 1 and net.layer[index].convolution_param.group == 1
    ]
    if not indices:
        raise InputError("there is no Convolution, but the first, of a kernel above 1×1 and of one group")
    return indices


def _keeps_map(conv: LayerParameter) -> bool:
    """Whether a 1×1 convolution of the same stride leaves a map of the same size, whatever that is."""
    sides = geometry(conv, 2)
    return all(2 * pad == extent - 1 for pad, extent in zip(sides.pad, sides.extent, strict=True))


def _changes_shape(net: NetParameter, index: int) -> bool:
    conv = net.layer[index]
    return channels(net, index) != conv.convolution_param.num_output or max(geometry(conv, 2).stride) > 1


def _one_by_one(
    net: NetParameter, name: str, conv: LayerParameter, keep: Sequence[str] = ()
) -> LayerParameter:
    """A 1×1 convolution made like ``conv``, with as many outputs; ``keep`` names fields that are its."""
    layer = _copy(net, name, conv)
    _clear(layer, [field for field in (*_WINDOW, *_STRIDE) if field not in keep])
    layer.convolution_param.kernel_size[:] = [1]
    return layer


def _copy(net: NetParameter, name: str, layer: LayerParameter) -> LayerParameter:
    """A copy with blobs of its own, reading nothing yet, whose top has its name."""
    copy = LayerParameter()
    copy.CopyFrom(layer)
    copy.ClearField("bottom")
    for param in copy.param:
        param.ClearField("name")
    return _named(net, name, copy, layer)


def _named(net: NetParameter, name: str, layer: LayerParameter, like: LayerParameter) -> LayerParameter:
    """The layer under a name that is free, with a top of that name, kept in the phases that keep ``like``."""
    layer.name = unused_layer_name(net, name)
    layer.top[:] = [layer.name]
    for field in ("include", "exclude"):
        layer.ClearField(field)
        getattr(layer, field).extend(getattr(like, field))
    return layer


def _activate(net: NetParameter, index: int, like: LayerParameter | None) -> int:
    """Have an activation like that one act in place on the top of layer ``index``; the last one's index."""
    if like is None:
        return index
    blob = net.layer[index].top[0]
    layer = _copy(net, f"{net.layer[index].name}_relu", like)
    layer.bottom[:] = layer.top[:] = [blob]
    insert(net, index + 1, layer)
    return index + 1


def _clear(layer: LayerParameter, names: Sequence[str]) -> None:
    for name in names:
        layer.convolution_param.ClearField(name)

"""The two heads: global average pooling (GAP) before the first InnerProduct, or none (FC)."""

from converters.build import infer_shapes
from converters.graph import build_graph
from converters.net_state import net_state
from prototxt.caffe_pb2 import LayerParameter, NetParameter, PoolingParameter
from prototxt.errors import InputError
from prototxt.upgrade import quiet
from zoo.variants.layout import convolutions, inner_products, insert, trailing_number, unused_layer_name

_READERS = ("InnerProduct", "Flatten", "Reshape")


def set_fc(net: NetParameter) -> None:
    """The FC head: the first InnerProduct reads the whole feature map."""
    inner_products(net)
    for index in reversed(global_pools(net)):
        pool = net.layer[index]
        old, new = pool.top[0], pool.bottom[0]
        del net.layer[index]
        for layer in net.layer[index:]:
            layer.bottom[:] = [new if blob == old else blob for blob in layer.bottom]
            layer.top[:] = [new if blob == old else blob for blob in layer.top]


def set_gap(net: NetParameter) -> None:
    """The GAP head: the feature map is averaged to one value a channel before the InnerProduct."""
    first = inner_products(net)[0]
    if global_pools(net):
        return
    last = convolutions(net)[-1]
    at = next(i for i in range(last + 1, first + 1) if net.layer[i].type in _READERS)
    name = unused_layer_name(net, f"pool{trailing_number(net.layer[last].name)}")
    blob = net.layer[at].bottom[0]
    pool = LayerParameter(name=name, type="Pooling", bottom=[blob], top=[name])
    pool.pooling_param.pool = PoolingParameter.AVE
    shapes = _shapes_before(net, at, blob)
    _cover(pool, shapes[0] if shapes else None)
    net.layer[at].bottom[0] = name
    insert(net, at, pool)


def head_of(net: NetParameter) -> str:
    """``gap`` or ``fc``; ``other`` for a net without a convolution followed by an InnerProduct."""
    try:
        inner_products(net)
    except InputError:
        return "other"
    return "gap" if global_pools(net) else "fc"


def pool_whatever_size(net: NetParameter) -> None:
    """Have a GAP head pool the whole map at whatever size; other nets stay as they are.

    For edits that change the map's size; called before they do, while it can be told what is global.
    """
    try:
        pools = global_pools(net)
    except InputError:  # no head at all
        return
    for index in pools:
        pooling = net.layer[index].pooling_param
        for field in ("kernel_size", "kernel_h", "kernel_w", "stride", "stride_h", "stride_w"):
            pooling.ClearField(field)
        pooling.global_pooling = True


def _cover(pool: LayerParameter, shape: tuple[int, ...] | None) -> None:
    """Make the window the whole map: its size where it is square and known, as the article writes it."""
    if shape is not None and len(shape) == 4 and shape[2] == shape[3]:
        pool.pooling_param.kernel_size = shape[2]
        pool.pooling_param.stride = 1
    else:
        pool.pooling_param.global_pooling = True


def global_pools(net: NetParameter) -> list[int]:
    """AVE poolings over the whole map, between the last convolution and the first InnerProduct."""
    between = range(convolutions(net)[-1] + 1, inner_products(net)[0])
    averages = [
        i
        for i in between
        if net.layer[i].type == "Pooling" and net.layer[i].pooling_param.pool == PoolingParameter.AVE
    ]
    return [i for i in averages if _is_global(net, i)]


def _is_global(net: NetParameter, index: int) -> bool:
    pool = net.layer[index]
    if pool.pooling_param.global_pooling:
        return True
    shapes = _shapes_before(net, index + 1, pool.bottom[0], pool.top[0])
    return shapes is not None and shapes[1][2:] == (1, 1) != shapes[0][2:]


def _shapes_before(net: NetParameter, index: int, *blobs: str) -> list[tuple[int, ...]] | None:
    """The shapes of blobs as the layers before layer ``index`` leave them; None where they cannot be told."""
    trunk = NetParameter(name=net.name, layer=net.layer[:index])
    for phase in ("TRAIN", "TEST"):
        try:
            values = infer_shapes(build_graph(trunk, net_state(phase), warn=quiet), phase)
        except InputError:
            continue
        shapes = {value.blob: tuple(shape) for value, shape in values.items()}  # as the last layer left it
        if shapes.keys() >= set(blobs):
            return [shapes[blob] for blob in blobs]
    return None

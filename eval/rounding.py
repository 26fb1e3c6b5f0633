"""How far values move where what was read for them is off in its last places: so far apart may two programs
be that are both right.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from converters.build import as_tuple
from converters.graph import Value
from converters.layers import Layer
from converters.network import Network
from eval.probe import forget, tensors
from eval.runtime import Feeds
from prototxt.errors import InputError

_SHARE = 2.0**-20  # of each value: eight of float32's last places


@torch.no_grad()
def rounding_of(layer: Layer, bottoms: Sequence[Tensor], top: int) -> float:
    """The largest change of one of the layer's tops; 0 where it has another number of rows then."""
    tops = []
    for each in (bottoms, _nudged(layer, bottoms)):
        layer.reset()
        try:
            tops.append(as_tuple(layer(*each))[top])
        except InputError:
            return 0.0
    return _largest(*tops)


@torch.no_grad()
def drift_of(net: Network, feeds: Feeds) -> dict[Value, float]:
    """The largest change of every value of the net where each layer reads what is off so; of a detector's
    rows, and of what such a layer refuses, 0.
    """
    forget(net)
    plain = net.values(tensors(feeds))
    forget(net)
    moved = {value: plain[value] for value in net.graph.inputs}
    drift: dict[Value, float] = {}
    for node in net.graph.nodes:
        if node.is_data:
            continue
        layer = net.module_of(node)
        try:
            tops = as_tuple(layer(*_nudged(layer, [moved[value] for value in node.inputs])))
        except InputError:
            tops = tuple(plain[value] for value in node.outputs)
        for value, top in zip(node.outputs, tops, strict=False):
            moved[value] = top
            drift[value] = 0.0 if layer.record.rows is not None else _largest(top, plain[value])
    return drift


def _nudged(layer: Layer, bottoms: Sequence[Tensor]) -> list[Tensor]:
    """Each value a little larger or smaller, but of bottoms that name things by whole numbers."""
    record = layer.record
    named = {at % len(bottoms) for at in (*record.indices, *record.probes) if bottoms}
    return [x if at in named else _moved(x, at) for at, x in enumerate(bottoms)]


def _moved(x: Tensor, seed: int) -> Tensor:
    signs = torch.randint(2, x.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return x * (1 + _SHARE * signs)


def _largest(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return 0.0
    apart = (one - other).abs()
    return float(apart[apart.isfinite()].max()) if apart.isfinite().any() else 0.0

"""Layers that pick samples along the first axis, by values that another blob holds."""

from torch import Tensor

from converters.layers.base import Layer
from converters.layers.parts.indexing import Index
from converters.layers.registry import ONE_OR_MORE, Shapes, free, layer, zero_or_one
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@layer(
    "BatchReindex",
    source="batch_reindex_layer.cpp",
    bottoms=(2, 2),
    macs=free,
    routes=True,
    indices={1: lambda module, bottoms: min(bottoms[0][0], bottoms[1][0])},
)
class BatchReindex(Layer):
    """x[index]: samples repeated, left out or reordered as the second bottom says
    (batch_reindex_layer.cpp). Indices are compared as they are.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        if len(bottoms[1]) != 1 or not len(bottoms[0]):
            raise InputError(
                f"takes (N, …) and a list of indices, not {[tuple(s) for s in bottoms]}", message.name
            )
        self.index = Index(message, "index", bottom=1, is_exact=True)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """(N, …) and (M,) to (M, …)."""
        return x.index_select(0, self.index(index, x.shape[0]))


@layer(
    "Filter",
    source="filter_layer.cpp",
    bottoms=(2, None),
    tops=ONE_OR_MORE,
    macs=free,
    routes=True,
    indices={-1: zero_or_one},
    most=lambda module, bottoms: bottoms[:-1],
)
class Filter(Layer):
    """The samples of every bottom but the last where the last, the selector, is not 0 (filter_layer.cpp).

    How many that are, only the values tell; in Caffe, too, all count before the first pass.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        selector = bottoms[-1]
        if len(message.top) != len(bottoms) - 1:
            raise InputError(
                f"{len(message.top)} tops for {len(bottoms) - 1} bottoms to filter", message.name
            )
        if selector.numel() != (selector[0] if len(selector) else 0):
            raise InputError(f"the selector {tuple(selector)} has axes beside the first", message.name)
        if any(not len(shape) or shape[0] != selector[0] for shape in bottoms):
            raise InputError(f"bottoms differ in axis 0: {[tuple(s) for s in bottoms]}", message.name)

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        """(N, …) each, and a selector of N values, to (M, …) each."""
        chosen = bottoms[-1].detach().reshape(-1) != 0
        return tuple(x[chosen] for x in bottoms[:-1])

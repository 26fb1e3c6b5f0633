"""The one table from a layer's type to the module that computes it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from prototxt.caffe_pb2 import FillerParameter, LayerParameter
from prototxt.errors import InputError, nearest

Shapes = Sequence[torch.Size]


class Layer(nn.Module):
    """Base of every layer: built from its message and its bottoms' shapes, called with its bottoms.

    A layer's parameters and buffers, in the order they are declared, are Caffe's blob list; ``fillers``
    has one entry per blob (None: zeros).
    """

    fillers: Sequence[FillerParameter | None] = ()

    def blobs(self) -> list[Tensor]:
        """Caffe's blobs of this layer, in Caffe's order, as live tensors."""
        return [*self.parameters(), *self.buffers()]


Builder = Callable[[LayerParameter, Shapes], Layer]
B = TypeVar("B", bound=Builder)
_BUILDERS: dict[str, Builder] = {}


def layer(*types: str) -> Callable[[B], B]:
    """Register a class, or a function that returns a Layer, for Caffe's type names."""

    def register(builder: B) -> B:
        for name in types:
            assert name not in _BUILDERS, f"layer type {name} is registered twice"
            _BUILDERS[name] = builder
        return builder

    return register


def layer_types() -> list[str]:
    """Every registered type, sorted."""
    return sorted(_BUILDERS)


def build_layer(message: LayerParameter, bottoms: Shapes) -> Layer:
    """The module of one layer. Raises InputError, naming the layer, for a type that is not known."""
    if message.type not in _BUILDERS:
        raise InputError(
            f'type "{message.type}" is not supported{nearest(message.type, _BUILDERS)}', message.name
        )
    return _BUILDERS[message.type](message, bottoms)


def expect(message: LayerParameter, bottoms: Shapes, *counts: int) -> None:
    """Raise InputError unless the number of bottoms is one of ``counts``."""
    if len(bottoms) not in counts:
        wanted = " or ".join(map(str, counts))
        raise InputError(f"takes {wanted} bottoms, not {len(bottoms)}", message.name)


def canonical_axis(message: LayerParameter, axis: int, dims: int) -> int:
    """``axis`` counted from the front (Blob::CanonicalAxisIndex). Raises InputError out of range."""
    if not -dims <= axis < dims:
        raise InputError(f"axis {axis} is out of range for a blob of {dims} axes", message.name)
    return axis % dims

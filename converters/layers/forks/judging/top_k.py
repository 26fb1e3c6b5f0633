"""TopK, of an autoencoder with few active units."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import TRAIN, LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class TopKSpec(Spec):
    """Of TopK: ``k`` of the layer's phase."""

    k: int


@layer("TopK", source="BVLC/caffe, a branch: topk_layer.cpp", fields=("topk_param",), macs=free)
class TopK(Layer):
    """Each item's ``k`` largest values, in TEST the whole part of ``k`` times ``a``; the others are 0. Which
    of equal ones stays is not said: the fork's sort decides.
    """

    spec: TopKSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.topk_param
        k = param.k if message.phase == TRAIN else param.k * param.a
        values = bottoms[0][1:].numel()
        if not 1 <= k < values + 1:
            raise InputError(f"takes 1 to {values} values of an item, not {k:g}", message.name)
        self.spec = TopKSpec(int(k))

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) to the same shape."""
        items = x.flatten(1)
        largest = items.detach().topk(self.spec.k, 1).indices
        stays = torch.zeros_like(items, dtype=torch.bool).scatter(1, largest, True)
        return torch.where(stays, items, 0.0).reshape(x.shape)

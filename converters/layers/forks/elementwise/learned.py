"""Activations and scales whose numbers are learned: ducha-aiki's EltwiseAffine, Agostinelli's APL."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converters.layers.base import Layer
from converters.layers.checks import checked_size, positive
from converters.layers.parts.by_batch import spread
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import FillerParameter, LayerParameter
from prototxt.errors import InputError


def _check_axes(message: LayerParameter, shape: torch.Size) -> None:
    if len(shape) < 2 or not shape[0]:
        raise InputError(f"takes a sample or more, of 2 axes or more, not {tuple(shape)}", message.name)


@dataclass(frozen=True)
class EltwiseAffineSpec(Spec):
    """Of EltwiseAffine."""

    channel_shared: bool = False


@layer(
    "EltwiseAffine",
    source="ducha-aiki/caffe: eltwise_affine_layer.cpp",
    fields=("eltwise_affine_param",),
    blobs=("slope", "bias"),
    macs=free,
    pointwise=True,
)
class EltwiseAffine(Layer):
    """slope·x + bias, a number of each a channel, or one for all with channel_shared. Filled with 1.0001 and
    0.0001 where no filler is given. Where channels share the bias its gradient is the derivative; the fork
    writes past the blob's end there.
    """

    spec: EltwiseAffineSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _check_axes(message, bottoms[0])
        param = message.eltwise_affine_param
        self.spec = EltwiseAffineSpec(param.channel_shared)
        shape = () if param.channel_shared else (bottoms[0][1],)
        self.slope, self.bias = nn.Parameter(torch.empty(shape)), nn.Parameter(torch.empty(shape))
        usual = {"slope": FillerParameter(value=1.0001), "bias": FillerParameter(value=0.0001)}
        self.fillers = {
            name: getattr(param, f"{name}_filler") if param.HasField(f"{name}_filler") else filler
            for name, filler in usual.items()
        }

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        return x * spread(self.slope, x) + spread(self.bias, x)


@dataclass(frozen=True)
class APLSpec(Spec):
    """Of APL."""

    sums: int


@layer(
    "APL",
    source="forestagostinelli/Learned-Activation-Functions-Source: apl_layer.cpp",
    fields=("apl_param",),
    blobs=("slope", "offset"),
    macs=free,
    pointwise=True,
)
class APL(Layer):
    """max(x, 0) and ``sums`` of slope·max(offset - x, 0), with numbers of their own for every value of a
    sample: both blobs (1, 1, sums, values), of which a value's numbers lie side by side. Filled uniformly
    from -0.5/sums to 0.5/sums, and by a gaussian of 0.5, where no filler is given.
    """

    spec: APLSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        _check_axes(message, bottoms[0])
        param = message.apl_param
        positive(message, sums=param.sums)
        self.spec = APLSpec(param.sums)
        shape = checked_size(message, "slopes", (1, 1, param.sums, bottoms[0][1:].numel()))
        self.slope, self.offset = nn.Parameter(torch.empty(shape)), nn.Parameter(torch.empty(shape))
        bound = 0.5 / param.sums
        slopes = FillerParameter(type="uniform", min=-bound, max=bound)
        offsets = FillerParameter(type="gaussian", std=0.5)
        self.fillers = {
            "slope": param.slope_filler if param.HasField("slope_filler") else slopes,
            "offset": param.offset_filler if param.HasField("offset_filler") else offsets,
        }

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) to the same shape."""
        values = x.flatten(1).unsqueeze(2)
        slope, offset = (blob.reshape(-1, self.spec.sums) for blob in (self.slope, self.offset))
        hinges = ((offset - values).relu() * slope).sum(2)
        return x.relu() + hinges.reshape(x.shape)

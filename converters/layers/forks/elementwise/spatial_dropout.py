"""ENet's SpatialDropoutLayer, which someone wrote in Python."""

import ast
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.parts.gradient import with_slope
from converters.layers.registry import DRAWS, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class SpatialDropoutSpec(Spec):
    """Of SpatialDropoutLayer."""

    p: float
    phase: str


def _drops(module: Layer, bottoms: Shapes) -> str:
    assert isinstance(module, SpatialDropout)
    return DRAWS if module.spec.phase == "TRAIN" else ""


@layer(
    "spatial_dropout.SpatialDropoutLayer",
    source="TimoSaemann/ENet: spatial_dropout.py",
    macs=free,
    pointwise=True,
    refuses_export=_drops,
)
class SpatialDropout(Layer):
    """Where param_str says TRAIN whole channels are zero with probability p, those that stay times 1/(1-p);
    else everything is times 1/(1-p). The net's phase has no part in it. Channels are drawn by torch's default
    generator of the device. The gradient is the fork's: what was drawn for the last image counts for all.
    """

    spec: SpatialDropoutSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        if len(bottoms[0]) < 2:
            raise InputError(f"takes images of channels, (N, C, …), not {tuple(bottoms[0])}", message.name)
        text = message.python_param.param_str
        try:
            options = ast.literal_eval(text)
            self.spec = SpatialDropoutSpec(float(options["p"]), str(options["phase"]))
        except Exception as error:
            raise InputError(f"param_str {text!r} has no 'phase' and 'p': a number", message.name) from error
        if not 0 < self.spec.p < 1:
            raise InputError(f"p {self.spec.p:g} is not between 0 and 1", message.name)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        scale = 1 / (1 - self.spec.p)
        if self.spec.phase != "TRAIN":
            return x * scale
        drawn = F.dropout(x.new_ones(*x.shape[:2], *(1,) * (x.dim() - 2)), self.spec.p)
        return with_slope(x, x * drawn, drawn[-1:].expand_as(x))

"""Dropout."""

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.registry import DRAWS, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class DropoutSpec(Spec):
    """Of Dropout."""

    dropout_ratio: float = 0.5
    scale_train: bool = True
    sample_weights_test: bool = False
    sqrt_scale: bool = False


def _drops(module: Layer, bottoms: Shapes) -> str:
    assert isinstance(module, Dropout)
    return DRAWS if module.drops and 0 < module.spec.dropout_ratio < 1 else ""


@layer(
    "Dropout",
    source="dropout_layer.cpp",
    macs=free,
    pointwise=True,
    refuses_export=_drops,
    fields=("dropout_param.scale_train", "dropout_param.sample_weights_test", "dropout_param.sqrt_scale"),
)
class Dropout(Layer, nn.Dropout):
    """TRAIN: zero with probability dropout_ratio, the rest times 1/(1-ratio); TEST: identity, whatever the
    ratio (dropout_layer.cpp, whose check of it is a debug one).

    In TRAIN a ratio of 0 keeps all; 1 gives 0·∞, which is not a number, as in Caffe; and one that is no
    probability stops the pass (caffe_rng_bernoulli). The mask comes from torch's default generator of the
    device: seed it for a repeatable step. With ``scale_train: false`` (Fast R-CNN's caffe) what is left in
    TRAIN stays as it is, and TEST multiplies by 1-ratio. With ``sample_weights_test`` (Bayesian SegNet) TEST
    drops as TRAIN does. With ``sqrt_scale`` (happynear's) the rest is times the root of 1/(1-ratio).
    """

    spec: DropoutSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.p = message.dropout_param.dropout_ratio  # the constructor takes no such ratio as Caffe does
        param = message.dropout_param
        self.spec = DropoutSpec(
            self.p, param.scale_train, param.sample_weights_test, param.sqrt_scale and param.scale_train
        )
        self.name = message.name

    @property
    def drops(self) -> bool:
        """Whether its passes drop anything: in TRAIN, and with ``sample_weights_test``."""
        return self.training or self.spec.sample_weights_test

    def notice(self) -> str | None:
        """Of a ratio of 1 in training."""
        if self.p != 1 or not self.drops or not self.spec.scale_train:
            return None
        return (
            "dropout_ratio 1 drops everything and scales it by infinity: the top is not a number, as in Caffe"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape. Raises InputError in TRAIN for a ratio that is no probability."""
        if not self.drops:
            return F.dropout(x, training=False) if self.spec.scale_train else x * (1 - self.p)
        if not 0 <= self.p <= 1:
            raise InputError(f"dropout_ratio {self.p:g} is no probability, from 0 to 1", self.name)
        if not self.spec.scale_train:
            return F.dropout(x, self.p) * (1 - self.p)
        dropped = F.dropout(x, self.p)
        if self.p == 1:
            return dropped * math.inf
        return dropped * math.sqrt(1 - self.p) if self.spec.sqrt_scale else dropped

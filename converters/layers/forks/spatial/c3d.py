"""Convolutions of C3D over (N, C, time, height, width), and how its layers say their sides."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import checked_size, positive
from converters.layers.parts.geometry import Geometry
from converters.layers.registry import Shapes, layer
from converters.layers.spatial.convolution import conv3d, per_input, per_output
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Three = tuple[int, int, int]  # time, height, width


def param_of(message: LayerParameter, block: str) -> Any:
    """``block``3d_param, or, as C3D-v1.0 has it, ``block``_param."""
    own = f"{block}3d_param"
    return getattr(message, own if message.HasField(own) else f"{block}_param")


def _number(message: LayerParameter, block: str, name: str, default: int) -> int:
    """A number of :func:`param_of`, where it may be a list."""
    param = param_of(message, block)
    value = getattr(param, name)
    if isinstance(value, int):
        return value if param.HasField(name) else default
    if len(value) > 1:
        raise InputError(f"takes one {name}, not {len(value)}", message.name)
    return int(value[0]) if value else default


def sides_of(message: LayerParameter, block: str) -> tuple[Three, Three, int]:
    """Kernel, stride, and the pad of height and width. Raises InputError for a kernel or stride of 0."""
    size, stride = _number(message, block, "kernel_size", 0), _number(message, block, "stride", 1)
    depth, step = _number(message, block, "kernel_depth", 1), _number(message, block, "temporal_stride", 1)
    positive(message, kernel_size=size, kernel_depth=depth, stride=stride, temporal_stride=step)
    return (depth, size, size), (step, stride, stride), _number(message, block, "pad", 0)


def check_axes(message: LayerParameter, shape: torch.Size) -> None:
    """Raise InputError for other than five axes."""
    if len(shape) != 5:
        raise InputError(f"takes (N, C, time, height, width), not {len(shape)} axes", message.name)


@dataclass(frozen=True)
class Convolution3DSpec(Spec):
    """Of Convolution3D and Deconvolution3D: time, height, width."""

    num_output: int
    kernel: Three
    stride: Three = (1, 1, 1)
    pad: Three = (0, 0, 0)
    bias_term: bool = True

    @classmethod
    def read(cls, message: LayerParameter, bias_term: bool) -> "Convolution3DSpec":
        """The message's numbers."""
        kernel, stride, pad = sides_of(message, "convolution")
        outputs = _number(message, "convolution", "num_output", 0)
        positive(message, num_output=outputs)
        deep = _number(message, "convolution", "temporal_pad", 0)
        return cls(outputs, kernel, stride, (deep, pad, pad), bias_term)


class _Sliding3D(Layer):
    """What both share: weights, and a bias of five axes."""

    spec: Convolution3DSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes, spec: Convolution3DSpec) -> None:
        super().__init__()
        self.spec = spec
        self.sides = Geometry(spec.kernel, spec.stride, spec.pad, (1, 1, 1))
        check_axes(message, bottoms[0])
        blob = (*self._ends(bottoms[0][1]), *spec.kernel)
        self.weight = nn.Parameter(torch.empty(checked_size(message, "weights", blob)))
        self.bias = nn.Parameter(torch.empty(1, 1, 1, 1, spec.num_output)) if spec.bias_term else None
        param = param_of(message, "convolution")
        self.fillers = {"weight": param.weight_filler, "bias": param.bias_filler}

    def _ends(self, channels: int) -> tuple[int, int]:
        raise NotImplementedError

    def _flat_bias(self) -> Tensor | None:
        return None if self.bias is None else self.bias.flatten()


_FIELDS = (
    "convolution3d_param",
    *(
        f"convolution_param.{name}"
        for name in ("kernel_depth", "temporal_stride", "temporal_pad", "filter_group")
    ),
)


@layer(
    "Convolution3D",
    source="facebook/C3D: convolution3d_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=per_output,
    fields=_FIELDS,
)
class Convolution3D(_Sliding3D):
    """Cross-correlation; every filter sees all channels, for ``group`` is ignored and ``filter_group`` only
    splits the work. The bias blob is (1, 1, 1, 1, num_output).
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        bias_term = param_of(message, "convolution").bias_term
        super().__init__(message, bottoms, Convolution3DSpec.read(message, bias_term))
        self.sides.check_fit(message, bottoms[0][2:])

    def _ends(self, channels: int) -> tuple[int, int]:
        return self.spec.num_output, channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, num_output, T', H', W')."""
        return conv3d(x, self.weight, self._flat_bias(), self.spec.stride, self.spec.pad)


@layer(
    "Deconvolution3D",
    source="facebook/C3D: deconvolution3d_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=per_input,
    fields=_FIELDS,
)
class Deconvolution3D(_Sliding3D):
    """The transpose, with weights (C, num_output, …). Whether there is a bias ``convolution_param`` alone
    says: ``bias_term: false`` in convolution3d_param is not read.
    """

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        bias_term = message.convolution_param.bias_term
        super().__init__(message, bottoms, Convolution3DSpec.read(message, bias_term))
        sizes = self.sides.reverse_sizes(bottoms[0][2:])
        if min(sizes) < 1:
            raise InputError(f"pad {self.spec.pad} leaves nothing of the output: {sizes}", message.name)

    def _ends(self, channels: int) -> tuple[int, int]:
        return channels, self.spec.num_output

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, num_output, T', H', W')."""
        return F.conv_transpose3d(x, self.weight, self._flat_bias(), self.spec.stride, self.spec.pad)

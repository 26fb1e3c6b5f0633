"""Pooling over windows or the whole image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.layers.base import Layer
from converters.layers.checks import check_planes, positive
from converters.layers.parts.geometry import Geometry
from converters.layers.parts.grid import Grid, inverse_grid, window_grid
from converters.layers.parts.stochastic import stochastic_pool
from converters.layers.parts.windows import Windows, average_pool, is_symbolic, max_pool, max_pool_with_mask
from converters.layers.registry import DRAWS, Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter, PoolingParameter
from prototxt.errors import InputError


def _pair(message: LayerParameter, name: str, default: int) -> tuple[int, int]:
    """``<name>`` (or kernel_size), or both of ``<name>_h`` and ``<name>_w`` (pooling_layer.cpp)."""
    param = message.pooling_param
    square = "kernel_size" if name == "kernel" else name
    sides = (f"{name}_h", f"{name}_w")
    if not any(param.HasField(side) for side in sides):
        value = getattr(param, square) if param.HasField(square) else default
        return value, value
    if param.HasField(square) or not all(param.HasField(side) for side in sides):
        raise InputError(f"takes {square}, or both {sides[0]} and {sides[1]}", message.name)
    return getattr(param, sides[0]), getattr(param, sides[1])


@dataclass(frozen=True)
class PoolingSpec(Spec):
    """Of Pooling; with ``global_pooling`` the window is the whole image."""

    pool: str
    kernel: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    round_mode: str = "CEIL"
    global_pooling: bool = False


def _not_in_a_file(module: Layer, bottoms: Shapes) -> str:
    assert isinstance(module, Pooling)
    if module.training and module.spec.pool == "STOCHASTIC":
        return DRAWS
    size = (bottoms[0][2], bottoms[0][3])
    is_outside = not module.spec.global_pooling and module.windows.starts_outside(size)
    if module.spec.pool == "AVE" and is_outside:
        return (
            "has a window outside the image, and onnxruntime opens no file that averages over padding alone"
        )
    return ""


def _grid(message: LayerParameter) -> Grid | None:
    if message.pooling_param.global_pooling:
        return None
    windows = _windows(message)
    positive(message, stride=min(windows.stride))
    sides = Geometry(windows.kernel, windows.stride, windows.pad, (1, 1))
    return inverse_grid(window_grid(sides))


@layer(
    "Pooling",
    source="pooling_layer.cpp",
    tops=(1, 2),
    macs=free,
    refuses_export=_not_in_a_file,
    fields=("pooling_param.ceil_mode",),
    grid=_grid,
)
class Pooling(Layer):
    """MAX (optionally with a second top, each maximum's index in its plane), AVE or STOCHASTIC over
    (N, C, H, W). Of equal maxima the first in the window counts, forward and backward.

    A kernel larger than the padded image is taken, as in Caffe, where rounding up still leaves one
    window. STOCHASTIC is Caffe's GPU rule; Caffe's CPU build has none, and no recording holds it here.
    """

    spec: PoolingSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.pooling_param
        check_planes(message, bottoms[0])
        self.has_mask = len(message.top) > 1
        if self.has_mask and param.pool != PoolingParameter.MAX:
            raise InputError("only MAX pooling has a second top", message.name)
        self.windows = _windows(message)
        self.spec = PoolingSpec(
            PoolingParameter.PoolMethod.Name(param.pool),
            self.windows.kernel,
            self.windows.stride,
            self.windows.pad,
            "FLOOR" if self.windows.is_floor else "CEIL",
            param.global_pooling,
        )
        self._check(message, bottoms[0])

    def _check(self, message: LayerParameter, shape: torch.Size) -> None:
        windows = self.windows
        if self.spec.global_pooling:
            if windows.kernel != (0, 0) or windows.stride != (1, 1) or windows.pad != (0, 0):
                raise InputError("global_pooling goes with no kernel, stride 1 and pad 0", message.name)
            windows = Windows((shape[2], shape[3]), (1, 1), (0, 0))
        if any(windows.pad) and self.spec.pool == "STOCHASTIC":
            raise InputError("STOCHASTIC pooling takes no padding", message.name)
        windows.check(message, shape)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(N, C, H, W) to (N, C, H', W'), twice that with a mask top."""
        windows = (
            Windows((x.shape[2], x.shape[3]), (1, 1), (0, 0)) if self.spec.global_pooling else self.windows
        )
        if self.spec.pool == "STOCHASTIC":
            return stochastic_pool(x, windows, self.training)
        if self.spec.pool == "AVE":
            return F.adaptive_avg_pool2d(x, 1) if self.spec.global_pooling else average_pool(x, windows)
        if self.spec.global_pooling and is_symbolic(windows.kernel):  # torch's kernels are numbers
            top, place = (part[..., None, None] for part in x.flatten(2).max(2))
            return (top, place.to(x.dtype)) if self.has_mask else top
        return max_pool_with_mask(x, windows) if self.has_mask else max_pool(x, windows)


def _windows(message: LayerParameter) -> Windows:
    """What the prototxt says; with ``global_pooling`` the kernel is (0, 0)."""
    kernel, stride, pad = (
        _pair(message, name, default) for name, default in (("kernel", 0), ("stride", 1), ("pad", 0))
    )
    return Windows(kernel, stride, pad, _rounds_down(message))


def _rounds_down(message: LayerParameter) -> bool:
    """``round_mode: FLOOR``, or the ``ceil_mode: false`` of soeaver's and synopsys's forks, whose default is
    Caffe's own. Raises InputError where both are set and differ.
    """
    param = message.pooling_param
    is_floor = param.round_mode == PoolingParameter.FLOOR
    if param.HasField("ceil_mode") and param.HasField("round_mode") and is_floor == param.ceil_mode:
        raise InputError("round_mode and ceil_mode say different things", message.name)
    return is_floor or not param.ceil_mode

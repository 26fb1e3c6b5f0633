"""Permute and PriorBox of SSD."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from converters.layers.base import Layer
from converters.layers.checks import LARGEST, not_in_place
from converters.layers.registry import Shapes, free, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter, PriorBoxParameter
from prototxt.errors import InputError

_NEAR = 1e-6  # aspect ratios closer than this are one


@dataclass(frozen=True)
class PermuteSpec(Spec):
    """Of Permute: the bottom's axis behind each of the top's."""

    order: tuple[int, ...]


@layer(
    "Permute",
    source="weiliu89/caffe: permute_layer.cpp",
    macs=free,
    routes=True,
    fields=("permute_param",),
)
class Permute(Layer):
    """The axes in another ``order``; those that it does not name follow in theirs."""

    spec: PermuteSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        not_in_place(message)
        order, axes = list(message.permute_param.order), len(bottoms[0])
        if len(set(order)) < len(order) or any(axis >= axes for axis in order):
            raise InputError(f"order {order} is no order of {axes} axes", message.name)
        self.spec = PermuteSpec((*order, *(axis for axis in range(axes) if axis not in order)))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to one of the same dims in another order."""
        return x.permute(self.spec.order).contiguous()


@dataclass(frozen=True)
class PriorBoxSpec(Spec):
    """Of PriorBox: width and height of each place's boxes, in pixels; ``image`` and ``step`` (width, height),
    0 where the bottoms say.
    """

    sizes: tuple[tuple[float, float], ...]
    variance: tuple[float, ...] = (0.1,)
    image: tuple[float, float] = (0, 0)
    step: tuple[float, float] = (0, 0)
    offset: float = 0.5
    clip: bool = False


@layer(
    "PriorBox",
    source="weiliu89/caffe: prior_box_layer.cpp",
    bottoms=(2, 2),
    macs=free,
    fields=("prior_box_param",),
)
class PriorBox(Layer):
    """Boxes about the centre of each place of a feature map, as shares of the image: for each min_size, cut
    to whole pixels, one of it, one of the root of it times max_size, and one of its area a further aspect
    ratio. Row 2 holds the variances.
    """

    spec: PriorBoxSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        if any(len(shape) != 4 for shape in bottoms):
            raise InputError(f"takes two blobs (N, C, H, W), not {[tuple(s) for s in bottoms]}", message.name)
        param = message.prior_box_param
        image, step = _pair(message, "img", "img_size"), _pair(message, "step", "step")
        variance = tuple(param.variance) or (PriorBoxParameter(variance=[0.1]).variance[0],)
        if len(variance) not in (1, 4) or min(variance) <= 0:
            raise InputError(f"takes 1 or 4 variances above 0, not {list(variance)}", message.name)
        self.spec = PriorBoxSpec(_sizes(message), variance, image, step, param.offset, param.clip)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Feature map and image, of which the sizes count, to (1, 2, 4·H·W·boxes a place)."""
        spec, places = self.spec, (features.shape[3], features.shape[2])
        pixels = [n or image.shape[3 - i] for i, n in enumerate(spec.image)]
        centres = [self._centres(places[i], pixels[i], i, features) for i in (0, 1)]
        count = len(spec.sizes)
        # In float64, as there: 2 is a double in their code.
        half = torch.tensor(spec.sizes, dtype=torch.float64, device=features.device) / 2
        shape = (places[1], places[0], count)
        x = centres[0].reshape(1, -1, 1), half[:, 0], pixels[0]
        y = centres[1].reshape(-1, 1, 1), half[:, 1], pixels[1]
        sides = [((at - by) / n).expand(shape) for at, by, n in (x, y)]
        sides += [((at + by) / n).expand(shape) for at, by, n in (x, y)]
        boxes = torch.stack(sides, -1).reshape(-1).to(features.dtype)
        if spec.clip:
            boxes = boxes.clamp(0, 1)
        variance = torch.tensor(spec.variance * (4 // len(spec.variance)), device=features.device)
        return torch.stack([boxes, variance.to(boxes).repeat(boxes.shape[0] // 4)]).unsqueeze(0)

    def _centres(self, places: int, pixels: float, axis: int, like: Tensor) -> Tensor:
        """In float32, as there: (W,) or (H,)."""
        at = torch.arange(places, dtype=torch.float32, device=like.device)
        steps = self.spec.step
        step = steps[axis] if all(steps) else float(np.float32(pixels) / np.float32(places))
        return ((at + self.spec.offset) * step).double()


def _pair(message: LayerParameter, name: str, whole: str) -> tuple[float, float]:
    """(width, height) of ``name``_w and ``name``_h, or of the one number ``whole``; 0 where neither is set.
    Raises InputError for both, or one that is not above 0.
    """
    param = message.prior_box_param
    sides = [f"{name}_w", f"{name}_h"]
    if any(param.HasField(side) for side in sides):
        if param.HasField(whole):
            raise InputError(f"either {whole} or {name}_h and {name}_w, not both", message.name)
        pair = getattr(param, sides[0]), getattr(param, sides[1])
    elif param.HasField(whole):
        pair = (getattr(param, whole),) * 2
    else:
        return 0, 0
    if min(pair) <= 0:
        raise InputError(f"{name} sizes must be above 0", message.name)
    return pair


def _sizes(message: LayerParameter) -> tuple[tuple[float, float], ...]:
    """(width, height) of each box of a place, in Caffe's order. Raises InputError for sizes that are none."""
    param = message.prior_box_param
    least, most = list(param.min_size), list(param.max_size)
    if not least or min(least) <= 0:
        raise InputError("needs a min_size above 0", message.name)
    if most and (len(most) != len(least) or any(b <= a for a, b in zip(least, most, strict=True))):
        raise InputError("needs as many max_size as min_size, each larger, or none", message.name)
    if not all(size <= LARGEST for size in least + most):  # it is cut to an int
        raise InputError(f"min_size and max_size must be numbers up to {LARGEST}", message.name)
    ratios, boxes = _ratios(message), list[tuple[float, float]]()
    for i, size in enumerate(map(int, least)):
        boxes.append((size, size))
        if most:
            boxes.append(_rounded(*(math.sqrt(size * int(most[i])),) * 2))
        boxes += [_rounded(size * math.sqrt(ratio), size / math.sqrt(ratio)) for ratio in ratios]
    return tuple(boxes)


def _rounded(width: float, height: float) -> tuple[float, float]:
    return float(np.float32(width)), float(np.float32(height))


def _ratios(message: LayerParameter) -> list[float]:
    """The aspect ratios beside 1: one that is there already is left out, but its flipped one is not asked.
    Raises InputError for one that is not above 0, or of no end.
    """
    param, ratios = message.prior_box_param, [1.0]
    for ratio in param.aspect_ratio:
        if not 0 < ratio < math.inf:
            raise InputError(f"aspect_ratio {ratio:g} must be a number above 0", message.name)
        if all(abs(ratio - other) >= _NEAR for other in ratios):
            ratios += [ratio, float(np.float32(1 / ratio))] if param.flip else [ratio]
    return [ratio for ratio in ratios if abs(ratio - 1) >= _NEAR]

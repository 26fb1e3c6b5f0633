"""Layers that slide over height and width."""

from dataclasses import replace

import numpy as np

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Shape, Tensor, Writer
from converters.layers.parts.windows import Pair, Windows
from converters.layers.spatial.convolution import Convolution, Deconvolution
from converters.layers.spatial.pooling import Pooling
from converters.layers.spatial.pyramid import SPP, pyramid_windows

_LEAST = float(np.finfo(np.float32).min)  # Caffe's -FLT_MAX


@to_onnx.register
def _(layer: Convolution, g: Writer, *bottoms: Tensor) -> Tops:
    return _slide(layer, g, "Conv", bottoms)


@to_onnx.register
def _(layer: Deconvolution, g: Writer, *bottoms: Tensor) -> Tops:
    return _slide(layer, g, "ConvTranspose", bottoms)


def _slide(layer: Convolution | Deconvolution, g: Writer, op: str, bottoms: tuple[Tensor, ...]) -> Tops:
    spec, sides = layer.spec, layer.sides
    if spec.axis != 1 or not spec.kernel:
        return None
    weights = [g.weight(layer, slot) for slot in layer.slots]
    pad, inputs = sides.pad, [x.name for x in bottoms]
    if op == "Conv" and any(pad) and set(spec.kernel) == set(sides.stride) == {1}:
        # OpenCV 5.0 reads past the picture where a convolution of 1×1 has padding.
        borders = g.ints([0, 0, *pad, 0, 0, *pad])
        inputs = [g.add("Pad", x, borders, g.constant(0.0), mode="constant") for x in inputs]
        pad = (0,) * len(pad)
    numbers = {
        "kernel_shape": spec.kernel,
        "strides": sides.stride,
        "pads": (*pad, *pad),
        "dilations": sides.dilation,
        "group": spec.group,
    }
    return [g.add(op, x, *weights, **numbers) for x in inputs]


def _size(shape: Shape) -> Pair | None:
    """(height, width) where both are known."""
    height, width = shape[2:]
    return None if height is None or width is None else (height, width)


@to_onnx.register
def _(layer: Pooling, g: Writer, x: Tensor) -> Tops:
    spec, size = layer.spec, _size(x.shape)
    if spec.global_pooling and not layer.has_mask and spec.pool in _GLOBAL:
        return [g.add(_GLOBAL[spec.pool], x.name)]
    if spec.global_pooling or spec.pool == "STOCHASTIC":
        return None
    if spec.pool == "AVE":
        mean = average(g, x, layer.windows)
        return None if mean is None else [mean]
    if layer.has_mask:
        return None if size is None else _with_mask(g, x, layer.windows, size)
    greatest = maximum(g, x, layer.windows)
    return None if greatest is None else [greatest]


_GLOBAL = {"AVE": "GlobalAveragePool", "MAX": "GlobalMaxPool"}


def _numbers(windows: Windows, is_ceil: bool) -> dict[str, object]:
    numbers: dict[str, object] = {
        "kernel_shape": windows.kernel,
        "strides": windows.stride,
        "pads": (*windows.pad, *windows.pad),
    }
    return numbers | ({"ceil_mode": 1} if is_ceil else {})


def _starts_inside(windows: Windows) -> bool:
    """Whether no last window can start beyond the image, at any size: ONNX drops such a one, Caffe only
    where there is padding.
    """
    sides = zip(windows.stride, windows.kernel, windows.pad, strict=True)
    return windows.is_floor or all(s <= k or p for s, k, p in sides)


def maximum(g: Writer, x: Tensor, windows: Windows) -> str | None:
    """The greatest value under each window; None where no node's rule is Caffe's at every size."""
    size = _size(x.shape)
    if size is None:
        is_ceil = not windows.is_floor and windows.stride != (1, 1)
        return g.add("MaxPool", x.name, **_numbers(windows, is_ceil)) if _starts_inside(windows) else None
    if not windows.starts_outside(size):
        return g.add("MaxPool", x.name, **_numbers(windows, windows.may_reach_past(size)))
    padded, same = _padded(g, x, windows, size, _LEAST)
    return g.add("MaxPool", padded, **_numbers(same, is_ceil=False))


def _padded(g: Writer, x: Tensor, windows: Windows, size: Pair, value: float) -> tuple[str, Windows]:
    """The padding as values, as far as the last windows reach, and windows that see the same in it."""
    (left, right, top, down), same = windows.borders(size)
    same = replace(same, pad=(0, 0))
    if not any((left, right, top, down)):
        return x.name, same
    pads = g.ints([0, 0, top, left, 0, 0, down, right])
    return g.add("Pad", x.name, pads, g.constant(value), mode="constant"), same


def _with_mask(g: Writer, x: Tensor, windows: Windows, size: Pair) -> Tops:
    """ONNX counts places through the whole batch, Caffe within a plane."""
    if windows.starts_outside(size):
        return None
    numbers = _numbers(windows, windows.may_reach_past(size))
    top, place = g.add_all("MaxPool", 2, x.name, **numbers)
    return [top, g.cast(g.add("Mod", place, g.ints(size[0] * size[1])))]


def average(g: Writer, x: Tensor, windows: Windows) -> str | None:
    """The sum under each window by its area inside the padded image. Readers of ONNX disagree on what padding
    counts and how a last window ends, so there is neither where the size is known; None where no node's rule
    is Caffe's at every size.
    """
    size = _size(x.shape)
    if size is None:
        return _any_average(g, x, windows)
    padded, same = _padded(g, x, windows, size, 0.0)
    mean = g.add("AveragePool", padded, **_numbers(same, is_ceil=False))
    if not windows.may_reach_past(size):
        return mean
    areas = np.outer(windows.extents(0, size), windows.extents(1, size))
    return g.add("Mul", mean, g.constant(windows.kernel[0] * windows.kernel[1] / areas))


def _any_average(g: Writer, x: Tensor, windows: Windows) -> str | None:
    """Of any size: the padding is values, so that what the last windows lack does not count; where they could
    start in the padding behind the image, which Caffe leaves out, it is not so.
    """
    is_ceil = not windows.is_floor and windows.stride != (1, 1)
    sides = list(zip(windows.stride, windows.kernel, windows.pad, strict=True))
    if is_ceil and any(p + s > k if p else s > k for s, k, p in sides):
        return None
    source, (top, left) = x.name, windows.pad
    if any(windows.pad):
        pads = g.ints([0, 0, top, left, 0, 0, top, left])
        source = g.add("Pad", source, pads, g.constant(0.0), mode="constant")
    return g.add("AveragePool", source, **_numbers(replace(windows, pad=(0, 0)), is_ceil))


@to_onnx.register
def _(layer: SPP, g: Writer, x: Tensor) -> Tops:
    size = _size(x.shape)
    if size is None or layer.spec.pool == "STOCHASTIC":
        return None
    pool = maximum if layer.spec.pool == "MAX" else average
    levels = [pool(g, x, pyramid_windows(2**level, size)) for level in range(layer.spec.pyramid_height)]
    parts = [part for part in levels if part is not None]
    if len(parts) == 1:
        return parts
    return [g.add("Concat", *(g.add("Flatten", part, axis=1) for part in parts), axis=1)]

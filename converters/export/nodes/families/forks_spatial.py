"""Layers of forks that give planes another size."""

import numpy as np

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Copy, Tensor, Writer
from converters.layers.forks.spatial.resize import CropCenter, Interp
from converters.layers.forks.spatial.upsample import NearestUpsample, Reorg


@to_onnx.register
def _(layer: NearestUpsample, g: Writer, x: Tensor) -> Tops:
    scales = g.constant([1.0, 1.0, layer.spec.scale, layer.spec.scale])
    rule = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return [g.add("Resize", x.name, "", scales, mode="nearest", **rule)]


@to_onnx.register
def _(layer: Interp, g: Writer, x: Tensor) -> Tops:
    """By factors, where these give Caffe's size: the sizes would have to name the batch's."""
    if len(x.shape) != 4 or None in x.shape[2:]:
        return None
    begin, end = layer.spec.pad_beg, layer.spec.pad_end
    sides: list[int] = [(side or 0) + begin + end for side in x.shape[2:]]
    wanted = [layer.spec.out(side, axis) for axis, side in enumerate(sides)]
    factors = [_factor(side, want) for side, want in zip(sides, wanted, strict=True)]
    if [int(f * np.float32(side)) for f, side in zip(factors, sides, strict=True)] != wanted:
        return None
    source = _cut(g, x, {2: (-begin, -end), 3: (-begin, -end)})
    rule = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    return [g.add("Resize", source, "", g.constant(np.array([1.0, 1.0, *factors])), **rule)]


def _factor(side: int, wanted: int) -> np.float32:
    """Of which the product with ``side`` is no less than ``wanted``."""
    factor = np.float32(wanted) / np.float32(side)
    return factor if factor * np.float32(side) >= wanted else np.nextafter(factor, np.float32(np.inf))


@to_onnx.register
def _(layer: CropCenter, g: Writer, x: Tensor) -> Tops:
    return [_cut(g, x, {axis: (size, size) for axis, size in enumerate(layer.spec.crop_size)})]


def _cut(g: Writer, x: Tensor, ends: dict[int, tuple[int, int]]) -> str:
    """``x`` without so many values at both ends of axes."""
    cut = {axis: sizes for axis, sizes in ends.items() if any(sizes)}
    if not cut:
        return x.name
    starts = [before for before, _ in cut.values()]
    stops = [-after if after else 2**31 - 1 for _, after in cut.values()]
    return g.add("Slice", x.name, g.ints(starts), g.ints(stops), g.ints(list(cut)))


@to_onnx.register
def _(layer: Reorg, g: Writer, x: Tensor) -> Tops:
    s, (_, channels, height, width) = layer.spec.stride, x.shape
    if channels is None or height is None or width is None:
        return None
    few = channels // s**2
    if layer.spec.reverse:
        parts, order, shape = [s, s, few, height, width], [0, 3, 4, 1, 5, 2], [few, height * s, width * s]
    else:
        parts, order = [few, height, s, width, s], [0, 3, 5, 1, 2, 4]
        shape = [channels * s**2, height // s, width // s]
    turned = g.add("Transpose", g.reshape(x, [Copy(0), *parts]), perm=order)
    return [g.reshape(Tensor(turned, (x.shape[0],)), [Copy(0), *shape])]

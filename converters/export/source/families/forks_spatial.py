"""Layers of forks that slide over images and videos, and change their sizes."""

from typing import Any

from converters.export.source.helpers.forks import (
    UnitLinear,
    absolute_distances,
    interp,
    reorg,
    reverse_reorg,
    squared_distances,
    unpool,
)
from converters.export.source.part import Call, Part, make, one, tensors, unless
from converters.export.source.rules import refusal, to_source
from converters.layers.forks.connected.face import InnerDistance
from converters.layers.forks.connected.inner_product import InnerProductOfTwo, NormalizedInnerProduct
from converters.layers.forks.spatial.c3d import Convolution3D, Deconvolution3D
from converters.layers.forks.spatial.pooling3d import Pooling3D
from converters.layers.forks.spatial.resize import CropCenter, Interp
from converters.layers.forks.spatial.upsample import NearestUpsample, Reorg, SegNetUpsample


@to_source.register
def _(layer: Convolution3D, c: Call) -> Part:
    return _slide_3d(layer, c, "nn.Conv3d")


@to_source.register
def _(layer: Deconvolution3D, c: Call) -> Part:
    return _slide_3d(layer, c, "nn.ConvTranspose3d")


def _slide_3d(layer: Convolution3D | Deconvolution3D, c: Call, kind: str) -> Part:
    spec = layer.spec
    text = make(
        kind,
        c.shapes[0][1],
        spec.num_output,
        kernel_size=one(spec.kernel),
        stride=unless(spec.stride, 1),
        padding=unless(spec.pad, 0),
        bias=None if spec.bias_term else False,
    )
    bias = {} if layer.bias is None else {"bias": layer.bias.flatten()}
    return c.module(text, {"weight": layer.weight, **bias})


@to_source.register
def _(layer: Pooling3D, c: Call) -> Part:
    """torch drops a last window that begins outside, and the fork does not."""
    spec, pads = layer.spec, (0, layer.spec.pad, layer.spec.pad)
    sides = zip(spec.kernel, spec.stride, pads, strict=True)
    if any(s + p > k or 2 * p > k for k, s, p in sides):
        raise refusal(layer, "has no rule for these windows")
    kind = "nn.AvgPool3d" if spec.pool == "AVE" else "nn.MaxPool3d"
    stride = None if spec.stride == spec.kernel else one(spec.stride)
    text = make(kind, one(spec.kernel), stride=stride, padding=unless(pads, 0), ceil_mode=True)
    return c.module(text)


@to_source.register
def _(layer: Interp, c: Call) -> Part:
    if c.axes != 4:
        raise refusal(layer, "has no rule but for 4 axes")
    spec = layer.spec
    numbers: dict[str, Any] = {
        "size": spec.size if any(spec.size) else None,
        "shrink": unless(spec.shrink_factor, 1),
        "zoom": unless(spec.zoom_factor, 1),
        "full_zoom": unless(spec.full_zoom_factor, 1),
        "crop": (-spec.pad_beg, -spec.pad_end) if spec.pad_beg or spec.pad_end else None,
    }
    text = make("interp", **numbers)
    return Part(
        [text.replace("(", f"({c.x}, ", 1) if any(numbers.values()) else f"interp({c.x})"], helpers=[interp]
    )


@to_source.register
def _(layer: CropCenter, c: Call) -> Part:
    cuts = [f"{size}:-{size}" if size else ":" for size in layer.spec.crop_size]
    return Part([f"{c.x}[{', '.join(cuts)}]"])


@to_source.register
def _(layer: NearestUpsample, c: Call) -> Part:
    return c.module(f"nn.Upsample(scale_factor={layer.spec.scale})")


@to_source.register
def _(layer: SegNetUpsample, c: Call) -> Part:
    spec = layer.spec
    numbers: dict[str, Any] = {"scale": spec.scale}
    if any(spec.pad_out):
        numbers["less"] = spec.pad_out
    if any(spec.size):
        numbers["size"] = spec.size
    return Part([make("unpool", **numbers).replace("(", f"({', '.join(c.bottoms)}, ", 1)], helpers=[unpool])


@to_source.register
def _(layer: Reorg, c: Call) -> Part:
    function = reverse_reorg if layer.spec.reverse else reorg
    return Part([f"{function.__name__}({c.x}, stride={layer.spec.stride})"], helpers=[function])


@to_source.register
def _(layer: NormalizedInnerProduct, c: Call) -> Part:
    spec = layer.spec
    bias = None if spec.bias_term else False
    text = make("UnitLinear", layer.weight.shape[1], spec.num_output, bias=bias)
    x = c.x if spec.axis == c.axes - 1 else f"{c.x}.flatten({spec.axis})"
    return Part([f"{c.me}({x})"], text, tensors(layer, "weight", "bias"), [UnitLinear])


@to_source.register
def _(layer: InnerProductOfTwo, c: Call) -> Part:
    spec, (x, weight) = layer.spec, c.bottoms
    flat = x if spec.axis == c.axes - 1 else f"{x}.flatten({spec.axis})"
    if spec.transpose:
        return Part([f"{flat} @ {weight}.reshape(-1, {spec.num_output})"])
    rows = weight if len(c.shapes[1]) == 2 else f"{weight}.reshape({spec.num_output}, -1)"
    return Part([f"nn.functional.linear({flat}, {rows})"])


@to_source.register
def _(layer: InnerDistance, c: Call) -> Part:
    spec = layer.spec
    if spec.normalize or layer.brings_vectors or layer.by_label:
        raise refusal(layer, "has no rule but for plain distances from its own vectors")
    function = absolute_distances if spec.distance_type == "L1" else squared_distances
    x = c.x if spec.axis == c.axes - 1 else f"{c.x}.flatten({spec.axis})"
    shape = tuple(layer.weight.reshape(spec.num_output, -1).shape)
    text = f"nn.Parameter(torch.zeros{shape})"
    state = {"": layer.weight.reshape(shape)}
    return Part([f"{function.__name__}({x}, {c.me})"], text, state, [function])

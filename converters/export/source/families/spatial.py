"""Layers that slide over height and width."""

from torch import Tensor

from converters.export.source.helpers.im2col import im2col
from converters.export.source.helpers.pooling import (
    MaxPoolWithMask,
    StochasticPool,
    average_pool,
    max_pool,
    spatial_pyramid,
)
from converters.export.source.part import Call, Part, literal, make, one, unless
from converters.export.source.rules import refusal, to_source
from converters.layers.parts.windows import Windows
from converters.layers.spatial.convolution import Convolution, Deconvolution
from converters.layers.spatial.im2col import Im2col
from converters.layers.spatial.pooling import Pooling
from converters.layers.spatial.pyramid import SPP


@to_source.register
def _(layer: Convolution, c: Call) -> Part:
    return _slide(layer, c, "nn.Conv")


@to_source.register
def _(layer: Deconvolution, c: Call) -> Part:
    return _slide(layer, c, "nn.ConvTranspose")


def _slide(layer: Convolution | Deconvolution, c: Call, kind: str) -> Part:
    spec, axes = layer.spec, len(layer.spec.kernel)
    kernel = spec.kernel or (1,)
    text = make(
        f"{kind}{max(axes, 1)}d",
        c.shapes[0][spec.axis],
        spec.num_output,
        kernel_size=one(kernel),
        stride=unless(spec.stride, 1),
        padding=unless(spec.pad, 0),
        dilation=unless(spec.dilation, 1),
        groups=unless(spec.group, 1),
        bias=None if spec.bias_term else False,
    )
    weight = layer.weight if axes else layer.weight.unsqueeze(-1)
    bias: dict[str, Tensor] = {} if layer.bias is None else {"bias": layer.bias}
    calls = [_folded(c.me, x, spec.axis, axes) for x in c.bottoms]
    return Part(calls, text, {"weight": weight, **bias})


def _folded(me: str, x: str, axis: int, axes: int) -> str:
    """The call, with the axes before ``axis`` as one batch, and a pixel where there is no spatial axis."""
    pixel, back = ("", "") if axes else (".unsqueeze(-1)", ".squeeze(-1)")
    if axis == 0:
        pixel, back = f".unsqueeze(0){pixel}", f"{back}.squeeze(0)"
    elif axis > 1:
        y = f"{me}({x}.flatten(0, {axis - 1}){pixel}){back}"
        return f"{y}.unflatten(0, {x}.shape[:{axis}])"
    return f"{me}({x}{pixel}){back}"


@to_source.register
def _(layer: Im2col, c: Call) -> Part:
    spec = layer.spec
    numbers = [tuple(side) for side in (spec.kernel, spec.stride, spec.pad, spec.dilation)]
    texts = ", ".join(str(list(side)) for side in numbers)
    return Part([f"im2col({c.x}, {spec.axis}, {texts})"], helpers=[im2col])


@to_source.register
def _(layer: Pooling, c: Call) -> Part:
    spec, windows = layer.spec, layer.windows
    if spec.global_pooling:
        return _global(layer, c)
    if spec.pool == "STOCHASTIC":
        if not _drops_none(windows) or windows.is_floor:
            raise refusal(layer, "has no rule for STOCHASTIC pooling of these windows")
        return c.module(f"StochasticPool({windows.kernel}, {windows.stride})", None, StochasticPool)
    if is_stock(windows):
        kind = "nn.AvgPool2d" if spec.pool == "AVE" else "nn.MaxPool2d"
        kind = "MaxPoolWithMask" if layer.has_mask else kind
        helpers = [MaxPoolWithMask] if layer.has_mask else []
        return c.module(_pool(kind, windows), None, *helpers)
    if layer.has_mask or windows.is_floor:
        raise refusal(layer, "has no rule for these windows")
    function = average_pool if spec.pool == "AVE" else max_pool
    numbers = ", ".join(str(pair) for pair in (windows.kernel, windows.stride, windows.pad))
    return Part([f"{function.__name__}({c.x}, {numbers})"], helpers=[function])


def _global(layer: Pooling, c: Call) -> Part:
    if layer.has_mask or layer.spec.pool == "STOCHASTIC":
        raise refusal(layer, "has no rule for global pooling of this kind")
    return c.module(f"nn.Adaptive{'Avg' if layer.spec.pool == 'AVE' else 'Max'}Pool2d(1)")


def _drops_none(windows: Windows) -> bool:
    return (
        windows.is_floor
        or any(windows.pad)
        or all(s <= k for s, k in zip(windows.stride, windows.kernel, strict=True))
    )


def is_stock(windows: Windows) -> bool:
    """Whether torch's pooling is Caffe's at every size: it takes pads up to half the kernel, and drops a last
    window that begins beyond the image whether or not there is padding, which a stride above the kernel has.
    """
    is_narrow = all(2 * p <= k for p, k in zip(windows.pad, windows.kernel, strict=True))
    return is_narrow and _drops_none(windows)


def _pool(kind: str, windows: Windows) -> str:
    """torch's stride is the kernel where none is given. Rounding up changes nothing at a stride of 1."""
    rounds_up = not windows.is_floor and windows.stride != (1, 1)
    return make(
        kind,
        one(windows.kernel),
        stride=None if windows.stride == windows.kernel else one(windows.stride),
        padding=unless(windows.pad, 0),
        ceil_mode=True if rounds_up else None,
    )


@to_source.register
def _(layer: SPP, c: Call) -> Part:
    spec = layer.spec
    if spec.pool == "STOCHASTIC":
        raise refusal(layer, "has no rule for STOCHASTIC pooling")
    call = f"spatial_pyramid({c.x}, height={spec.pyramid_height}, average={literal(spec.pool == 'AVE')})"
    return Part([call], helpers=[spatial_pyramid])

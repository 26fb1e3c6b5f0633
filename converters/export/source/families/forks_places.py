"""Layers of forks with weights or pixels of each place, and products of two blobs' channels."""

import torch
from torch import Tensor

from converters.export.source.helpers.places import LocalConv2d, spatial_transform
from converters.export.source.helpers.products import CompactBilinear as CompactBilinearHelper
from converters.export.source.helpers.products import channel_products
from converters.export.source.part import Call, Part, make, unless
from converters.export.source.rules import to_source
from converters.layers.forks.spatial.bilinear import Bilinear, CompactBilinear
from converters.layers.forks.spatial.local import Local
from converters.layers.forks.spatial.transformer import SpatialTransformer


@to_source.register
def _(layer: Local, c: Call) -> Part:
    spec, shape = layer.spec, c.shapes[0]
    text = make(
        "LocalConv2d",
        shape[1],
        spec.num_output,
        tuple(layer.sides.sizes(shape[2:])),
        kernel_size=spec.kernel_size,
        stride=unless(spec.stride, 1),
        padding=unless(spec.pad, 0),
        bias=None if spec.bias_term else False,
    )
    bias: dict[str, Tensor] = {} if layer.bias is None else {"bias": layer.bias[0, 0]}
    return c.module(text, {"weight": layer.weight[:, 0], **bias}, LocalConv2d)


@to_source.register
def _(layer: Bilinear, c: Call) -> Part:
    x, y = c.bottoms
    return Part([f"channel_products({x}, {y}).flatten(1)[..., None, None]"], helpers=[channel_products])


@to_source.register
def _(layer: CompactBilinear, c: Call) -> Part:
    """The random places and signs are the layer's own, and stand among the weights."""
    spec = layer.spec
    text = make(
        "CompactBilinear",
        *(shape[1] for shape in c.shapes),
        spec.num_output,
        sum_pool=None if spec.sum_pool else False,
    )
    state: dict[str, Tensor] = {}
    for name, (places, signs) in zip("xy", layer.sketches, strict=True):
        state |= {f"{name}_place": torch.tensor(places), f"{name}_sign": torch.tensor(signs)}
    return c.module(text, state, CompactBilinearHelper)


@to_source.register
def _(layer: SpatialTransformer, c: Call) -> Part:
    spec, (image, theta) = layer.spec, c.bottoms
    image = image if spec.learns_image else f"{image}.detach()"
    matrix = spec.fixed if any(value is not None for value in spec.fixed) else None
    text = make("spatial_transform", size=spec.size, matrix=matrix)
    return Part([text.replace("(", f"({image}, {theta}, ", 1)], helpers=[spatial_transform])

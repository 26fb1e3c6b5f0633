"""Layers without bottoms, which make their own values."""

import torch

from converters.export.source.part import Call, Part, short
from converters.export.source.rules import refusal, to_source
from converters.layers.source import DummyData, Parameter


@to_source.register
def _(layer: Parameter, c: Call) -> Part:
    shape = tuple(layer.weight.shape)
    return Part([c.me], f"nn.Parameter(torch.zeros{shape})", {"": layer.weight})


@to_source.register
def _(layer: DummyData, c: Call) -> Part:
    if set(layer.spec.data_filler) != {"constant"} or c.tops != 1:
        raise refusal(layer, "has no rule for more than one top, or a filler that is no constant,")
    shape, value = layer.spec.shapes[0], layer.data_fillers[0].value
    buffer = torch.full(shape, value)
    return Part([c.me], f"nn.Buffer(torch.full({tuple(shape)}, {short(value)}))", {"": buffer})

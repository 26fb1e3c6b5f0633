"""Layers of forks that compare features with a vector a class."""

import torch

from converters.export.source.helpers.margin import LargeMarginLinear
from converters.export.source.part import Call, Part, make, short, tensors
from converters.export.source.rules import refusal, to_source
from converters.layers.forks.connected.margin import LargeMarginInnerProduct

_TIMES = {"DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}


@to_source.register
def _(layer: LargeMarginInnerProduct, c: Call) -> Part:
    """Lambda is that of the first pass: a source counts none."""
    spec, (classes, width) = layer.spec, layer.weight.shape
    if spec.axis != 1:
        raise refusal(layer, "has no rule but for axis 1")
    share = layer.share(torch.tensor(float(layer.first))).item()
    x = c.x if c.axes == 2 else f"{c.x}.flatten(1)"
    if spec.type == "SINGLE":
        calls = [f"{c.me}({x})", f"{c.x}.new_full((1,), {short(share)})"]
        return Part(calls, make("nn.Linear", width, classes, bias=False), tensors(layer, "weight"))
    text = make("LargeMarginLinear", width, classes, times=_TIMES[spec.type], share=share)
    return Part([f"{c.me}({x}, {c.bottoms[1]})"], text, tensors(layer, "weight"), [LargeMarginLinear])

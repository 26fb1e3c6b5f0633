"""Layers that act on each element by itself."""

import math

from converters.export.source.helpers.dropout import UnscaledDropout
from converters.export.source.part import Call, Part, literal, make, plus, short, times, unless
from converters.export.source.rules import refusal, to_source
from converters.layers.elementwise.activation import (
    BNLL,
    ELU,
    Clip,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    Swish,
    TanH,
)
from converters.layers.elementwise.arithmetic import AbsVal, Exp, Log, Power, Threshold
from converters.layers.elementwise.dropout import Dropout


@to_source.register
def _(layer: ReLU, c: Call) -> Part:
    return c.module("nn.ReLU()")


@to_source.register
def _(layer: LeakyReLU, c: Call) -> Part:
    return c.module(make("nn.LeakyReLU", layer.spec.negative_slope))


@to_source.register
def _(layer: PReLU, c: Call) -> Part:
    numbers = layer.slope.numel()
    count = () if layer.spec.channel_shared else (numbers,)
    return c.module(make("nn.PReLU", *count), {"weight": layer.slope.reshape(-1)})


@to_source.register
def _(layer: ELU, c: Call) -> Part:
    alpha = unless(layer.spec.alpha, 1.0)
    return c.module(make("nn.ELU", *(() if alpha is None else (alpha,))))


@to_source.register
def _(layer: Sigmoid, c: Call) -> Part:
    return c.module("nn.Sigmoid()")


@to_source.register
def _(layer: TanH, c: Call) -> Part:
    return c.module("nn.Tanh()")


@to_source.register
def _(layer: Swish, c: Call) -> Part:
    if layer.spec.beta == 1:
        return c.module("nn.SiLU()")
    return Part([f"{c.x} * torch.sigmoid({times(c.x, layer.spec.beta)})"])


@to_source.register
def _(layer: BNLL, c: Call) -> Part:
    return c.module("nn.Softplus(threshold=50)")


@to_source.register
def _(layer: Clip, c: Call) -> Part:
    least, most = layer.spec.min, layer.spec.max
    if (least, most) == (0, 6):
        return c.module("nn.ReLU6()")
    if least > most:  # torch would put out the other bound
        return Part([f"{c.x}.clamp(max={short(most)}).clamp(min={short(least)})"])
    return Part([f"{c.x}.clamp({short(least)}, {short(most)})"])


@to_source.register
def _(layer: AbsVal, c: Call) -> Part:
    return Part([f"{c.x}.abs()"])


@to_source.register
def _(layer: Power, c: Call) -> Part:
    spec = layer.spec
    if spec.power * spec.scale == 0:
        constant = 1.0 if not spec.power else float(math.pow(spec.shift, spec.power))
        return Part([f"torch.full_like({c.x}, {short(constant)})"])
    base = plus(times(c.x, spec.scale), spec.shift)
    if spec.power == 1:
        return Part([base])
    power = int(spec.power) if spec.power == int(spec.power) else spec.power
    return Part([f"{base if base == c.x else f'({base})'} ** {literal(power)}"])


@to_source.register
def _(layer: Exp, c: Call) -> Part:
    return Part([times(f"torch.exp({times(c.x, layer.inner)})", layer.outer)])


@to_source.register
def _(layer: Log, c: Call) -> Part:
    inner = plus(times(c.x, layer.spec.scale), layer.spec.shift)
    return Part([times(f"torch.log({inner})", layer.factor)])


@to_source.register
def _(layer: Threshold, c: Call) -> Part:
    return Part([f"({c.x} > {short(layer.spec.threshold)}).to({c.x}.dtype)"])


@to_source.register
def _(layer: Dropout, c: Call) -> Part:
    spec, always = layer.spec, layer.spec.sample_weights_test
    if not 0 <= spec.dropout_ratio <= 1 or spec.sqrt_scale:
        raise refusal(layer, "has no rule for such a ratio or scale")
    if not spec.scale_train:
        if always:
            raise refusal(layer, "has no rule for sample_weights_test without scale_train")
        return c.module(make("UnscaledDropout", spec.dropout_ratio), None, UnscaledDropout)
    if always or (layer.has_own_phase and layer.training):
        return Part([f"nn.functional.dropout({c.x}, {short(spec.dropout_ratio)})"])
    if layer.has_own_phase:
        return Part([c.x])
    return c.module(make("nn.Dropout", spec.dropout_ratio))

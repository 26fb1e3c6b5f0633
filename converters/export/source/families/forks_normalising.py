"""Layers of forks that normalise: BN, BatchNorm and Normalize."""

from torch import Tensor

from converters.export.source.families.normalising import Statistics, batch_norm
from converters.export.source.helpers.forks import Normalize, unit_length
from converters.export.source.helpers.scale import Scale
from converters.export.source.part import Call, Part, make, rest_of_one, short
from converters.export.source.rules import refusal, to_source
from converters.layers.forks.normalising.batch_norm import NvidiaBatchNorm
from converters.layers.forks.normalising.bn import (
    DuchaAikiBN,
    HappynearBN,
    PSPNetBN,
    SegNetBN,
)
from converters.layers.forks.normalising.normalize import HappynearNormalize, SsdNormalize
from converters.layers.forks.normalising.unit_length import L2Normalize, Norm


@to_source.register
def _(layer: NvidiaBatchNorm, c: Call) -> Part:
    momentum = rest_of_one(layer.spec.moving_average_fraction)
    own = (layer.scale, layer.bias) if layer.scale is not None and layer.bias is not None else None
    is_fixed, is_batch = (not layer.training, layer.training) if layer.has_own_phase else (False, False)
    return batch_norm(
        layer, c, Statistics(layer.mean, layer.variance, layer.spec.eps, momentum, is_fixed, is_batch), own
    )


@to_source.register
def _(layer: PSPNetBN, c: Call) -> Part:
    return _running(layer, c, layer.get_buffer("variance"))


@to_source.register
def _(layer: DuchaAikiBN, c: Call) -> Part:
    return _running(layer, c, layer.get_buffer("variance"))


@to_source.register
def _(layer: HappynearBN, c: Call) -> Part:
    return _running(layer, c, layer.get_buffer("inverse").square().reciprocal() - layer.spec.eps)


def _running(layer: PSPNetBN | DuchaAikiBN, c: Call, variance: Tensor) -> Part:
    spec = layer.spec
    own = tuple(getattr(layer, name).reshape(-1) for name in layer.names)
    is_fixed, is_batch = spec.frozen, not spec.moving_average
    if layer.has_own_phase:
        is_fixed, is_batch = not layer.training, layer.training
    momentum = rest_of_one(spec.momentum)
    numbers = Statistics(
        layer.get_buffer("mean").reshape(-1), variance.reshape(-1), spec.eps, momentum, is_fixed, is_batch
    )
    return batch_norm(layer, c, numbers, own)


@to_source.register
def _(layer: SegNetBN, c: Call) -> Part:
    if c.tops != 1 or c.axes != 4:
        raise refusal(layer, "has no rule for more tops than one, or for other than 4 axes,")
    own = layer.scale.reshape(-1), layer.shift.reshape(-1)
    if layer.spec.bn_mode == "INFERENCE":
        shape = (len(own[0]), 1, 1)
        state = {"weight": own[0].reshape(shape), "bias": own[1].reshape(shape)}
        return c.module(make("Scale", *shape), state, Scale)
    numbers = Statistics(own[0], own[1], 1e-9, 0.1, False, True)
    return batch_norm(layer, c, numbers, own)


@to_source.register
def _(layer: SsdNormalize, c: Call) -> Part:
    spec = layer.spec
    shape = () if spec.channel_shared else (layer.scale.numel(), *(1,) * (c.axes - 2))
    text = make("Normalize", *shape, across_spatial=spec.across_spatial, eps=spec.eps)
    return c.module(text, {"weight": layer.scale.reshape(shape)}, Normalize)


@to_source.register
def _(layer: HappynearNormalize, c: Call) -> Part:
    call = f"unit_length({c.x}, {layer.spec.normalize_type[1]}, 1e-6)"
    return Part([call if c.tops == 2 else f"{call}[0]"], helpers=[unit_length])


@to_source.register
def _(layer: L2Normalize, c: Call) -> Part:
    axes = list(range(1, c.axes)) or [0]
    if c.axes == 1:
        return Part([f"{c.x} * ({c.x}.square() + 1e-7).rsqrt()"])
    return Part([f"{c.x} * ({c.x}.square().sum({axes}, keepdim=True) + {short(1e-7)}).rsqrt()"])


@to_source.register
def _(layer: Norm, c: Call) -> Part:
    """A top of 4 axes."""
    ones = ", 1" * (4 - c.axes)
    x = f"{c.x}.reshape(*{c.x}.shape{ones})" if ones else c.x
    return Part([f"{x} / ({x}.square().sum(1, keepdim=True).sqrt() + 1e-6)"])

"""Layers that bring values to a common scale, and factors and shifts a channel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from converters.export.source.helpers.batch_norm import (
    FixedBatchNorm1d,
    FixedBatchNorm2d,
    FixedBatchNorm3d,
)
from converters.export.source.helpers.normalise import lrn_within_channel, mean_variance_normalize
from converters.export.source.helpers.scale import Scale as ScaleHelper
from converters.export.source.part import Call, Part, literal, make, rest_of_one, short, tensors, unless
from converters.export.source.rules import refusal, to_source
from converters.layers.base import Layer
from converters.layers.elementwise.scale import Bias, Scale
from converters.layers.forks.normalising.batch_norm import NvidiaBatchNorm
from converters.layers.judging.softmax import Softmax
from converters.layers.normalising.batch_norm import BatchNorm
from converters.layers.normalising.normalise import LRN, MVN

_FIXED = {1: FixedBatchNorm1d, 2: FixedBatchNorm2d, 3: FixedBatchNorm3d}


@dataclass(frozen=True)
class Statistics:
    """What nn.BatchNorm has of a layer: the running mean and variance (C,), and in which modes it uses them:
    ``is_fixed`` in both, ``is_batch`` in none, else in evaluation.
    """

    mean: Tensor
    variance: Tensor
    eps: float
    momentum: float
    is_fixed: bool = False
    is_batch: bool = False


@to_source.register
def _(layer: BatchNorm, c: Call) -> Part:
    spec = layer.spec
    stats = spec.use_global_stats
    if stats is None and layer.has_own_phase:
        stats = not layer.training
    momentum = rest_of_one(spec.moving_average_fraction)
    mean, variance = layer.stored()
    return batch_norm(layer, c, Statistics(mean, variance, spec.eps, momentum, stats is True, stats is False))


def batch_norm(layer: Layer, c: Call, numbers: Statistics, own: tuple[Tensor, ...] | None = None) -> Part:
    """nn.BatchNorm, whose weight and bias are its ``own`` or those of the Scale behind it."""
    axes = {1: 1, 2: 1, 3: 1, 4: 2, 5: 3}.get(c.axes)
    if axes is None:
        raise refusal(layer, f"has no rule for {c.axes} axes")
    learned = own if c.scale is None else tuple(tensors(c.scale, "weight", "bias").values())
    is_usual = not (numbers.is_fixed or numbers.is_batch)
    text = make(
        f"FixedBatchNorm{axes}d" if numbers.is_fixed else f"nn.BatchNorm{axes}d",
        numbers.mean.numel(),
        eps=unless(numbers.eps, float(torch.tensor(1e-5))),
        momentum=unless(numbers.momentum, 0.1) if is_usual else None,
        affine=None if learned else False,
        track_running_stats=False if numbers.is_batch else None,
    )
    state = dict(zip(("weight", "bias"), learned or (), strict=False))
    if not numbers.is_batch:
        state |= {"running_mean": numbers.mean, "running_var": numbers.variance}
        state |= {"num_batches_tracked": torch.tensor(0)}
    before, behind = (".unsqueeze(1)", ".squeeze(1)") if c.axes == 1 else ("", "")
    helpers = [_FIXED[axes]] if numbers.is_fixed else []
    return Part([f"{c.me}({c.x}{before}){behind}"], text, state, helpers)


def are_one(first: Layer, second: Layer) -> bool:
    """Whether nn.BatchNorm is both layers: a BatchNorm without numbers of its own, and a Scale that has one
    of both a channel.
    """
    lacks = isinstance(first, BatchNorm) or (isinstance(first, NvidiaBatchNorm) and first.scale is None)
    return lacks and isinstance(second, Scale) and _is_a_channel(second)


def _is_a_channel(layer: Scale) -> bool:
    return layer.spec.axis == 1 and layer.spec.num_axes == 1 and None not in (layer.weight, layer.bias)


@to_source.register
def _(layer: Scale, c: Call) -> Part:
    behind = c.axes - layer.spec.axis - layer.spec.num_axes
    bias = None if layer.bias is None else _spread(layer.bias, behind)
    if layer.weight is None:
        y = f"{c.x} * {spread_text(c.bottoms[1], behind)}"
        return Part([y]) if bias is None else Part([f"{y} + {c.me}"], _parameter("zeros", bias), {"": bias})
    weight = _spread(layer.weight, behind)
    if bias is None:
        return Part([f"{c.x} * {c.me}"], _parameter("ones", weight), {"": weight})
    text = make("Scale", *weight.shape)
    return c.module(text, {"weight": weight, "bias": bias}, ScaleHelper)


@to_source.register
def _(layer: Bias, c: Call) -> Part:
    behind = c.axes - layer.spec.axis - layer.spec.num_axes
    if layer.bias is None:
        return Part([f"{c.x} + {spread_text(c.bottoms[1], behind)}"])
    bias = _spread(layer.bias, behind)
    return Part([f"{c.x} + {c.me}"], _parameter("zeros", bias), {"": bias})


def _parameter(filled: str, blob: Tensor) -> str:
    return f"nn.Parameter(torch.{filled}{tuple(blob.shape)})"


def _spread(blob: Tensor, behind: int) -> Tensor:
    return blob.reshape(*blob.shape, *(1,) * behind) if behind else blob


def spread_text(blob: str, behind: int) -> str:
    """A blob's variable with axes of 1 behind it."""
    return f"{blob}[..., {', '.join(['None'] * behind)}]" if behind else blob


@to_source.register
def _(layer: LRN, c: Call) -> Part:
    spec = layer.spec
    if layer.within:
        numbers = f"size={spec.local_size}, alpha={short(spec.alpha)}, beta={short(spec.beta)}"
        return Part([f"lrn_within_channel({c.x}, {numbers})"], helpers=[lrn_within_channel])
    text = make(
        "nn.LocalResponseNorm",
        spec.local_size,
        alpha=unless(spec.alpha, float(torch.tensor(1e-4))),
        beta=unless(spec.beta, 0.75),
        k=unless(spec.k, 1.0),
    )
    return c.module(text)


@to_source.register
def _(layer: MVN, c: Call) -> Part:
    spec = layer.spec
    call = make(
        "mean_variance_normalize",
        across_channels=spec.across_channels,
        normalize_variance=spec.normalize_variance,
        eps=spec.eps,
    )
    return Part([call.replace("(", f"({c.x}, ", 1)], helpers=[mean_variance_normalize])


@to_source.register
def _(layer: Softmax, c: Call) -> Part:
    return c.module(f"nn.Softmax(dim={literal(layer.spec.axis)})")

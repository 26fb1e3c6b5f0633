"""Normalising each channel, with the gradient that its own batch's statistics have."""

from typing import Any

import torch
from torch import Tensor

from converters.layers.parts.gradient import asks_gradient


class _Normalise(torch.autograd.Function):
    """(x - mean)·inverse per channel; backward as if both were the batch's, whatever they are."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
        y = (x - mean) * inverse
        ctx.save_for_backward(y, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        y, inverse = ctx.saved_tensors
        return (grads[0] - channel_mean(grads[0]) - y * channel_mean(grads[0] * y)) * inverse, None, None


def channel_mean(x: Tensor) -> Tensor:
    """The mean of each channel: (N, C, …) to (1, C, 1…)."""
    return x.mean([axis for axis in range(x.dim()) if axis != 1], keepdim=True)


def spread(blob: Tensor, x: Tensor) -> Tensor:
    """A number a channel as what broadcasts over ``x``: C of them to (1, C, 1…)."""
    return blob.reshape(1, -1, *(1,) * (x.dim() - 2))


def by_batch(x: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    """(x - mean)·inverse, two that broadcast over (N, C, …); the gradient is as if they were the batch's."""
    if not asks_gradient(x):
        return (x - mean) * inverse
    y: Tensor = _Normalise.apply(x, mean, inverse)  # type: ignore[no-untyped-call]
    return y
